"""TDAN's learning rate: constant in MMagic's stages, halved after each third of the authors' epochs."""

import pytest

from tdan.config import FIRST, PRESETS
from tdan.schedule import learning_rate


def rates(config, steps, *asked):
    return [learning_rate(k, steps, config.learning_rate, config.milestones, config.gamma) for k in asked]


def test_constant_without_milestones():
    config = PRESETS[f"{FIRST}-bi"]
    assert rates(config, config.steps, 0, 1, 200_000, 399_999) == [1e-4] * 4


def test_the_authors_halve_it_every_200_of_600_epochs():
    found = rates(PRESETS["TDAN"], 600, 0, 199, 200, 399, 400, 599)
    assert found == pytest.approx([1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5, 2.5e-5])


def test_a_share_that_is_no_whole_step_counts_from_the_next():
    assert [learning_rate(k, 10, 1.0, (0.25, 0.75), 0.1) for k in (2, 3, 7, 8)] == pytest.approx([1, 0.1, 0.1, 0.01])
