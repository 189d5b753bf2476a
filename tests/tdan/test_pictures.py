"""TDAN's sample pictures: which there are, what lies where, of a batch's first clip."""

import numpy as np
import pytest
import torch

from common.degrade.matlab_imresize import imresize
from common.media.image import to_uint8
from tdan.pictures import pictures


@pytest.mark.parametrize("scale", [2, 4])
def test_pictures_of_the_first_clip(scale):
    torch.manual_seed(0)
    frames, target = torch.rand(2, 5, 3, 6, 8), torch.rand(2, 3, 6 * scale, 8 * scale)
    outputs = {"pred": torch.rand(2, 3, 6 * scale, 8 * scale), "aligned": torch.rand(2, 5, 3, 6, 8)}
    shown = pictures(frames, target, outputs | {"motion": torch.zeros(2, 4, 2, 6, 8)}, scale)
    assert list(shown) == ["compared", "frames", "aligned", "motion"]
    height, width = 6 * scale + 2, 8 * scale + 2  # of a part, with the black line behind it

    def part(name, number, height=8, width=10):
        top, left = (number // 3) * height + 2, (number % 3) * width + 2
        return shown[name][top : top + height - 2, left : left + width - 2]

    def levels(image):
        return to_uint8(image.permute(1, 2, 0).numpy())

    low = frames[0, 2].permute(1, 2, 0).numpy()
    compared = [part("compared", k, height, width) for k in range(4)]
    assert np.array_equal(compared[0][::scale, ::scale], levels(frames[0, 2]))
    assert np.array_equal(compared[0][scale - 1 :: scale, scale - 1 :: scale], levels(frames[0, 2]))
    assert np.array_equal(compared[1], to_uint8(imresize(low, scale=scale).clip(0, 1)))
    assert np.array_equal(compared[2], levels(outputs["pred"][0]))
    assert np.array_equal(compared[3], levels(target[0]))
    for k in range(5):
        assert np.array_equal(part("frames", k), levels(frames[0, k]))
        assert np.array_equal(part("aligned", k), levels(outputs["aligned"][0, k]))
    assert all((part("motion", k) == 255).all() for k in range(4))  # white: it looks where it is
