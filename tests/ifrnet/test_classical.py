"""The classical interpolation behind the network's interface."""

import numpy as np
import torch

from common.media.classical_flow import interpolate
from ifrnet.classical import Classical


def test_it_gives_what_the_function_gives_for_every_pair_and_time():
    levels = np.random.default_rng(0).integers(0, 256, (2, 2, 40, 48, 3), np.uint8)
    images = torch.from_numpy(levels).permute(0, 1, 4, 2, 3).float() / 255
    found = Classical()(images[0], images[1], torch.tensor([0.25, 0.75, 0.25, 0.75]))["pred"]
    assert found.shape == (4, 3, 40, 48)
    expected = [interpolate(levels[0, pair], levels[1, pair], t) for pair in (0, 1) for t in (0.25, 0.75)]
    assert np.abs(found.permute(0, 2, 3, 1).numpy() * 255 - expected).max() < 1e-3
