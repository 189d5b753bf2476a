"""Motion blur made of a sharp clip, held against clips whose blur is known."""

import cv2
import numpy as np
import pytest

from common.degrade.motion_blur import GAMMA, blur_clip
from common.scoring import metrics
from tests.helpers.sharp_clips import panned, texture


def psnr(first, second):
    return metrics.psnr(np.hstack(first), np.hstack(second), peak=255)


def truth(canvas, number, step, exposure):
    """Frame `number` of a pan over `canvas`, with the light of 65 moments averaged."""
    light = (canvas / 255.0) ** GAMMA
    times = number + exposure * (np.arange(65) - 32) / 64
    moved = [panned(light, step * time) for time in times]
    return np.uint8(np.floor(255 * np.mean(moved, axis=0) ** (1 / GAMMA) + 0.5))


@pytest.mark.parametrize(("exposure", "step"), [(0.5, 4), (1.5, 3)])
def test_a_pan_is_blurred_along_its_way_with_the_sharp_frame_in_the_middle(exposure, step):
    canvas = texture(80, 160)
    frames = [panned(canvas, step * k) for k in range(6)]
    blurry = blur_clip(frames, exposure)
    assert len(blurry) == 6
    assert all(image.shape == frames[0].shape and image.dtype == np.uint8 for image in blurry)
    for k in range(6):  # the ends too, where the motion goes on as it is
        expected = truth(canvas, k, step, exposure)[8:-8, 16:-16]
        off = psnr(blurry[k][8:-8, 16:-16], expected)
        assert off > psnr(frames[k][8:-8, 16:-16], expected) + 5, (k, off)
        assert off > 32


def test_light_is_averaged_and_not_its_code():
    left = np.zeros((64, 96, 3), np.uint8)
    frames = []
    for k in range(3):
        image = left.copy()
        cv2.rectangle(image, (10 + 8 * k, 20), (40 + 8 * k, 44), (255, 255, 255), -1)
        frames.append(image)
    edge = blur_clip(frames, 1.0)[1][32, 12:26, 0].astype(float)  # the left edge passes from 14 to 22
    assert np.abs(np.diff(edge)).max() < 255 / 2
    middle = edge[5:7].mean()  # half of the time black, half white
    assert abs(middle - 255 * 0.5 ** (1 / GAMMA)) < 25
    assert abs(middle - 127.5) > 25


def test_more_exposure_is_more_blur_and_what_stands_still_stays_as_it_is():
    canvas = texture(64, 128)
    frames = [panned(canvas, 2 * k) for k in range(4)]
    little, much = (psnr(np.stack(blur_clip(frames, exposure)), np.stack(frames)) for exposure in (0.5, 1.5))
    assert little > much + 2
    still = [frames[0]] * 3
    assert all(np.array_equal(image, frames[0]) for image in blur_clip(still, 1.5))


def test_the_same_bytes_on_any_number_of_threads():
    frames = [panned(texture(96, 160), 3 * k) for k in range(3)]
    before, results = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            results.append(np.stack(blur_clip(frames, 1.0)))
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(("count", "exposure"), [(1, 1.0), (3, 0.0), (3, 2.5)])
def test_what_cannot_be(count, exposure):
    with pytest.raises(ValueError, match="blur_clip got"):
        blur_clip([texture(32, 32)] * count, exposure)
