"""Exported files: what they compute, in what numbers, what their report says, and how they are run."""

import copy
import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from qpwcnet import model
from qpwcnet.config import Config
from qpwcnet.deploy import calibration, export, graph, quantize, report
from qpwcnet.deploy.exported_file import open_exported
from qpwcnet.model import Flower, Interpolator
from qpwcnet.pwcnet import VARIANTS, PWCNet, resize

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

SIZE = (64, 32)
CONFIG = Config(task="flow", data="chairs", valid_data="chairs", input_shape=SIZE)


def small(kind=Flower, **more):
    torch.manual_seed(0)
    network = kind((4, 4, 8, 8, 8), **more).eval()
    for level in network.flower:
        level.flow.weight.data *= 300  # flows of pixels
    if kind is Interpolator:
        network.interpolator[-1].conv2.weight.data *= 10
    return network


def frames(size=SIZE):
    return torch.rand(2, 1, 3, *size, generator=torch.Generator().manual_seed(1)).unbind()


def options(**more):
    given = {"export": "int8", "output": "out.onnx", "overwrite": False, "export_size": None, "calibrate": "clips"}
    return SimpleNamespace(**given | more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with clips, and with both files of one network."""
    place = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for clip in range(2):
        folder = place / "clips" / f"clip{clip}"
        folder.mkdir(parents=True)
        picture = cv2.resize(rng.integers(0, 256, (12, 10, 3), np.uint8), (60, 80), interpolation=cv2.INTER_CUBIC)
        for frame in range(3):
            cv2.imwrite(str(folder / f"{frame}.png"), picture[frame : frame + 72, 2 * frame : 2 * frame + 40])
    patch = pytest.MonkeyPatch()
    patch.setattr(report, "RUNS", 1)
    patch.setattr(export, "load", lambda *_: (small(activation="leaky_relu"), Path("weights.pth")))
    patch.chdir(place)
    replace = export.os.replace

    def keep_floats(part, path):
        path.with_name("float.onnx").write_bytes(path.with_suffix(".float32.part.onnx").read_bytes())
        replace(part, path)

    patch.setattr(export, "os", SimpleNamespace(replace=keep_floats))
    assert export.export(options(), CONFIG) == 0
    patch.undo()
    return place


@torch.no_grad()
@pytest.mark.parametrize("kind", [Flower, Interpolator, *VARIANTS])
def test_deployed_form_computes_the_same(kind):
    if isinstance(kind, str):
        torch.manual_seed(0)
        network, pair = PWCNet(kind).eval(), frames((64, 64))
        expected = resize(network(*pair)["flow"], 64, 64)
        found = graph.Graph(network, "flow")(*pair)
    else:
        network, pair = small(kind), frames()
        interpolates = kind is Interpolator
        expected = network(*pair)["img_5" if interpolates else "flow_5"]
        found = graph.Graph(network, "interp" if interpolates else "flow")(*pair)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def test_gathered_warp_at_and_beyond_the_border():
    x, flow = torch.rand(1, 3, 5, 6), 12 * torch.rand(1, 2, 5, 6) - 6
    flow[..., 0] = 0
    torch.testing.assert_close(graph.gathered_warp(x, flow), graph.model.warp(x, flow), atol=1e-5, rtol=0)


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
    samples, _ = calibration.split(calibration.find_clips(made / "clips"), 2, SIZE)
    quantize.calibrate(quantize.prepare(network), [export.ends(sample) for sample in samples])
    assert (found - network.flow(*pair)).norm() < 0.5 * (found - expected).norm()
    # Also where training has moved the ranges of what goes in and of what comes out apart.
    for layer in network.modules():
        if isinstance(layer, model.Separable):
            layer.pointwise.ranges[0] *= 1.5
    ranges = {f"network.{name}": value for name, value in quantize.take_ranges(copy.deepcopy(network)).items()}
    quantize.write_int8(made / "float.onnx", tmp_path / "q.onnx", ranges)
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
    assert rounded == 5 * 3 + 4 + 5 * (3 + 4 + 1)
    floats = onnx.load(made / "float.onnx").graph.initializer
    bytes_of = [
        sum(onnx.numpy_helper.to_array(x).nbytes for x in part if x.name.endswith(ending))
        for part, ending in ((floats, "pointwise.weight"), (graph.initializer, "pointwise.weight.steps"))
    ]
    assert 0 < 4 * bytes_of[1] == bytes_of[0]


def test_report(made):
    report = json.loads((made / "out.onnx.json").read_text())
    assert (report["task"], report["network"], report["size"], report["format"]) == ("flow", "QPWCNet", "32x64", "int8")
    sizes = report["megabytes"]
    assert sizes["int8"] == (made / "out.onnx").stat().st_size / 1e6
    assert report["megabytes_ratio"] == sizes["int8"] / sizes["float32"] < 1
    difference = report["difference_to_float32"]
    assert 0 < difference["percent"] < 40
    assert difference["percent"] == pytest.approx(100 * difference["epe"] / difference["mean_flow"])
    assert (report["held_out_samples"], report["ranges"]) == (2, "of 2 calibrating samples")
    times = report["latency"]["milliseconds"]
    assert report["latency"]["ratio"] == times["int8"] / times["float32"]
    assert report["stays_in_float"]["Conv"]["count"] == 5
    assert all(row["why"] for row in report["stays_in_float"].values())
    assert set(report["versions"]) == {"torch", "onnx", "onnxruntime"}
    assert {path.name for path in made.iterdir()} == {"clips", "float.onnx", "out.onnx", "out.onnx.json"}


def test_exported_file_refuses_what_it_cannot_do(made, tmp_path):
    file = open_exported(made / "out.onnx")
    with pytest.raises(ValueError, match="was exported for --task flow"):
        file.between(*frames())
    with pytest.raises(ValueError, match="takes frames of 32x64 pixels only"):
        file.flow(*frames((64, 64)))
    (tmp_path / "bad.onnx").write_bytes(b"none")
    for name, line in (("bad.onnx", "cannot read it"), ("none.onnx", "no such file"), ("none.tflite", "no such file")):
        with pytest.raises(ValueError, match=line):
            open_exported(tmp_path / name)


def test_trained_ranges_are_taken(made, tmp_path):
    network = quantize.prepare(small(activation="leaky_relu"))
    quantize.calibrate(network, [frames()])
    ranges = quantize.take_ranges(network)
    ranges["encoder.2.conv_b"][1] = torch.tensor([-2.0, 3.1])
    named = {f"network.{name}": value for name, value in ranges.items()}
    quantize.write_int8(made / "float.onnx", tmp_path / "q.onnx", named)
    graph = onnx.load(tmp_path / "q.onnx").graph
    (conv,) = [
        node for node in graph.node if node.input[1:] and node.input[1] == "network.encoder.2.conv_b.weight.values"
    ]
    (rounding,) = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == conv.output[0]]
    constants = {x.name: onnx.numpy_helper.to_array(x) for x in graph.initializer}
    assert constants[rounding.input[1]] == pytest.approx(0.02)
    assert constants[rounding.input[2]] == 100
    with pytest.raises(ValueError, match="are not known: calibrate or train"):
        quantize.write_int8(
            made / "float.onnx", tmp_path / "q.onnx", named | {"network.decoder.1": torch.full((2, 2), torch.nan)}
        )
    with pytest.raises(ValueError, match="holds no convolution other"):
        quantize.write_int8(made / "float.onnx", tmp_path / "q.onnx", named | {"other": ranges["decoder.0"]})


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"calibrate": None}, "--export int8 needs --calibrate DIR"),
        ({"calibrate": "none"}, "--calibrate none: no such folder"),
        ({"calibrate": "."}, "it holds none"),
        ({"export_size": "64x48"}, "--export_size 64x48: expected multiples of 32"),
        ({"output": "out.pth"}, "expected a file ending in .onnx"),
        ({"output": "old.onnx"}, "old.onnx.json exists: give another output, or --overwrite"),
    ],
)
def test_refusals(tmp_path, monkeypatch, more, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "load", lambda *_: (small(), Path("weights.pth")))
    Path("old.onnx.json").write_text("mine")
    with pytest.raises(Exception, match=line) as error:
        export.export(options(**more), CONFIG)
    assert len(str(error.value).splitlines()) == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="--export needs onnxruntime"):
        export.export(options(), dataclasses.replace(CONFIG))


def test_clips_are_held_out(made, tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(8):
        for part in (1, 2):
            cv2.imwrite(str(tmp_path / f"data/{number}_img{part}.ppm"), np.full((8, 8, 3), 2 * number + part, np.uint8))
    calibrating, held_out = calibration.split(calibration.find_clips(tmp_path), 2, (8, 8))
    values = [[[int(frame[0, 0, 0, 0]) for frame in sample] for sample in part] for part in (calibrating, held_out)]
    assert values == [[[2 * k + 1, 2 * k + 2] for k in (0, 1, 2, 4, 5, 6)], [[7, 8], [15, 16]]]
    (clip,) = calibration.find_clips(made / "clips/clip0")
    with pytest.raises(ValueError, match="expected two clips or more"):
        calibration.split([clip[:2]], 2, SIZE)
    many = calibration.split([4 * clip], 2, SIZE)
    assert [len(part) for part in many] == [7, 3]
