"""The order of activations in memory: which one is taken, which one a tensor has, which one a sum of parts gets."""

import pytest
import torch
from torch import nn

from common.ops.memory_format import fastest_layout, join, layout_of

FIRST, LAST = torch.contiguous_format, torch.channels_last


def test_channels_last_but_for_training_on_a_cpu():
    network = nn.Conv2d(2, 2, 3)
    assert fastest_layout(network) == FIRST
    with torch.no_grad():
        assert fastest_layout(network) == LAST
    assert fastest_layout(network.requires_grad_(False)) == LAST


@pytest.mark.parametrize("layout", [FIRST, LAST])
def test_the_layout_of_a_tensor(layout):
    x = torch.rand(2, 3, 4, 5).contiguous(memory_format=layout)
    assert layout_of(x) == layout
    assert layout_of(nn.Conv2d(3, 4, 3)(x)) == layout  # convolutions keep it


@pytest.mark.parametrize("layout", [FIRST, LAST])
def test_joined_parts_take_the_layout_and_type_of_one(layout):
    like = torch.rand(2, 3, 4, 5).bfloat16().contiguous(memory_format=layout)
    parts = torch.rand(2, 2, 4, 5), torch.rand(2, 4, 4, 5).contiguous(memory_format=LAST)
    joined = join(like, *parts, like=like)
    assert layout_of(joined) == layout
    assert joined.dtype == torch.bfloat16
    assert torch.equal(joined, torch.cat([like, *(part.bfloat16() for part in parts)], 1))
