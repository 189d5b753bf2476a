"""Flow as colours: the wheel, directions, scales."""

import numpy as np
import pytest

from common.media.flow_color import color_wheel, flow_to_image


def test_wheel():
    wheel = color_wheel()
    assert wheel.shape == (55, 3)
    assert wheel[[0, 15, 21, 25, 36, 49]].tolist() == [
        [255, 0, 0],
        [255, 255, 0],
        [0, 255, 0],
        [0, 255, 255],
        [0, 0, 255],
        [255, 0, 255],
    ]


def test_flow_colours():
    right = np.zeros((1, 2, 2))
    right[0, 0] = (5, 0)
    image = flow_to_image(right, scale=5)
    assert image.tolist() == [[[255, 0, 0], [255, 255, 255]]]  # to the right is red, rest is white
    assert np.array_equal(flow_to_image(right * 7, scale=35), image)
    random = np.random.default_rng(0).normal(0, 9, (20, 20, 2))
    assert np.array_equal(flow_to_image(random, clip=1e6), flow_to_image(random))
    # Clipping by length keeps directions: motion to the left stays visible.
    left = flow_to_image(-10 * np.ones((1, 1, 2)), clip=4, scale=8)
    assert (left < 255).any()
    assert (flow_to_image(-10 * np.ones((1, 1, 2)), clip=4, scale=8, clip_rule="components") == 255).all()
    for wrong in ({"clip_rule": "x"}, {"scale": 0}):
        with pytest.raises(ValueError, match="must be"):
            flow_to_image(random, **wrong)
    with pytest.raises(ValueError, match="HxWx2"):
        flow_to_image(random[..., 0])


def test_opposite_directions_are_opposite_colours_and_length_is_saturation():
    east, south, west, north = (
        flow_to_image(np.array([[d]], float), scale=1)[0, 0].astype(int) for d in ((1, 0), (0, 1), (-1, 0), (0, -1))
    )
    assert len({tuple(colour) for colour in (east, south, west, north)}) == 4
    for colour in (east, south, west, north):
        assert colour.max() == 255
        assert colour.min() == 0
    half = flow_to_image(np.array([[[0.5, 0.0]]]), scale=1)[0, 0]
    assert half.tolist() == [255, 127, 127]  # half way from white to red
    beyond = flow_to_image(np.array([[[3.0, 0.0]]]), scale=1)[0, 0]
    assert beyond.tolist() == [191, 0, 0]  # darkened


def test_unknown_flow_is_black_and_does_not_count_for_the_scale():
    flow = np.ones((2, 2, 2))
    known = flow_to_image(flow)
    flow[0, 0], flow[1, 1] = (np.nan, 0), (1e10, 0)
    image = flow_to_image(flow)
    assert not image[[0, 1], [0, 1]].any()
    assert np.array_equal(image[[0, 1], [1, 0]], known[[0, 1], [1, 0]])
