"""IFRNet's export: the ONNX file computes what the network does, at sizes, batches and times of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common import cli
from ifrnet import export
from ifrnet import run as command
from ifrnet.model import IFRNet

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

RUN = Path(command.__file__)
TOLERANCE = 2e-4  # on noise; measured 2e-5
SHAPES = [(1, 64, 80), (2, 96, 48), (3, 32, 112)]  # none is the one that the exporter traces


def network(size):
    """Random weights whose flows are of many pixels at every level."""
    torch.manual_seed(0)
    net = IFRNet(size).eval()
    for level in (1, 2, 3, 4):
        last = getattr(net, f"decoder{level}").convblock[2]
        last.weight.data[:, :4] *= 10
        last.bias.data[:4] = 2 * torch.randn(4)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint files of every network that the tests export."""
    folder = tmp_path_factory.mktemp("weights")
    for size in ("IFRNet_tiny", "IFRNet_S"):
        torch.save(network(size).state_dict(), folder / f"{size}.pth")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to stand in: no saved configs, no weights."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(weights, *more, size="IFRNet_tiny", output="out.onnx"):
    return ["--export", "onnx", "--output", output, "--ckpt_abs_name", str(weights / f"{size}.pth"), *more]


def run(capfd, *argv):
    """Exit code, what was printed, and what went to stderr."""
    code = cli.run(command.main, list(argv))
    return code, *capfd.readouterr()


def session(path="out.onnx"):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4  # errors are raised too
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def predict(file, img0, img1, t):
    (pred,) = file.run(None, {"img0": img0.numpy(), "img1": img1.numpy(), "t": t.numpy()})
    return torch.from_numpy(pred)


@torch.no_grad()
def assert_equal(file, net, shapes, scale=1.0):
    """File and network agree on noise, and the frame depends on t."""
    for batch, height, width in shapes:
        frames = torch.rand(2, batch, 3, height, width)
        found = []
        for first in (0.2, 0.7):
            t = torch.linspace(first, first + 0.1, batch)
            found.append(predict(file, *frames, t))
            torch.testing.assert_close(found[-1], net(*frames, t, scale)["pred"], atol=TOLERANCE, rtol=0)
        assert (found[0] - found[1]).abs().max() > 10 * TOLERANCE


@pytest.mark.parametrize(
    ("size", "scale", "multiple"), [("IFRNet_tiny", 1.0, 16), ("IFRNet_S", 1.0, 16), ("IFRNet_tiny", 0.5, 32)]
)
def test_any_size_batch_and_time(weights, capfd, size, scale, multiple):
    code, out, error = run(capfd, *arguments(weights, "--scale", str(scale), size=size))
    assert (code, error) == (0, "")
    form = rf"out\.onnx: [\d.]+ MB, opset 16, any size in multiples of {multiple}, max difference to PyTorch \de-0\d\n"
    assert re.fullmatch(form.replace(r"\de", r"\d\.\de"), out)
    assert sorted(Path().iterdir()) == [Path("out.onnx")]
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    images = ["batch", 3, "height", "width"]
    assert {x.name: x.shape for x in file.get_inputs()} == {"img0": images, "img1": images, "t": ["batch"]}
    assert {x.name: x.shape for x in file.get_outputs()} == {"pred": images}
    assert_equal(file, network(size), [(b, h * multiple // 16, w * multiple // 16) for b, h, w in SHAPES], scale)


def test_dynamic_file_refuses_a_size_between_multiples(weights, capfd):
    assert run(capfd, *arguments(weights))[0] == 0
    file = session()
    for height, width in ((64, 72), (40, 64)):
        frames = torch.rand(2, 1, 3, height, width)
        with pytest.raises(Exception, match="Non-zero status code"):
            predict(file, *frames, torch.tensor([0.5]))


def test_fixed_size(weights, capfd):
    code, out, error = run(capfd, *arguments(weights, "--export_size", "80x64"))
    assert (code, error) == (0, "")
    assert ", 80x64, " in out
    onnx.checker.check_model("out.onnx", full_check=True)
    file = session()
    assert [x.shape for x in file.get_inputs()] == [[1, 3, 64, 80], [1, 3, 64, 80], [1]]
    assert_equal(file, network("IFRNet_tiny"), [(1, 64, 80)])
    for shape in ((1, 3, 80, 64), (1, 3, 64, 96), (2, 3, 64, 80)):
        frames = torch.rand(2, *shape)
        with pytest.raises(Exception, match="invalid dimensions"):
            predict(file, *frames, torch.full(shape[:1], 0.5))


def test_network_that_ignores_time(here, capfd):
    net = network("IFRNet_tiny")
    net.decoder4.convblock[0][0].weight.data[:, -1] = 0
    torch.save(net.state_dict(), here / "IFRNet_tiny.pth")
    code, out, _ = run(capfd, *arguments(here))
    assert code == 0
    assert "; t has no effect" in out
    file, frames = session(), torch.rand(2, 1, 3, 32, 48)
    assert torch.equal(predict(file, *frames, torch.tensor([0.2])), predict(file, *frames, torch.tensor([0.7])))


def test_command_prints_one_line_and_no_warning(weights):
    argv = [sys.executable, str(RUN), *arguments(weights, output="new/out.onnx")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert Path("new/out.onnx").is_file()


def test_existing_output(weights, capfd):
    Path("out.onnx").write_text("mine")
    code, out, error = run(capfd, *arguments(weights))
    assert (code, out, error) == (1, "", "error: out.onnx exists: give another output, or --overwrite\n")
    assert Path("out.onnx").read_text() == "mine"
    assert run(capfd, *arguments(weights, "--overwrite"))[0] == 0
    onnx.checker.check_model("out.onnx")


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        (["--export_size", "450x256"], 2, "--export_size 450x256: expected multiples of 16"),
        (["--export_size", "448x250"], 2, "--export_size 448x250: expected multiples of 16"),
        (["--export_size", "0x16"], 2, "--export_size 0x16: expected multiples of 16"),
        (["--export_size", "80x80", "--scale", "0.5"], 2, "--export_size 80x80: expected multiples of 32"),
        (["--export_size", "448"], 2, "--export_size 448: expected WxH, such as 448x256"),
        (["--output", "out.pth"], 1, "cannot write out.pth: expected a file ending in .onnx"),
        (["--ckpt_abs_name", "none.pth"], 1, "none.pth"),
    ],
)
def test_refusals(weights, capfd, more, code, line):
    found, out, error = run(capfd, *arguments(weights, *more))
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert line in error
    assert len(error.splitlines()) == 1
    assert not list(Path().iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_extra(weights, capfd, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # import raises ModuleNotFoundError
    code, out, error = run(capfd, *arguments(weights))
    assert (code, out) == (1, "")
    assert error == f"error: --export needs {package}: pip install -c constraints.txt -e '.[export]'\n"


def test_file_that_differs_does_not_get_its_name(weights, capfd, monkeypatch):
    forward = export.Graph.forward
    monkeypatch.setattr(export.Graph, "forward", lambda *x: forward(*x) + (0.01 if torch.jit.is_tracing() else 0))
    Path("out.onnx").write_text("mine")
    code, out, error = run(capfd, *arguments(weights, "--overwrite"))
    assert (code, out, error) == (
        1, "", "error: out.onnx is not written: it would differ from the network by 1.0e-02\n"
    )  # fmt: skip
    assert sorted(Path().iterdir()) == [Path("out.onnx")]
    assert Path("out.onnx").read_text() == "mine"
