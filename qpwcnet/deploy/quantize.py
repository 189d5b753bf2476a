"""int8: its rounding in PyTorch, for calibration and for training; `int8_onnx.py` writes the file that has it.

Rounded are the convolutions: weights to -64..64 with a scale for each output channel, what goes into a convolution and
what comes out of it to 0..255 with a scale and a zero of its own. Training with these roundings lets the network get
used to them; gradients pass them as if they were not there.

Weights use 7 of 8 bits, because CPUs without VNNI add pairs of products in 16 bits, which -127..127 would overflow: on
such a machine the error of a network was three times as large with 8 bits as with 7.

Heads, whose result is a flow or a picture, stay in float: 256 steps would be too coarse for pixels. So do the last
convolutions before QPWCNet's finest flow, a seventh of their level's products: by them int8 lost nearly all that it
lost. And so does the first depthwise convolution of a level, which reads costs, features and flows: side by side in 256
steps, the costs, a thousandth of the features, would all be one step.
"""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from qpwcnet.model import LEVELS, Separable

STEPS = 255  # of an activation
LIMIT = 64  # of a weight
HEAD = 3  # output channels up to which a convolution makes a flow or a picture
MIXED = ("feat.0.depthwise", "conv1.depthwise")  # read several kinds of values
FINEST = f"flower.{LEVELS - 1}"
LAST = (f"{FINEST}.conv", *(f"{FINEST}.feat.{n}.{part}wise" for n in (2, 3) for part in ("depth", "point")))
MOMENTUM = 0.05  # with which ranges follow those of the batches
SUFFIX = ".ranges"  # of the names of the buffers, by which checkpoints tell
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def prepare(network: nn.Module, state: dict[str, Tensor] | None = None) -> nn.Module:
    """Give the network's convolutions, but those that stay in float, int8's rounding; weights keep their names.

    Args:
        network: any of qpwcnet.
        state: of a prepared network, which tells what was rounded there; without it the rules above do.

    Each gets a buffer `ranges` (2, 2): least and largest value of what goes in, and of what comes out. They are NaN
    until `calibrate`, or the first batch in training, sets them; in training they move, and they are the same in all
    processes.

    Returns:
        The network, changed in place.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, CONVOLUTIONS) or isinstance(layer, _Rounding):
            continue
        by_rule = layer.out_channels > HEAD and not name.endswith(MIXED + LAST)
        if by_rule if state is None else f"{name}{SUFFIX}" in state:
            layer.register_buffer("ranges", layer.weight.new_full((2, 2), torch.nan, dtype=torch.float32))
            layer.observing, layer.follows = False, False
            layer.__class__ = _rounding(type(layer))
    for layer in network.modules():
        if isinstance(layer, Separable):
            layer.pointwise.follows = isinstance(layer.depthwise, _Rounding)
    return network


@torch.no_grad()
def calibrate(network: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set the ranges of a prepared network to those of its values, unrounded, on pairs of frames (B, 3, H, W)."""
    layers = [layer for layer in network.modules() if isinstance(layer, _Rounding)]
    training = network.training
    network.eval()
    for layer in layers:
        layer.ranges.fill_(torch.nan)
        layer.observing = True
    try:
        device = next(network.parameters()).device
        for prv, nxt in pairs:
            network(prv.to(device), nxt.to(device))
    finally:
        for layer in layers:
            layer.observing = False
        network.train(training)


def is_prepared(network: nn.Module) -> bool:
    """Whether the network has the roundings."""
    return any(isinstance(layer, _Rounding) for layer in network.modules())


def take_ranges(network: nn.Module) -> dict[str, Tensor]:
    """Undo `prepare`, in place.

    Returns:
        The ranges (2, 2) that the layers had, by name of the layer.
    """
    found = {}
    for name, layer in network.named_modules():
        if isinstance(layer, _Rounding):
            found[name] = layer.ranges.cpu()
            del layer.ranges, layer.observing, layer.follows
            layer.__class__ = type(layer).__bases__[1]
    return found


def has_ranges(state: dict[str, Tensor]) -> bool:
    """Whether a state dict is of a prepared network."""
    return any(name.endswith(SUFFIX) for name in state)


def scale_and_zero(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Of the values from `low` to `high`: size of a step, and the step at which 0 is."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / STEPS).clamp(min=1e-12)
    return scale, (-low / scale).round().clamp(0, STEPS)


def weight_scales(weight: Tensor, axis: int) -> Tensor:
    """Size of a step for each output channel, which is dimension `axis`; float32."""
    others = [k for k in range(weight.dim()) if k != axis]
    return (weight.detach().float().abs().amax(others) / LIMIT).clamp(min=1e-12)


class _Rounding:
    """What `prepare` adds to a convolution."""

    def _rounded(self, x: Tensor, place: int) -> Tensor:
        if self.training or self.observing:
            self._observe(x, place)
        if self.observing or (place == 0 and self.follows):  # rounded already, by the convolution before
            return x
        scale, zero = scale_and_zero(*self.ranges[place])
        return torch.fake_quantize_per_tensor_affine(x.float(), scale, zero, 0, STEPS)

    @torch.no_grad()
    def _observe(self, x: Tensor, place: int) -> None:
        low, high = x.detach().float().aminmax()
        found = torch.stack((-low, high))
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        old = self.ranges[place] * self.ranges.new_tensor((-1, 1))
        moved = torch.maximum(old, found) if self.observing else old.lerp(found, MOMENTUM)
        moved = torch.where(old.isfinite(), moved, found)
        self.ranges[place] = torch.stack((-moved[0], moved[1]))

    def _rounded_weight(self, axis: int) -> Tensor:
        if self.observing:
            return self.weight
        scales = weight_scales(self.weight, axis)
        zeros = torch.zeros_like(scales)
        return torch.fake_quantize_per_channel_affine(self.weight.float(), scales, zeros, axis, -LIMIT, LIMIT)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # of nn.Conv2d
        return self._rounded(super()._conv_forward(self._rounded(x, 0), self._rounded_weight(0), bias), 1)


class _RoundingTransposed(_Rounding):
    def forward(self, x: Tensor) -> Tensor:
        x, weight = self._rounded(x, 0), self._rounded_weight(1)
        x = nn.functional.conv_transpose2d(x, weight, self.bias, self.stride, self.padding)
        return self._rounded(x, 1)


@functools.cache
def _rounding(kind: type[nn.Module]) -> type[nn.Module]:
    """The kind of convolution, with the roundings."""
    added = _RoundingTransposed if issubclass(kind, nn.ConvTranspose2d) else _Rounding
    return type(f"Rounding{kind.__name__}", (added, kind), {})
