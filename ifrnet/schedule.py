"""Learning rate of IFRNet's training (paper, section 4.1)."""

import math


def learning_rate(step: int, max_steps: int, start: float, end: float) -> float:
    """Cosine from `start` at step 0 to `end` at `max_steps`."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * step / max_steps))
