"""TDAN's export: the ONNX file computes what the network does, at sizes and batches of its own."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from common import cli
from tdan import run as command
from tdan.model import TDAN, WINDOW

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

TOLERANCE = 5e-5  # on noise; measured 1e-5
FORMS = [("torchvision", 4), ("tdan", 2), ("torchvision", 2), ("tdan", 4)]


def network(border, scale):
    """Random weights whose offsets are of several pixels.

    With the rule "tdan", whose samples jump at the border, they are the same everywhere: else rounding alone would
    put a sample on the other side now and then.
    """
    torch.manual_seed(0)
    net = TDAN(8, 1, 1, scale=scale, border=border, init="authors").eval()
    for layer in net.deform:
        nn.init.normal_(layer.offset.weight, std=0.0 if border == "tdan" else 0.5)
        nn.init.normal_(layer.offset.bias, std=3)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint files of every network that the tests export."""
    folder = tmp_path_factory.mktemp("weights")
    for form in FORMS:
        torch.save(network(*form).state_dict(), folder / f"{form[0]}{form[1]}.pth")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to stand in: no saved configs, no weights."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capfd, weights, border, scale, *more):
    """Exit code, what was printed, and what went to stderr."""
    form = [f"--set={field}" for field in ("channels=8", "blocks_before=1", "blocks_after=1", f"scale={scale}")]
    argv = ["--ckpt_abs_name", str(weights / f"{border}{scale}.pth"), *form]
    code = cli.run(command.main, [*argv, "--export", "onnx", "--output", "out.onnx", *more])
    return code, *capfd.readouterr()


def session():
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4  # errors are raised too
    return onnxruntime.InferenceSession("out.onnx", settings, providers=["CPUExecutionProvider"])


def predict(file, frames):
    (pred,) = file.run(None, {"frames": frames.numpy()})
    return torch.from_numpy(pred)


def noise(batch, height, width):
    torch.manual_seed(1)
    return torch.rand(batch, WINDOW, 3, height, width)


@torch.no_grad()
def assert_equal(file, border, scale, shapes):
    """File and network agree, and would not if their borders were of different kinds."""
    net, other = network(border, scale), network(border, scale)
    for layer in other.deform:
        layer.border = "tdan" if border == "torchvision" else "torchvision"
    for shape in shapes:
        frames = noise(*shape)
        found = predict(file, frames)
        torch.testing.assert_close(found, net(frames)["pred"], atol=TOLERANCE, rtol=0)
    frames = noise(*shapes[0])
    assert (predict(file, frames) - other(frames)["pred"]).abs().max() > 20 * TOLERANCE


@pytest.mark.parametrize(("border", "scale"), FORMS[:2])
def test_any_size_and_batch(weights, capfd, border, scale):
    code, out, error = run(capfd, weights, border, scale)
    assert (code, error) == (0, "")
    line = r"out\.onnx: [\d.]+ MB, opset 16, any size, max difference to PyTorch \d\.\de-0\d\n"
    assert re.fullmatch(line, out)
    assert list(Path().iterdir()) == [Path("out.onnx")]
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    found = [(x.name, x.shape[:3]) for x in (*file.get_inputs(), *file.get_outputs())]
    assert found == [("frames", ["batch", WINDOW, 3]), ("pred", ["batch", 3, "height"])]
    assert file.get_inputs()[0].shape[3:] == ["height", "width"]
    assert_equal(file, border, scale, [(1, 9, 31), (3, 24, 13), (2, 1, 1)])


@pytest.mark.parametrize(("border", "scale"), FORMS[2:])
def test_fixed_size(weights, capfd, border, scale):
    """It takes the place of another file only if it may."""
    Path("out.onnx").write_text("mine")
    refused = run(capfd, weights, border, scale, "--export_size", "19x11")
    assert refused == (1, "", "error: out.onnx exists: give another output, or --overwrite\n")
    assert Path("out.onnx").read_text() == "mine"
    code, out, error = run(capfd, weights, border, scale, "--export_size", "19x11", "--overwrite")
    assert (code, error) == (0, "")
    assert ", 19x11, " in out
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    assert file.get_inputs()[0].shape == [1, WINDOW, 3, 11, 19]
    assert file.get_outputs()[0].shape == [1, 3, 11 * scale, 19 * scale]
    assert_equal(file, border, scale, [(1, 11, 19)])
    for shape in ((1, 19, 11), (2, 11, 19)):
        with pytest.raises(Exception, match="invalid dimensions"):
            predict(file, noise(*shape))


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        (["--export_size", "0x16"], 2, "--export_size 0x16: expected 1 or more pixels a side"),
        (["--export_size", "180"], 2, "--export_size 180: expected WxH, such as 448x256"),
        (["--output", "out.pth"], 1, "cannot write out.pth: expected a file ending in .onnx"),
        (["--ckpt_abs_name", "none.pth"], 1, "none.pth"),
        (["--set", "scale=4"], 1, "has scale 2 instead of 4"),
    ],
)
def test_refusals(weights, capfd, more, code, line):
    found, out, error = run(capfd, weights, "torchvision", 2, *more)
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert line in error
    assert len(error.splitlines()) == 1
    assert not list(Path().iterdir())
