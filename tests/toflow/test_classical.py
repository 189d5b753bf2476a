"""TOFlow's classical methods: each does better than the input on what it is for."""

import cv2
import numpy as np
import pytest

from common.degrade.by_name import clip_rng, degrade
from common.media.classical_flow import interpolate
from tests.helpers.pictures import picture, psnr
from toflow.classical import FRAMES, METHODS, classical, estimate_spread, spread_of


def levels(image: np.ndarray) -> np.ndarray:
    return np.clip(255 * image + 0.5, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def still():
    """Seven noisy frames of a picture that stays, and the picture."""
    truth = cv2.GaussianBlur(picture(48, 64), (0, 0), 4)
    return degrade([truth] * 7, "gaussian_25", clip_rng(0, "a")), truth


def test_plain_is_the_mean_or_the_middle(still):
    frames, _ = still
    assert np.array_equal(levels(classical(frames)), frames[3])
    mean = classical(frames[:2])
    assert mean == pytest.approx((frames[0].astype(float) + frames[1]) / 510, abs=1e-6)
    assert set(METHODS) == set(FRAMES)


@pytest.mark.parametrize(("method", "gain"), [("median", 2), ("nlm", 3)])
def test_noise_is_lowered(still, method, gain):
    frames, truth = still
    found = classical(frames, method, 25)
    assert (found.dtype, found.shape) == (np.float32, truth.shape)
    assert psnr(truth, levels(found)) > psnr(truth, frames[3]) + gain


def test_flow_is_that_of_the_interpolation(still):
    first, second = still[1], np.roll(still[1], 4, 1)
    assert classical([first, second], "flow") == pytest.approx(interpolate(first, second, 0.5) / 255, abs=1e-6)


def test_spread_is_told_or_estimated(still):
    assert [spread_of(name) for name in ("gaussian_15", "gaussian", "mixed", "noise_blind", "")] == [
        15, 25.5, 25.5, None, None,
    ]  # fmt: skip
    grey = np.full((64, 96, 3), 128, np.uint8)
    for sigma in (15, 25, 50):
        noisy = degrade([grey], f"gaussian_{sigma}", clip_rng(0, "a"))[0]
        assert estimate_spread(noisy) == pytest.approx(sigma, rel=0.08)
