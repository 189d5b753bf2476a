"""What a network costs: parameters and multiplications, counted without running it."""

from collections.abc import Callable

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(build: Callable[[], nn.Module], *shapes: tuple[int, ...]) -> int:
    """Multiply-accumulates of the convolutions and matrix products in one call.

    Nothing is computed, so any size is instant; warps, correlations and activations do not count.

    Args:
        build: makes the network; its parameters are never allocated.
        shapes: of the float32 tensors that the call gets.
    """
    with FakeTensorMode(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build()(*(torch.empty(shape) for shape in shapes))
    return counter.get_total_flops() // 2
