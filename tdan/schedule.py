"""Learning rate of TDAN's training: constant by MMagic's recipe, halved now and then by the authors'."""

from collections.abc import Sequence


def learning_rate(step: int, steps: int, start: float, milestones: Sequence[float], gamma: float) -> float:
    """`start`, times `gamma` for each of the `milestones`, shares of all `steps`, that lies behind."""
    passed = sum(step >= share * steps for share in milestones)
    return start * gamma**passed
