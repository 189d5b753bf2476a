"""int8: its rounding in PyTorch, for calibration and for training, and the ONNX graph that says where to round.

Rounded are the convolutions: weights to -64..64 with a scale for each output channel, what goes into a convolution and
what comes out of it to 0..255 with a scale and a zero of its own. onnxruntime takes a convolution between such
roundings (QuantizeLinear, DequantizeLinear) for one in whole numbers. Training with the same roundings lets the network
get used to them; gradients pass them as if they were not there.

Weights use 7 of 8 bits, because CPUs without VNNI add pairs of products in 16 bits, which -127..127 would overflow: on
such a machine the error of a network was three times as large with 8 bits as with 7.

Heads, whose result is a flow or a picture, stay in float: 256 steps would be too coarse for pixels. So does the first
depthwise convolution of a level, which reads costs, features and flows: side by side in 256 steps, the costs, a
thousandth of the features, would all be one step.
"""

import functools
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from qpwcnet.model import Separable

STEPS = 255  # of an activation
LIMIT = 64  # of a weight
HEAD = 3  # output channels up to which a convolution makes a flow or a picture
MIXED = ("feat.0.depthwise", "conv1.depthwise")  # read several kinds of values
MOMENTUM = 0.05  # with which ranges follow those of the batches
SUFFIX = ".ranges"  # of the names of the buffers, by which checkpoints tell
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def prepare(network: nn.Module) -> nn.Module:
    """Give the network's convolutions, but those that stay in float, int8's rounding; weights keep their names.

    Each gets a buffer `ranges` (2, 2): least and largest value of what goes in, and of what comes out. They are NaN
    until `calibrate`, or the first batch in training, sets them; in training they move, and they are the same in all
    processes.

    Returns:
        The network, changed in place.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, CONVOLUTIONS) or isinstance(layer, _Rounding) or name.endswith(MIXED):
            continue
        if layer.out_channels > HEAD:
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
    """Of the values from `low` to `high`: size of a step, and the step at which 0 is, int32."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / STEPS).clamp(min=1e-12)
    return scale, (-low / scale).round().clamp(0, STEPS).to(torch.int32)


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
        zeros = torch.zeros_like(scales, dtype=torch.int32)
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


def write_int8(source: Path, path: Path, ranges: dict[str, Tensor]) -> None:
    """Write the ONNX file `source` with roundings to `path`: weights as int8, all else as before.

    Args:
        source: a file of float32 whose weights are named `<layer>.weight`, of opset 13 or later.
        path: where the result goes.
        ranges: of each convolution that is to be rounded, (2, 2), by name of the layer.

    Raises:
        ValueError: ranges are missing or infinite, or belong to no convolution of the file.
    """
    import onnx

    model = onnx.load(source)
    graph = _Rounded(model.graph)
    left = set(ranges)
    for node in list(model.graph.node):
        layer = node.input[1].removesuffix(".weight") if node.op_type == "Conv" else None
        if layer not in ranges:
            graph.nodes.append(node)
            continue
        if not ranges[layer].isfinite().all():
            raise ValueError(f"{layer}: the ranges of its values are not known: calibrate or train the network first")
        graph.convolution(node, layer, ranges[layer])
        left.discard(layer)
    if left:
        raise ValueError(f"{source}: holds no convolution {', '.join(sorted(left))}")
    graph.store(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class _Rounded:
    """The graph that is being written."""

    def __init__(self, graph):
        from onnx import numpy_helper

        self.nodes, self.constants, self.rounded, self.scales, self.made = [], [], {}, {}, {}
        self.read = {x.name: functools.partial(numpy_helper.to_array, x) for x in graph.initializer}

    def convolution(self, node, layer: str, ranges: Tensor) -> None:
        """Add a convolution, rounded."""
        x = self._round(node.input[0], ranges[0])
        if layer not in self.made:  # the interpolator calls a layer twice
            self.made[layer] = self._weights(node.input[1:], layer, self.scales[x])
        node.input[:] = [x, *self.made[layer]]
        result = node.output[0]
        node.output[0] = f"{result}.exact"
        self.nodes.append(node)
        self._round(node.output[0], ranges[1], result)
        self.rounded[result] = result  # what follows finds it rounded

    def _weights(self, names: list[str], layer: str, scale: Tensor) -> list[str]:
        """Add the constants of a convolution, given weight and bias and its input's step; returns their values' names.

        Runtimes take a step of the bias for that of the input times that of the weight.
        """
        weight, *bias = (torch.from_numpy(self.read[name]().copy()) for name in names)
        scales = weight_scales(weight, 0)
        if bias:  # is kept in steps of scale * scales, which must fit 32 bits
            scales = scales.maximum(bias[0].abs() / scale / 2**30)
        steps = (weight / scales[:, None, None, None]).round().clamp(-LIMIT, LIMIT).to(torch.int8)
        values = [self._constant(f"{layer}.weight", steps, scales)]
        if bias:
            steps = (bias[0].double() / (scale * scales).double()).round().to(torch.int32)
            values.append(self._constant(f"{layer}.bias", steps, scale * scales))
        return values

    def _round(self, name: str, span: Tensor, result: str | None = None) -> str:
        """Add the rounding of a tensor; returns its name after that."""
        if name in self.rounded:
            return self.rounded[name]
        result = self.rounded[name] = result or f"{name}.rounded"
        scale, zero = scale_and_zero(*span)
        self.scales[result] = scale
        parameters = [f"{result}.scale", f"{result}.zero"]
        self._store(parameters[0], scale)
        self._store(parameters[1], zero.to(torch.uint8))
        self._node("QuantizeLinear", [name, *parameters], f"{result}.steps")
        self._node("DequantizeLinear", [f"{result}.steps", *parameters], result)
        return result

    def _constant(self, name: str, steps: Tensor, scales: Tensor) -> str:
        """Add a constant in steps; returns the name of its values."""
        names = [f"{name}.steps", f"{name}.scale", f"{name}.zero"]
        for key, value in zip(
            names, (steps, scales, torch.zeros_like(steps[:, *[0] * (steps.dim() - 1)])), strict=True
        ):
            self._store(key, value)
        self._node("DequantizeLinear", names, f"{name}.values", axis=0)
        return f"{name}.values"

    def _store(self, name: str, value: Tensor) -> None:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value.contiguous().numpy(), name))

    def _node(self, kind: str, inputs: list[str], output: str, **attributes) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def store(self, graph) -> None:
        """Put what was made into the graph; constants that nothing reads any more are left out."""
        read = {name for node in self.nodes for name in node.input}
        kept = [x for x in graph.initializer if x.name in read]
        for node in self.nodes:  # of a small network they would be a tenth of the file
            node.ClearField("name")
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend([*kept, *self.constants])
