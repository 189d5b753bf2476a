"""Measures along time against independent formulas, on motion that is known."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from common.compare import temporal
from common.compare.temporal import PROTOCOLS, WARP_MASKED, WARP_WHOLE

HEIGHT, WIDTH = 24, 32


def smooth_flow(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    a, b, c, d = rng.uniform(-0.05, 0.05, 4)
    return np.stack((1.3 + a * x + b * y, -0.7 + c * x + d * y), -1).astype(np.float32)


def independently_warped(frame, flow):
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    places = [y + flow[..., 1].astype(float), x + flow[..., 0].astype(float)]
    inside = (places[0] >= 0) & (places[0] <= HEIGHT - 1) & (places[1] >= 0) & (places[1] <= WIDTH - 1)
    moved = np.stack([map_coordinates(frame[..., k].astype(float), places, order=1) for k in range(3)], -1)
    return moved, inside


@pytest.mark.parametrize("seed", [0, 1])
def test_warping_error_of_a_known_motion(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8)
    flow, seen = smooth_flow(seed), rng.random((HEIGHT, WIDTH)) < 0.5
    moved, inside = independently_warped(second, flow)
    masked = ((moved - first)[seen & inside] / 255) ** 2
    found = temporal.warping_error(first, *temporal.warped(second, flow), seen & inside, WARP_MASKED)
    assert found == pytest.approx(masked.mean(), abs=1e-4)
    whole = temporal.warping_error(first, *temporal.warped(second, flow), seen, WARP_WHOLE)
    assert whole == pytest.approx(np.abs(moved - first)[inside].mean(), abs=1e-3)


def test_a_moved_picture_has_no_warping_error():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (HEIGHT, WIDTH + 3, 3)).astype(np.uint8)
    first, second = wide[:, 3:], wide[:, :-3]
    flow = np.tile(np.float32([3, 0]), (HEIGHT, WIDTH, 1))
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    assert temporal.warping_error(first, *temporal.warped(second, flow), everywhere, WARP_WHOLE) == 0
    assert temporal.warping_error(first, *temporal.warped(first, flow), everywhere, WARP_WHOLE) > 50


def test_two_definitions_of_the_difference_of_flows_give_their_two_numbers():
    flow = np.zeros((4, 4, 2), np.float32)
    reference = np.tile(np.float32([3, -4]), (4, 4, 1))
    assert temporal.flow_difference(flow, reference, "l1") == 7
    assert temporal.flow_difference(flow, reference, "l2") == 5
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)


def test_what_only_one_frame_shows_is_left_out():
    """A square moves by 6 over a still ground: what it uncovers and covers is not seen in both, nor its edges."""
    forward, backward = np.zeros((2, 40, 40, 2), np.float32)
    forward[10:20, 10:20], backward[10:20, 16:26] = (6, 0), (-6, 0)
    seen = temporal.seen_in_both(forward, backward)
    assert seen[12:18, 12:18].all()  # inside the square
    assert not seen[12:18, 21:25].any()  # ground that it covers
    assert not seen[10:20, 9:11].any()  # its edge
    assert seen[30:38, 2:38].all()


def test_brightness_is_the_mean_luma():
    assert temporal.brightness(np.full((4, 4, 3), 90, np.uint8)) == 90
