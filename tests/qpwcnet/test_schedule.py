"""QPWCNet's learning rates against plain formulas."""

import dataclasses

import pytest

from qpwcnet import schedule
from qpwcnet.config import PRESETS


def test_learning_rates():
    assert set(schedule.SCHEDULES) == {"constant", "piecewise", "cyclic"}
    assert [schedule.piecewise(step, 8) for step in (400_000, 400_001, 2_000_000)] == [1e-4, 5e-5, 1e-4 / 16]
    assert schedule.cyclic(10_000, 8) == pytest.approx(5e-3)
    assert schedule.cyclic(30_000, 8) == pytest.approx(1e-4 + 4.9e-3 / 2)
    for rate in schedule.SCHEDULES.values():
        assert rate(0, 8) == 1e-4
        assert rate(350_000, 16) == rate(700_000, 8)  # it is samples that count
        assert rate(350_000, 16, 3e-5) == pytest.approx(0.3 * rate(350_000, 16))


def test_milestones_halve_the_rate():
    config = dataclasses.replace(PRESETS["flow_tiny"], schedule="constant", learning_rate=8e-4, milestones=(0.25, 0.5))
    rates = [schedule.learning_rate(step, 8, config) for step in (0, 1, 2, 3, 4, 8)]
    assert rates == [8e-4, 8e-4, 4e-4, 4e-4, 2e-4, 2e-4]
    published = PRESETS["pwcnet_chairs"]
    assert schedule.learning_rate(published.max_steps, published.max_steps, published) == 1e-4 / 16
