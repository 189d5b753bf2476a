"""Filters without weights bring back some of what a Gaussian took, and leave a flat frame as it is."""

import cv2
import numpy as np
import pytest
import torch

from pvdnet.classical import FILTERS


@pytest.mark.parametrize("name", FILTERS)
def test_a_blurry_frame_becomes_sharper(name):
    noise = np.random.default_rng(0).random((40, 60, 3), np.float32)
    sharp = cv2.GaussianBlur(noise, (0, 0), 1.2)
    blurry = cv2.GaussianBlur(sharp, (0, 0), 0.7)
    frames = [torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in (0 * blurry, blurry, 0 * blurry, 0 * blurry)]
    found = FILTERS[name](*frames)["result"]
    assert found.shape == (1, 3, 40, 60)
    assert found.dtype == torch.float32
    error = np.abs(found[0].permute(1, 2, 0).numpy() - sharp).mean()
    assert error < 0.9 * np.abs(blurry - sharp).mean()


@pytest.mark.parametrize("name", FILTERS)
def test_a_flat_frame_stays(name):
    flat = torch.full((1, 3, 12, 70), 0.3)
    assert torch.allclose(FILTERS[name](flat, flat, flat, flat)["result"], flat, atol=1e-5)
