"""Y, Cb, Cr and grey values of RGB."""

import numpy as np
import pytest

from common.media.color import luma, rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb


def test_y_of_known_colours():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert np.allclose(rgb_to_y(colours), [[16, 235, 81.481, 144.553, 40.966]])
    assert rgb_to_y(colours, rounded=True).tolist() == [[16, 235, 81, 145, 41]]
    assert np.allclose(rgb_to_ycbcr(colours / 255)[..., 0], rgb_to_y(colours))
    assert np.allclose(rgb_to_ycbcr(colours)[0, :2, 1:], 128)  # black and white have no colour
    assert np.allclose(luma(colours)[0, :2], [0, 255])
    with pytest.raises(ValueError, match="HxWx3"):
        rgb_to_y(colours[..., 0])


def test_ycbcr_round_trip():
    rgb = np.random.default_rng(0).random((9, 9, 3))
    assert np.allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-12)
    levels = np.round(rgb * 255).astype(np.uint8)
    assert np.abs(ycbcr_to_rgb(rgb_to_ycbcr(levels, rounded=True), rounded=True).astype(int) - levels).max() <= 2
    outside = np.array([[[235, 128, 240], [16, 128, 16]]], np.uint8)  # brighter than white, darker than black
    assert ycbcr_to_rgb(outside, rounded=True)[0, :, 0].tolist() == [255, 0]


def test_grey_is_the_weighted_sum():
    image = np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    red, green, blue = np.moveaxis(image.astype(float), -1, 0)
    assert np.allclose(luma(image), 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-12)
    assert np.allclose(luma(image, (0.0, 1.0, 0.0)), green)
    for function in (rgb_to_ycbcr, ycbcr_to_rgb, luma):
        with pytest.raises(ValueError, match=r"must be HxWx3, got shape \(5, 6\)"):
            function(image[..., 0])
