"""Learning rate of IFRNet's training (paper, section 4.1)."""

import math


def learning_rate(step: int, max_steps: int, start: float, end: float, warmup: int = 0) -> float:
    """Cosine from `start` at step 0 to `end` at `max_steps`; in the first `warmup` steps, rising from 0 to that."""
    rise = min(1, (step + 1) / warmup) if warmup else 1
    return rise * (end + (start - end) * 0.5 * (1 + math.cos(math.pi * step / max_steps)))
