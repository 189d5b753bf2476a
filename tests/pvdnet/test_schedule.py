"""PVDNet's learning rates: the published periods, and which of the two is taken."""

import dataclasses

import pytest

from pvdnet.config import Config
from pvdnet.schedule import cosine_restart, learning_rate, stepwise_decay

PUBLISHED = Config()


def test_cosine_falls_over_a_period_and_starts_again_one_step_after():
    assert learning_rate(0, PUBLISHED) == 1e-4
    assert learning_rate(25_000, PUBLISHED) == pytest.approx((1e-4 + 1e-7) / 2)
    assert learning_rate(50_000, PUBLISHED) == pytest.approx(1e-7)
    assert learning_rate(50_001, PUBLISHED) == 1e-4
    assert learning_rate(600_000, PUBLISHED) == pytest.approx(1e-7, rel=1e-3)


def test_a_restart_has_its_weight_and_the_last_period_climbs_again():
    given = (1.0, (10, 10), (10,), (0.5,), 0.0)
    assert cosine_restart(11, *given) == 0.5
    assert cosine_restart(21, *given) == pytest.approx(0)
    assert cosine_restart(31, *given) == pytest.approx(1.0)  # without the weight


def test_steps_take_effect_after_their_number():
    steps = dataclasses.replace(PUBLISHED, LRS="LD")
    assert [learning_rate(itr, steps) for itr in (0, 400_000, 400_001)] == [1e-4, 1e-4, 0.25e-4]
    assert stepwise_decay(31, 1.0, (10, 30), 0.5) == 0.25
