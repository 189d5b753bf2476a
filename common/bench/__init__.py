"""What the networks cost here: time against their convolutions alone, share of the machine's speed, memory."""
