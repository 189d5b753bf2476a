"""DIS flow finds a shift, and frames between are made with it."""

import cv2
import numpy as np
import pytest

from common.media.classical_flow import dis_flow, farneback_flow, interpolate


@pytest.mark.parametrize("find", [dis_flow, farneback_flow])
def test_a_shift_is_found_in_the_direction_of_the_convention(find):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    first, second = picture[8:-8, 8:-8], picture[6:-10, 5:-11]  # what is at (x, y) is at (x + 3, y + 2) then
    flow = find(first, second)
    assert flow.dtype == np.float32
    assert np.abs(np.median(flow[16:-16, 16:-16], (0, 1)) - (3, 2)).max() < 0.1


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_a_shifted_picture_is_met_on_its_way(t):
    picture = smooth(112, 144).astype(np.uint8)
    first, second = picture[8:-8, 8:-8], picture[8:-8, 4:-12]  # moves to the right by 4
    truth = cv2.warpAffine(picture, np.float32([[1, 0, 4 * t], [0, 1, 0]]), (144, 112))[8:-8, 8:-8]
    made = interpolate(first, second, t)
    assert (made.dtype, made.shape) == (np.float32, first.shape)
    inner = slice(16, -16), slice(16, -16)
    assert np.abs(made - truth)[inner].mean() < 1
    assert np.abs((1 - t) * first + t * second - truth)[inner].mean() > 3


def test_at_the_ends_are_the_frames():
    first, second = smooth(48, 64), smooth(48, 64, seed=1)
    assert np.abs(interpolate(first, second, 0.0) - first).max() < 1e-3
    assert np.abs(interpolate(first, second, 1.0) - second).max() < 1e-3


def test_what_one_frame_hides_is_taken_from_the_other():
    back, square = smooth(96, 128), smooth(32, 32, seed=1)
    frames = []
    for x in (32, 40, 48):
        frames.append(back.copy())
        frames[-1][32:64, x : x + 32] = square
    first, truth, second = frames
    made = interpolate(first, second, 0.5)
    mean = (first.astype(np.float32) + second) / 2
    around = slice(24, 72), slice(28, 84)
    assert np.abs(made - truth)[around].mean() < 0.5 * np.abs(mean - truth)[around].mean()
