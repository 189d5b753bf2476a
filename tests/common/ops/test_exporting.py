"""Whether an exporter looks on: the tracer and torch.export do, nobody else."""

import pytest
import torch
from torch import nn

from common.ops.exporting import exporting


class Tells(nn.Module):
    def forward(self, x):
        return x + int(exporting())


def test_a_plain_call_is_none():
    assert not exporting()
    assert Tells()(torch.zeros(1)) == 0


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
def test_the_tracer_is_one():
    assert torch.jit.trace(Tells(), torch.zeros(1), check_trace=False)(torch.zeros(1)) == 1
    assert not exporting()


@pytest.mark.skipif(
    not hasattr(torch.compiler, "is_exporting"), reason="torch.compiler.is_exporting came with PyTorch 2.7"
)
def test_torch_export_is_one():
    assert torch.export.export(Tells(), (torch.zeros(1),), strict=False).module()(torch.zeros(1)) == 1
