"""The int8 ONNX file: the one of float32, with the roundings of `quantize.py` around its convolutions.

onnxruntime takes a convolution between such roundings (QuantizeLinear, DequantizeLinear) for one in whole numbers.
"""

import functools
from pathlib import Path

import torch
from torch import Tensor

from qpwcnet.deploy.quantize import LIMIT, scale_and_zero, weight_scales


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
