"""Flow without a network finds a shift."""

import cv2
import numpy as np
import pytest

from common.media.classical_flow import dis_flow, farneback_flow


@pytest.mark.parametrize("find", [dis_flow, farneback_flow])
def test_a_shift_is_found_in_the_direction_of_the_convention(find):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    first, second = picture[8:-8, 8:-8], picture[6:-10, 5:-11]  # what is at (x, y) is at (x + 3, y + 2) then
    flow = find(first, second)
    assert flow.dtype == np.float32
    assert np.abs(np.median(flow[16:-16, 16:-16], (0, 1)) - (3, 2)).max() < 0.1
