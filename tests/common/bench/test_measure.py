"""One row of the bench: every convolution replayed as it was, and what is counted."""

import pytest
import torch
from torch import nn

from common.bench.measure import ConvolutionCalls, measure


class Mixed(nn.Module):
    """Three convolutions, one of them transposed, and a dense layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, 1)
        self.up, self.dense = nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.Linear(16, 5)

    def forward(self, x):
        return {"out": self.dense(self.up(self.second(self.first(x).relu())))}


@pytest.mark.parametrize("dtype", ["float32", "bf16"])
@pytest.mark.parametrize(("mode", "calls"), [("inference", 3), ("training", 6)])
def test_replays_every_convolution(mode, calls, dtype):
    how = {"mode": mode, "layout": "channels_last", "dtype": dtype}
    row = measure(Mixed, [(1, 3, 16, 16)], **how, device=torch.device("cpu"), repeats=1)
    assert row["conv_calls"] == calls
    assert row["parameters"] == sum(p.numel() for p in Mixed().parameters())
    forward = 16 * 16 * 27 * 8 + 8 * 8 * 72 * 8 + 8 * 8 * 8 * 16 * 4 + 4 * 16 * 16 * 5
    input_gradient = 16 * 16 * 27 * 8  # nobody asks for that of the image
    assert row["gmac"] == pytest.approx((forward if mode == "inference" else 3 * forward - input_gradient) / 1e9)
    assert row["seconds"] > 0
    assert row["peak_mib"] > -1  # Linux counts pages in batches, a thread


def test_replay_keeps_shapes_and_layout():
    network, image = Mixed(), torch.rand(1, 3, 16, 16).to(memory_format=torch.channels_last)
    with torch.no_grad(), ConvolutionCalls() as calls:
        network(image)
    inputs = [args[0] for _, args in calls.calls]
    assert [tuple(x.shape) for x in inputs] == [(1, 3, 16, 16), (1, 8, 16, 16), (1, 8, 8, 8)]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in inputs)
    with ConvolutionCalls() as again:
        calls()
    assert len(again.calls) == 3
