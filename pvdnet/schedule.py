"""Learning rate of PVDNet: cosine annealing with restarts (CA) or stepwise decay (LD), as a function of the step."""

import math
from collections.abc import Sequence


def learning_rate(itr: int, config) -> float:
    """Rate after `itr` optimiser steps, by the schedule that `config.LRS` names."""
    if config.LRS == "LD":
        return stepwise_decay(itr, config.lr_init, config.decay_period, config.decay_rate)
    return cosine_restart(itr, config.lr_init, config.T_period, config.restarts, config.restart_weights, config.eta_min)


def cosine_restart(
    itr: int, lr_init: float, T_period: Sequence[int], restarts: Sequence[int], weights: Sequence[float], eta_min: float
) -> float:
    """Rate after `itr` optimiser steps.

    A restart takes effect one step after its number. Past the end of a period the published recursive rule lets the
    rate climb again; that climb starts from `eta_min` and reaches for the unweighted `lr_init`.
    """
    cycle = sum(itr > restart for restart in restarts)
    start = 0 if cycle == 0 else restarts[cycle - 1] + 1
    weight = 1.0 if cycle == 0 else weights[cycle - 1]
    period, k = T_period[cycle], itr - start
    amplitude = lr_init * weight - eta_min if k <= period else lr_init - eta_min
    return eta_min + amplitude * (1 + math.cos(math.pi * k / period)) / 2


def stepwise_decay(itr: int, lr_init: float, decay_period: Sequence[int], decay_rate: float) -> float:
    """Rate after `itr` optimiser steps: multiplied by `decay_rate` past each entry of `decay_period`."""
    return lr_init * decay_rate ** sum(itr > period for period in decay_period)
