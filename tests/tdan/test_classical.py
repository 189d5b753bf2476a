"""TDAN's enlargements without a network: sizes, places, and that they are not the same."""

import numpy as np
import pytest

from common.degrade.matlab_imresize import imresize
from tdan.classical import METHODS, enlarge


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_ramp_stays_in_its_place(method, scale):
    ramp = np.repeat(np.arange(0, 160, 8, dtype=np.uint8)[None, :, None], 12, 0).repeat(3, 2)
    found = enlarge(ramp, scale, method)
    assert (found.dtype, found.shape) == (np.uint8, (12 * scale, 20 * scale, 3))
    place = (np.arange(20 * scale) + 0.5) / scale - 0.5  # of the large pixels among the small ones
    assert np.abs(found[6 * scale, 16:-16, 0] - 8 * place[16:-16]).max() <= 1


def test_bicubic_is_that_of_matlab():
    low = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    assert np.array_equal(enlarge(low, 4), imresize(low, scale=4))
    assert not np.array_equal(enlarge(low, 4), enlarge(low, 4, "lanczos"))
