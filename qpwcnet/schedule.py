"""Learning rates of QPWCNet's training (its published code, which keeps two schedules that it does not use)."""

from math import floor

HALVED_AT = (400_000, 600_000, 800_000, 1_000_000)  # steps of 8 samples
CYCLE_HALF = 10_000  # steps of 8 samples
CYCLE_HEIGHT = 50.0  # 1e-4 to 5e-3


def learning_rate(step: int, last: int, config) -> float:
    """The rate of a step, from 0, of a training that ends at the step `last`.

    It is that of the settings' `schedule`, halved at each of the `milestones`, which are shares of all steps.
    """
    passed = sum(step >= share * last for share in config.milestones)
    return SCHEDULES[config.schedule](step, config.total_batch, config.learning_rate) * 0.5**passed


def constant(step: int, batch_size: int, start: float = 1e-4) -> float:
    """`start` for ever: what the published training uses."""
    return start


def piecewise(step: int, batch_size: int, start: float = 1e-4) -> float:
    """Halved after 400k, 600k, 800k and 1M steps of 8 samples; the new value applies after the boundary.

    Args:
        step: from 0.
        batch_size: samples a step, in all processes; twice as many reach the boundaries in half the steps.
        start: the first value.
    """
    return start * 0.5 ** sum(step > boundary * 8 / batch_size for boundary in HALVED_AT)


def cyclic(step: int, batch_size: int, start: float = 1e-4) -> float:
    """Triangles from `start` to 50 times that, up in 10k steps of 8 samples and down in as many; each half as high.

    Arguments as in `piecewise`.
    """
    position = step / (CYCLE_HALF * 8 / batch_size)
    cycle = floor(position / 2)
    height = 1 - abs(position - 2 * cycle - 1)
    return start + start * (CYCLE_HEIGHT - 1) * height * 0.5**cycle


SCHEDULES = {"constant": constant, "piecewise": piecewise, "cyclic": cyclic}
