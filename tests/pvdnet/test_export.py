"""PVDNet's export: the ONNX file computes a step of the recurrence, and frame by frame the whole of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pvdnet
from common import cli
from common.checkpoints import checkpoint_file
from common.media.image import to_uint8
from pvdnet import export
from pvdnet import run as command
from pvdnet.infer import with_neighbours
from pvdnet.models.deblurnet import DeblurNet
from tests.helpers.clips import pictures
from tests.helpers.networks import lively_liteflownet

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

SMALL = ("--config", "config_PVDNet_small", "--ckpt_abs_name", "small.pth")
MOVING = (*SMALL, "--set", "with_BIMNet=true")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return tmp_path


def run(capfd, *more):
    """Exit code, what was printed, and what went to stderr."""
    code = cli.run(command.main, ["--export", "onnx", "--output", "out.onnx", *more])
    return code, *capfd.readouterr()


def predict(*frames):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("out.onnx", settings, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: x.numpy() for name, x in zip(export.INPUTS, frames, strict=True)})
    return torch.from_numpy(found)


@torch.no_grad()
def test_any_size_and_batch(capfd):
    network = DeblurNet("PVDNet_small", with_BIMNet=False).eval()
    checkpoint_file.save(network.state_dict(), "small.pth")
    code, out, error = run(capfd, *SMALL)
    assert (code, error) == (0, "")
    assert out.startswith("out.onnx: ")
    assert "any size in multiples of 4, max difference" in out
    onnx.checker.check_model("out.onnx", full_check=True)
    for batch, height, width in ((1, 24, 40), (3, 52, 16), (2, 8, 8)):
        frames = torch.rand(4, batch, 3, height, width)
        torch.testing.assert_close(predict(*frames), network(*frames)["result"], atol=1e-5, rtol=0)


def test_the_recurrence_of_the_box(capfd):
    assert run(capfd, "--weights", "free")[0] == 0
    frames = pictures(3, 32, 64)  # no padding
    memory, made = None, []
    for window in with_neighbours(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[:, None].float() / 255):
        memory = predict(*window, window[1] if memory is None else memory)
        made.append(to_uint8(memory[0].permute(1, 2, 0).numpy()))
    expected = list(pvdnet.load(device="cpu", amp="off")(frames))
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(made, expected, strict=True)) <= 1
    assert any(np.abs(a.astype(int) - b).max() > 1 for a, b in zip(made, frames, strict=True))


@torch.no_grad()
def test_with_motion_one_size(capfd):
    network = DeblurNet("PVDNet_small").eval()
    network.BIMNet.load_state_dict(lively_liteflownet().state_dict())
    network.BIMNet.moduleMatching[0].moduleMain[-1].bias += 0.12
    for scale in (
        network.BIMNet.moduleRegularization[0].moduleScaleX,
        network.BIMNet.moduleRegularization[0].moduleScaleY,
    ):
        torch.nn.init.ones_(scale.weight)  # an average, as trained ones
    checkpoint_file.save(network.state_dict(), "small.pth")
    code, _, error = run(capfd, *MOVING)
    assert (code, error) == (
        2, "error: a network with BIMNet is exported for one size: give --export_size, multiples of 32\n"
    )  # fmt: skip
    assert run(capfd, *MOVING, "--export_size", "64x32")[0] == 0
    frames = torch.rand(4, 1, 3, 32, 64)
    flow = network(*frames)["flow_bb"]
    assert flow.abs().max() > 1
    difference = (predict(*frames) - network(*frames)["result"]).abs()
    assert difference.quantile(0.99) < 1e-4  # but for pixels whose flow rounding puts beyond a whole number


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        (["--export_size", "30x32"], 2, "--export_size 30x32: expected multiples of 4"),
        (["--identity"], 2, "--identity has no network: it goes with testing and with --input"),
        (["--output", "out.pth"], 1, "cannot write out.pth: expected a file ending in .onnx"),
        (["--config", "config_BIMNet"], 2, "BIMNet alone deblurs nothing"),
    ],
)
def test_refusals(capfd, more, code, line):
    found, out, error = run(capfd, *SMALL, *more)
    assert (found, out) == (code, "")
    assert error.startswith("error: ")
    assert line in error
    assert not list(Path().iterdir())
