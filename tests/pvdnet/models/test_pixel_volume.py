"""The pixel volume against its definition, for every pixel and offset."""

import pytest
import torch

from pvdnet.models.pixel_volume import pixel_volume


def volume_pixel_by_pixel(deblurred, flow, current, ksize):
    """The definition, for every pixel q and offset (i, j)."""
    luma = torch.tensor([0.2989, 0.5870, 0.1140]).view(3, 1, 1)
    batch, _, height, width = current.shape
    radius = ksize // 2
    out = torch.zeros(batch, ksize**2, height, width)
    for n in range(batch):
        past, now = (deblurred[n] * luma).sum(0), (current[n] * luma).sum(0)
        for i in range(-radius, radius + 1):
            for j in range(-radius, radius + 1):
                for qy in range(height):
                    for qx in range(width):
                        rx, ry = qx - i, qy - j
                        if not (0 <= rx < width and 0 <= ry < height):
                            continue
                        x = int(rx + flow[n, 0, ry, rx]) + i  # int() truncates toward zero
                        y = int(ry + flow[n, 1, ry, rx]) + j
                        inside = 1 <= x <= width - 2 and 1 <= y <= height - 2
                        value = past[y, x] if inside else now[qy, qx]
                        out[n, (i + radius) * ksize + (j + radius), qy, qx] = value
    return out


@pytest.mark.parametrize("ksize", [3, 5])
@pytest.mark.parametrize("scale", [0.0, 1.5, 40.0])
def test_pixel_volume_equals_its_definition(ksize, scale):
    torch.manual_seed(1)
    deblurred, current = 2 * torch.rand(2, 3, 9, 11) - 1, 2 * torch.rand(2, 3, 9, 11) - 1
    flow = scale * torch.randn(2, 2, 9, 11)
    found = pixel_volume(deblurred, flow, current, ksize)
    torch.testing.assert_close(found, volume_pixel_by_pixel(deblurred, flow, current, ksize), atol=1e-6, rtol=0)


def test_what_points_nowhere_counts_as_outside():
    """A network that diverges gives such flows: its step has to end in a line, not in a read beside the frame."""
    torch.manual_seed(1)
    deblurred, current = 2 * torch.rand(1, 3, 9, 11) - 1, 2 * torch.rand(1, 3, 9, 11) - 1
    outside = pixel_volume(deblurred, torch.full((1, 2, 9, 11), 1e6), current)
    for value in (float("nan"), float("inf"), -float("inf")):
        assert torch.equal(pixel_volume(deblurred, torch.full((1, 2, 9, 11), value), current), outside)
