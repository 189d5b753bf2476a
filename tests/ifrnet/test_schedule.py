"""IFRNet's learning rate: one cosine over the whole run."""

import math

import pytest

from ifrnet.schedule import learning_rate


def test_cosine_from_start_over_the_middle_to_the_end():
    start, *between, end = (learning_rate(step, 600, 1e-4, 1e-5) for step in (0, 200, 300, 400, 600))
    assert start == pytest.approx(1e-4)
    assert between == pytest.approx([7.75e-5, 5.5e-5, 3.25e-5])  # a quarter, a half, three quarters of the way
    assert end == pytest.approx(1e-5)


def test_every_step_equals_the_formula():
    rates = [learning_rate(step, 40, 3e-4, 2e-5) for step in range(41)]
    assert rates == pytest.approx([2e-5 + 2.8e-4 * math.cos(math.pi * step / 80) ** 2 for step in range(41)])


def test_the_rate_rises_from_zero_in_a_warm_up():
    plain = [learning_rate(step, 40, 3e-4, 2e-5) for step in range(8)]
    risen = [learning_rate(step, 40, 3e-4, 2e-5, warmup=4) for step in range(8)]
    assert risen == pytest.approx(
        [rate * share for rate, share in zip(plain, (0.25, 0.5, 0.75, 1, 1, 1, 1, 1), strict=True)]
    )
