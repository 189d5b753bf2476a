"""TOFlow's export: the ONNX file computes what the network does, at sizes and batches of its own."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from common import cli
from toflow import run as command
from toflow.model import FORMS, SMALL, TOFlow

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

TOLERANCE = 2e-4  # on noise; measured 2e-5
USED = ("official_sr", "paper_interp_mask", "pytoflow_interp", "pytoflow_denoise")


def network(form):
    """Random weights whose flows are of several pixels, and statistics as of a trained batch normalisation."""
    torch.manual_seed(0)
    net = TOFlow(FORMS[form]).eval()
    for part in (*net.spynets, *([net.masknet] if FORMS[form].mask else [])):
        for level in part.levels:
            nn.init.normal_(level[-1].weight, std=0.02)
            nn.init.normal_(level[-1].bias, std=0.5)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint files of every network that the tests export."""
    folder = tmp_path_factory.mktemp("weights")
    for form in USED:
        torch.save(network(form).state_dict(), folder / f"{form}.pth")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to stand in: no saved configs, no weights."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capfd, weights, form, *more):
    """Exit code, what was printed, and what went to stderr."""
    task = "interp" if FORMS[form].frames == 2 else "sr" if "sr" in form else "denoise"
    argv = ["--task", task, "--network", form, "--ckpt_abs_name", str(weights / f"{form}.pth")]
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


def noise(form, batch, height, width):
    torch.manual_seed(1)
    return torch.rand(batch, FORMS[form].frames, 3, height, width)


@torch.no_grad()
def assert_equal(file, form, shapes):
    """File and network agree on noise, in which things move."""
    for shape in shapes:
        frames = noise(form, *shape)
        found = network(form)(frames)
        assert found["flows"].abs().mean() > 0.3
        torch.testing.assert_close(predict(file, frames), found["pred"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("form", "size", "shapes"),
    [
        ("official_sr", "multiples of 16", [(1, 48, 16), (3, 16, 32)]),
        ("paper_interp_mask", "multiples of 16", [(1, 48, 16), (3, 16, 32)]),
        ("pytoflow_interp", "multiples of 8 with a side over 128", [(1, 24, 136), (3, 144, 32)]),
        ("pytoflow_denoise", "multiples of 8 with a side over 128", [(1, 136, 16)]),
    ],
)
def test_any_size_and_batch(weights, capfd, form, size, shapes):
    code, out, error = run(capfd, weights, form)
    assert (code, error) == (0, "")
    line = rf"out\.onnx: [\d.]+ MB, opset 16, any size in {size}, max difference to PyTorch \d\.\de-0\d\n"
    assert re.fullmatch(line, out)
    assert list(Path().iterdir()) == [Path("out.onnx")]
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    found = [(x.name, x.shape) for x in (*file.get_inputs(), *file.get_outputs())]
    frames = FORMS[form].frames
    assert found == [("frames", ["batch", frames, 3, "height", "width"]), ("pred", ["batch", 3, "height", "width"])]
    assert_equal(file, form, shapes)


def test_sizes_that_a_dynamic_file_is_not_for(weights, capfd):
    """Between the multiples it fails; below the least side it has all levels, where the network has fewer."""
    form = "pytoflow_interp"
    assert run(capfd, weights, form)[0] == 0
    file = session()
    with pytest.raises(Exception, match="Non-zero status code"):
        predict(file, noise(form, 1, 140, 20))
    frames = noise(form, 1, 4 * SMALL, 32)
    with torch.no_grad():
        assert (predict(file, frames) - network(form)(frames)["pred"]).abs().max() > 10 * TOLERANCE


@pytest.mark.parametrize(
    ("form", "width", "height"), [("pytoflow_interp", 67, 45), ("pytoflow_denoise", 30, 21), ("official_sr", 32, 16)]
)
def test_fixed_size(weights, capfd, form, width, height):
    code, out, error = run(capfd, weights, form, "--export_size", f"{width}x{height}")
    assert (code, error) == (0, "")
    assert f", {width}x{height}, " in out
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    assert file.get_inputs()[0].shape == [1, FORMS[form].frames, 3, height, width]
    assert_equal(file, form, [(1, height, width)])
    for shape in ((1, width, height), (2, height, width)):
        with pytest.raises(Exception, match="invalid dimensions"):
            predict(file, noise(form, *shape))


def test_existing_output(weights, capfd):
    Path("out.onnx").write_text("mine")
    code, out, error = run(capfd, weights, "pytoflow_interp")
    assert (code, out, error) == (1, "", "error: out.onnx exists: give another output, or --overwrite\n")
    assert Path("out.onnx").read_text() == "mine"
    assert run(capfd, weights, "pytoflow_interp", "--overwrite", "--export_size", "16x16")[0] == 0
    onnx.checker.check_model("out.onnx")


@pytest.mark.parametrize(
    ("form", "more", "code", "line"),
    [
        ("official_sr", ["--export_size", "450x256"], 2, "--export_size 450x256: expected multiples of 16"),
        ("official_sr", ["--export_size", "448x0"], 2, "--export_size 448x0: expected multiples of 16"),
        ("pytoflow_interp", ["--export_size", "0x16"], 2, "--export_size 0x16: expected 16 or more pixels a side"),
        ("pytoflow_interp", ["--export_size", "64x15"], 2, "--export_size 64x15: expected 16 or more pixels a side"),
        ("pytoflow_interp", ["--export_size", "448"], 2, "--export_size 448: expected WxH, such as 448x256"),
        ("pytoflow_interp", ["--output", "out.pth"], 1, "cannot write out.pth: expected a file ending in .onnx"),
        ("pytoflow_interp", ["--ckpt_abs_name", "none.pth"], 1, "none.pth"),
    ],
)
def test_refusals(weights, capfd, form, more, code, line):
    found, out, error = run(capfd, weights, form, *more)
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert line in error
    assert len(error.splitlines()) == 1
    assert not list(Path().iterdir())
