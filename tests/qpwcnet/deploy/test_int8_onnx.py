"""int8 ONNX files: what they compute, and in what numbers."""

import copy

import numpy as np
import pytest
import torch

from qpwcnet import model
from qpwcnet.deploy import calibration_clips, export, quantize
from qpwcnet.deploy.exported_file import open_exported
from qpwcnet.deploy.int8_onnx import write_int8
from tests.helpers.exported_qpwcnet import SIZE, frames, small

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")


@torch.no_grad()
def test_files_compute_what_the_network_does(made, tmp_path):
    network, pair = small(activation="leaky_relu"), frames()
    expected = network.flow(*pair)
    floats, rounded = open_exported(made / "float.onnx"), open_exported(made / "out.onnx")
    assert (floats.task, floats.size) == (rounded.task, rounded.size) == ("flow", SIZE)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(floats.flow(*pair), expected, atol=tolerance, rtol=0)
    two = [torch.cat((x, x.flip(2))) for x in pair]
    torch.testing.assert_close(floats.flow(*two)[1:], network.flow(*[x.flip(2) for x in pair]), atol=tolerance, rtol=0)
    found = rounded.flow(*pair)
    error = (found - expected).norm(dim=1).mean() / expected.norm(dim=1).mean()
    assert 1e-4 < error < 0.3
    # int8 in the file is int8 as training simulates it.
    samples, _ = calibration_clips.split(calibration_clips.find_clips(made / "clips"), 2, SIZE)
    quantize.calibrate(quantize.prepare(network), [export.ends(sample) for sample in samples])
    assert (found - network.flow(*pair)).norm() < 0.5 * (found - expected).norm()
    # Also where training has moved the ranges of what goes in and of what comes out apart.
    for layer in network.modules():
        if isinstance(layer, model.Separable) and hasattr(layer.pointwise, "ranges"):
            layer.pointwise.ranges[0] *= 1.5
    ranges = {f"network.{name}": value for name, value in quantize.take_ranges(copy.deepcopy(network)).items()}
    write_int8(made / "float.onnx", tmp_path / "q.onnx", ranges)
    export.label(tmp_path / "q.onnx", {"task": "flow"})
    found = open_exported(tmp_path / "q.onnx").flow(*pair)
    assert (found - network.flow(*pair)).norm() < 0.5 * (found - expected).norm()


def test_int8_file_holds_whole_numbers(made):
    graph = onnx.load(made / "out.onnx").graph
    makers = {name: node for node in graph.node for name in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    constants = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    rounded = 0
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] in constants:
            continue
        rounded += 1
        x, weight = makers[node.input[0]], makers[node.input[1]]
        assert x.op_type == weight.op_type == "DequantizeLinear"
        assert constants[x.input[2]].dtype == np.uint8
        steps, scales = constants[weight.input[0]], constants[weight.input[1]]
        assert steps.dtype == np.int8
        assert scales.shape == steps.shape[:1]
        assert np.abs(steps).max() <= 64
        assert readers[node.output[0]].op_type == "QuantizeLinear"
        if len(node.input) > 2:
            assert constants[makers[node.input[2]].input[0]].dtype == np.int32
    assert rounded == 5 * 3 + 4 + 4 * (3 + 4 + 1) + 3
    floats = onnx.load(made / "float.onnx").graph.initializer
    bytes_of = [
        sum(onnx.numpy_helper.to_array(x).nbytes for x in part if x.name.endswith(ending))
        for part, ending in ((floats, "0.pointwise.weight"), (graph.initializer, "0.pointwise.weight.steps"))
    ]
    assert 0 < 4 * bytes_of[1] == bytes_of[0]


def test_trained_ranges_are_taken(made, tmp_path):
    network = quantize.prepare(small(activation="leaky_relu"))
    quantize.calibrate(network, [frames()])
    ranges = quantize.take_ranges(network)
    ranges["encoder.2.conv_b"][1] = torch.tensor([-2.0, 3.1])
    named = {f"network.{name}": value for name, value in ranges.items()}
    write_int8(made / "float.onnx", tmp_path / "q.onnx", named)
    graph = onnx.load(tmp_path / "q.onnx").graph
    (conv,) = [
        node for node in graph.node if node.input[1:] and node.input[1] == "network.encoder.2.conv_b.weight.values"
    ]
    (rounding,) = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == conv.output[0]]
    constants = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    assert constants[rounding.input[1]] == pytest.approx(0.02)
    assert constants[rounding.input[2]] == 100
    with pytest.raises(ValueError, match="are not known: calibrate or train"):
        write_int8(
            made / "float.onnx", tmp_path / "q.onnx", named | {"network.decoder.1": torch.full((2, 2), torch.nan)}
        )
    with pytest.raises(ValueError, match="holds no convolution other"):
        write_int8(made / "float.onnx", tmp_path / "q.onnx", named | {"other": ranges["decoder.0"]})
