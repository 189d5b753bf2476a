"""The alignment of the paper's tables: shifts and intensities that it undoes."""

import cv2
import numpy as np
import pytest

from common.scoring.metrics import psnr
from pvdnet.koehler import BORDER, find_shift, koehler_scores, shift_image
from pvdnet.protocols import PVDNET_PAPER


def scene(seed=0):
    """Smooth random picture, large enough to cut shifted views of 75x90 out of it."""
    noise = np.random.default_rng(seed).integers(0, 256, (115, 130, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 20, 200, cv2.NORM_MINMAX)


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (-4, 3), (6, 6)])
def test_koehler_undoes_a_shift(shift):
    big, (dy, dx) = scene(), shift
    truth, result = big[20:95, 20:110], big[20 + dy : 95 + dy, 20 + dx : 110 + dx]
    score, similarity, found = koehler_scores(truth, result)
    assert found == shift
    if shift == (0, 0):
        assert score == float("inf")
    else:
        # Only the intensity scale, which is fitted before the shift, is left as an error.
        assert score > psnr(truth, result, peak=255) + 5
    assert similarity > 0.95


def test_koehler_undoes_intensity():
    truth = scene()[:75, :90]
    result = np.floor(truth / 2).astype(np.uint8)
    score, similarity, shift = koehler_scores(truth, result)
    assert shift == (0, 0)
    assert score > 45
    assert similarity > 0.99


def test_koehler_turned_frames_score_the_same():
    truth, result = scene(1)[:75, :90], scene(1)[1:76, 2:92]
    upright, turned = koehler_scores(truth, result), koehler_scores(truth.swapaxes(0, 1), result.swapaxes(0, 1))
    assert turned[2] == upright[2][::-1]
    assert turned[:2] == pytest.approx(upright[:2], abs=1e-9)


def test_koehler_edge_cases():
    truth = scene()[:75, :90]
    black = np.zeros_like(truth)
    score, _, shift = koehler_scores(truth, black)
    assert score < 20
    assert shift == (0, 0)
    assert koehler_scores(black, black)[0] == float("inf")
    for a, b in ((truth, truth[1:]), (truth / 255, truth / 255), (truth[:42], truth[:42]), (truth[..., 0],) * 2):
        with pytest.raises(ValueError, match=r"expected two|8-bit|too few"):
            koehler_scores(a, b)


def test_find_shift_equals_exhaustive_search():
    draw = np.random.default_rng(0)
    fixed, moving = draw.random((7, 8)), draw.random((7, 8))
    best = max(
        ((dy, dx) for dy in range(-3, 4) for dx in range(-4, 4)),
        key=lambda shift: (fixed * np.roll(moving, shift, (0, 1))).sum(),
    )
    assert find_shift(fixed, moving) == best


def test_shift_image():
    image = np.arange(6.0).reshape(2, 3)
    assert shift_image(image, (0, 1)).tolist() == [[0, 0, 1], [0, 3, 4]]
    assert shift_image(image, (-1, 0)).tolist() == [[3, 4, 5], [0, 0, 0]]
    assert shift_image(image, (0, 0)).tolist() == image.tolist()
    assert not shift_image(image, (-1, 2)).any() or shift_image(image, (-1, 2)).tolist() == [[0, 0, 3], [0, 0, 0]]


def test_border_is_that_of_the_protocol():
    assert PVDNET_PAPER.border == BORDER
