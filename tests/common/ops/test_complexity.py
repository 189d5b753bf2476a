"""What a network costs, against formulas."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from common.ops import complexity
from common.ops.correlation import correlation


def test_a_convolution_by_its_formula():
    def build():
        return nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4))

    assert complexity.parameters(build()) == (3 * 25 * 8 + 8) + (2 * 9 * 8 + 8)
    sides = 10 * 15, 8 * 13  # of the results
    assert complexity.macs(build, (2, 3, 20, 30)) == 2 * (sides[0] * 3 * 25 * 8 + sides[1] * 2 * 9 * 8)


def test_a_dense_layer_and_two_inputs():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, first, second):
            return self.layer(torch.cat((first, second), -1))

    assert complexity.macs(Dense, (7, 2), (7, 4)) == 7 * 6 * 5


def test_sizes_that_fit_into_no_memory_are_counted():
    assert complexity.macs(lambda: nn.Conv2d(64, 64, 3, padding=1), (1, 64, 2**15, 2**15)) == 64 * 64 * 9 * 2**30


def test_correlations_do_not_count():
    with FlopCounterMode(display=False) as counter:
        correlation(torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 8), radius=2)
    assert counter.get_total_flops() > 0
    assert complexity.counted_macs(counter) == 0
    assert complexity.counted_macs(FlopCounterMode(display=False)) == 0
