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
    """Multiply-accumulates of the convolutions and dense layers in one call.

    Nothing of the call is computed, so any size is instant; warps, correlations and activations do not count.

    Args:
        build: makes the network.
        shapes: of the float32 tensors that the call gets.
    """
    network = build()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*(torch.empty(shape) for shape in shapes))
    return counted_macs(counter)


def counted_macs(counter: FlopCounterMode) -> int:
    """Multiply-accumulates that a counter has seen, without batched products: only `correlation` makes these."""
    operations = counter.get_flop_counts().get("Global", {})
    return sum(flops for operation, flops in operations.items() if operation is not torch.ops.aten.bmm) // 2
