"""The cost volume against its definition."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from common.ops.correlation import TILE, correlation

ROWS, COLUMNS = TILE


def brute_force(first, second, radius, stride):
    """The definition, one position and one displacement at a time."""
    batch, _, height, width = first.shape
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    out = first.new_zeros(batch, (2 * radius + 1) ** 2, rows, columns)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            channel = (dy + radius) * (2 * radius + 1) + dx + radius
            for row in range(rows):
                for column in range(columns):
                    y, x = row * stride, column * stride
                    v, u = y + dy * stride, x + dx * stride
                    if 0 <= v < height and 0 <= u < width:
                        out[:, channel, row, column] = (first[:, :, y, x] * second[:, :, v, u]).mean(1)
    return out


@pytest.mark.parametrize(
    ("radius", "stride", "height", "width"),
    [
        (1, 1, 3, 4),
        (2, 1, 5, 2),
        (3, 1, 2 * ROWS, COLUMNS),
        (3, 2, 7, 9),
        (3, 2, 4, 4 * COLUMNS + 1),
        (4, 1, ROWS + 1, COLUMNS + 1),
        (2, 3, 8, 7),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_the_definition(radius, stride, height, width, layout):
    torch.manual_seed(0)
    maps = [torch.randn(2, 5, height, width, dtype=torch.float64).to(memory_format=layout) for _ in range(2)]
    found = correlation(*maps, radius=radius, stride=stride)
    torch.testing.assert_close(found, brute_force(*maps, radius, stride))


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients(stride):
    torch.manual_seed(0)
    maps = [torch.randn(1, 2, 3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(lambda *inputs: correlation(*inputs, radius=1, stride=stride), maps, fast_mode=True)


def test_finds_a_translation():
    second = torch.randn(1, 64, 24, 40)
    first = torch.roll(second, (-2, 3), (2, 3))  # first(p) = second(p + (-3, 2)), (x, y)
    best = correlation(first, second, radius=3).argmax(1)[0, 4:-4, 4:-4]
    assert (best == (2 + 3) * 7 + (-3 + 3)).float().mean() > 0.99


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (1, 4, 8, 8), (3, 8, 8)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match="cannot correlate"):
        correlation(torch.rand(1, 3, 8, 8), torch.rand(shape), radius=3)
