"""What the original computes from flows, pixel by pixel."""

import colorsys
import math

import numpy as np
import pytest
import torch

from common.ops.warp import backward_warp
from tests.helpers import original_flow_ops


def noise(*shape, seed=0, scale=1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32))


def test_legacy_warp_pixel_by_pixel():
    image, flow = noise(1, 2, 5, 6), noise(1, 2, 5, 6, seed=1, scale=3.0)
    flow[0, :, 0, 0] = -0.5  # extrapolates
    found = original_flow_ops.legacy_warp(image, flow)[0]
    for row, column in np.ndindex(5, 6):
        x, y = column + flow[0, 0, row, column].item(), row + flow[0, 1, row, column].item()
        (x0, x1), (y0, y1) = (
            [min(max(int(at) + step, 0), size - 1) for step in (0, 1)] for at, size in ((x, 6), (y, 5))
        )
        corners = ((y0, x0, (x1 - x) * (y1 - y)), (y1, x0, (x1 - x) * (y - y0)))
        corners += ((y0, x1, (x - x0) * (y1 - y)), (y1, x1, (x - x0) * (y - y0)))
        expected = sum(image[0, :, r, c] * weight for r, c, weight in corners)
        assert torch.allclose(found[:, row, column], expected, atol=1e-5)


def test_legacy_warp_inside_is_the_networks_warp():
    image, flow = noise(2, 3, 9, 9), 0.8 * torch.rand(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    found, expected = original_flow_ops.legacy_warp(image, flow), backward_warp(image, flow, padding="border")
    assert torch.allclose(found[..., :-1, :-1], expected[..., :-1, :-1], atol=1e-5)
    still = original_flow_ops.legacy_warp(image, torch.zeros_like(flow))
    assert torch.equal(still[..., :-1, :-1], image[..., :-1, :-1])
    assert (still[..., -1, :] == 0).all()
    assert (still[..., -1] == 0).all()
    with pytest.raises(ValueError, match="does not fit image"):
        original_flow_ops.legacy_warp(image, flow[..., 1:])


def test_inverse_flow_of_a_translation():
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 8, 10)
    inside = original_flow_ops.inverse_flow(flow)[..., 1:, :7]  # p + flow(p) stays off the last row and column
    assert torch.equal(inside, torch.tensor([-2.0, 1.0]).view(1, 2, 1, 1).expand_as(inside))


def test_occlusion_pixel_by_pixel():
    flow = noise(2, 2, 7, 9, scale=2.0)
    inverse, found = original_flow_ops.inverse_flow(flow), original_flow_ops.occlusion(flow)
    for n in range(2):
        expected = np.ones((7, 9))
        for row, column in np.ndindex(7, 9):
            x, y = column + inverse[n, 0, row, column].item(), row + inverse[n, 1, row, column].item()
            expected[min(max(int(y), 0), 6), min(max(int(x), 0), 8)] = 0
        for row, column in np.ndindex(7, 9):
            x, y = column + flow[n, 0, row, column].item(), row + flow[n, 1, row, column].item()
            if not (0 <= x < 9 and 0 <= y < 7):
                expected[row, column] = 1
        assert 0.1 < expected.mean() < 0.9
        assert np.array_equal(found[n].numpy(), expected)


def test_hsv_colours_pixel_by_pixel():
    flow = noise(2, 2, 4, 5)
    flow[1] *= 10  # each flow has its own longest vector
    found = original_flow_ops.flow_to_hsv_image(flow)
    for n, row, column in np.ndindex(2, 4, 5):
        u, v = flow[n, :, row, column].tolist()
        saturation = math.hypot(u, v) / flow[n].square().sum(0).sqrt().max().item()
        expected = colorsys.hsv_to_rgb((math.atan2(v, u) + math.pi) / (2 * math.pi), saturation, 1.0)
        assert found[n, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_cost_volume_to_flow_is_row_first():
    cost = torch.zeros(1, 25, 2, 2)
    cost[0, (1 + 2) * 5 + (-2 + 2), 0, 1] = 1.0  # one down, two to the left
    assert original_flow_ops.cost_volume_to_flow(cost)[0, :, 0, 1].tolist() == [1.0, -2.0]
    with pytest.raises(ValueError, match="got 24"):
        original_flow_ops.cost_volume_to_flow(cost[:, 1:])
