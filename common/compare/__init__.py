"""One judge for clips: two videos against each other or against the truth, frame by frame and along time."""
