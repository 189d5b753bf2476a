"""Export to ONNX: which file, which size, the comparison with the network before the file has its name."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from common.checkpoints import onnx_export
from common.cli import UsageError

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def options(output="out.onnx", overwrite=False, export_size=None, export="onnx"):
    return SimpleNamespace(output=output, overwrite=overwrite, export_size=export_size, export=export)


def test_the_file_that_is_written(monkeypatch):
    assert onnx_export.target(options()) == Path("out.onnx")
    with pytest.raises(ValueError, match=r"cannot write out\.pth: expected a file ending in \.onnx"):
        onnx_export.target(options("out.pth"))
    Path("out.onnx").touch()
    with pytest.raises(ValueError, match=r"out\.onnx exists: give another output, or --overwrite"):
        onnx_export.target(options())
    assert onnx_export.target(options(overwrite=True)) == Path("out.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match=r"--export dynamo needs onnxscript: pip install .*'\.\[export,dynamo\]'"):
        onnx_export.target(options("new.onnx", export="dynamo"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="--export needs onnxruntime: pip install"):
        onnx_export.target(options(overwrite=True))
    assert onnx_export.target(options("out.tflite"), ".tflite") == Path("out.tflite")  # needs no such package


def test_the_size_of_the_flag():
    assert onnx_export.fixed_size(options(), 16) is None
    assert onnx_export.fixed_size(options(export_size="96x64"), 32) == (64, 96)
    with pytest.raises(UsageError, match="--export_size 96x64: expected multiples of 64"):
        onnx_export.fixed_size(options(export_size="96x64"), 64)
    with pytest.raises(UsageError, match="--export_size 9x64: expected 10 or more pixels a side"):
        onnx_export.fixed_size(options(export_size="9x64"), 1, least=10)


def test_frames_are_smooth_and_in_range():
    frames = onnx_export.smooth_frames(torch.Generator().manual_seed(0), 2, 30, 45, 8)
    assert frames.shape == (2, 3, 30, 45)
    assert 0 <= frames.min() < frames.max() <= 1
    assert frames.diff(dim=-1).abs().max() < 1 / 7  # of a step of at most 1 over 8 pixels
    assert frames.diff(dim=-1).abs().max() > 1 / 100


class Graph(nn.Module):
    def __init__(self, off=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.off = nn.Conv2d(3, 2, 3, padding=1), off

    def forward(self, image):
        return self.layer(image) + (self.off if torch.jit.is_tracing() else 0)


AXES = {"image": {2: "height", 3: "width"}, "pred": {2: "height", 3: "width"}}


def save(graph, path, sizes=((8, 12),), tolerance=1e-5):
    inputs = [{"image": torch.rand(1, 3, *size)} for size in sizes]
    onnx_export.save(
        graph, Path(path), inputs[0], inputs, axes=AXES, tolerance=tolerance, size="any size", note="; so it is"
    )


def test_a_file_computes_what_the_network_does(capsys):
    save(Graph().eval(), "new/out.onnx", [(8, 12), (5, 9)])
    line = capsys.readouterr().out
    assert line.startswith("new/out.onnx: 0.0 MB, opset 16, any size, max difference to PyTorch ")
    assert line.endswith("; so it is\n")
    assert [path.name for path in Path("new").iterdir()] == ["out.onnx"]
    session = onnxruntime.InferenceSession("new/out.onnx", providers=["CPUExecutionProvider"])
    image = torch.rand(1, 3, 7, 20)
    with torch.no_grad():
        expected = Graph()(image)
    (found,) = session.run(["pred"], {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("off", "told"), [(0.25, r"2\.5e-01"), (float("nan"), "nan")])
def test_a_file_that_differs_gets_no_name(off, told):
    Path("out.onnx").write_text("mine")
    with pytest.raises(ValueError, match=rf"^out\.onnx is not written: it would differ from the network by {told}$"):
        save(Graph(off).eval(), "out.onnx")
    assert [path.name for path in Path().iterdir()] == ["out.onnx"]
    assert Path("out.onnx").read_text() == "mine"


class OneSize(nn.Module):
    def forward(self, image):
        return image * int(image.shape[2])


@pytest.mark.parametrize("build", [Graph, OneSize])
def test_the_newer_exporter(build, capfd):
    pytest.importorskip("onnxscript", reason="the extra dynamo is not installed")
    inputs = [{"image": torch.rand(1, 3, *size)} for size in ((8, 12), (5, 9))]
    given = {"axes": AXES, "tolerance": 1e-5, "size": "any size", "dynamo": True}
    if build is OneSize:
        with pytest.raises(ValueError, match="cannot keep the sizes of this network free: give --export_size"):
            onnx_export.save(build().eval(), Path("out.onnx"), inputs[0], inputs, **given)
        assert list(Path().iterdir()) == []
        given["axes"] = None
        inputs = inputs[:1]
    onnx_export.save(build().eval(), Path("out.onnx"), inputs[0], inputs, **given)
    out, error = capfd.readouterr()
    assert out.startswith("out.onnx: 0.0 MB, opset 18, any size, max difference to PyTorch ")
    assert error == ""
