"""The newer exporter, in every paper: the file computes what the network does, at sizes and batches of its own.

Each takes a quarter of a minute; without the extra `dynamo`, which `make test` does not install, they are skipped.
"""

import importlib

import pytest
import torch

import qpwcnet.run
from common import cli
from common.checkpoints import checkpoint_file
from ifrnet.model import IFRNet
from pvdnet.models.deblurnet import DeblurNet
from tdan.model import TDAN
from toflow.model import FORMS, TOFlow

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
pytest.importorskip("onnxscript", reason="the extra dynamo is not installed")


def images(count, batch, height, width):
    return tuple(torch.rand(count, batch, 3, height, width))


CASES = {
    "ifrnet": (
        lambda: IFRNet("IFRNet_tiny"), ["--config", "IFRNet_tiny"], "pred",
        lambda b, h, w: (*images(2, b, 16 * h, 16 * w), torch.rand(b)),
    ),
    "tdan": (
        lambda: TDAN(8, 1, 1), ["--set=channels=8", "--set=blocks_before=1", "--set=blocks_after=1"], "pred",
        lambda b, h, w: (torch.rand(b, 5, 3, 7 * h, 9 * w),),
    ),
    "toflow": (
        lambda: TOFlow(FORMS["tiny_denoise"]), ["--task", "denoise", "--config", "TOFlow_denoise_tiny"], "pred",
        lambda b, h, w: (torch.rand(b, 7, 3, 16 * h, 16 * w),),
    ),
    "pvdnet": (
        lambda: DeblurNet("PVDNet_small", with_BIMNet=False), ["--config", "config_PVDNet_small"], "result",
        lambda b, h, w: images(4, b, 8 * h, 8 * w),
    ),
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("paper", CASES)
def test_any_size_and_batch(paper, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    build, argv, result, draw = CASES[paper]
    network = build().eval()
    checkpoint_file.save(network.state_dict(), "w.pth")
    argv = [*argv, "--ckpt_abs_name", "w.pth", "--export", "dynamo", "--output", "out.onnx"]
    assert cli.run(importlib.import_module(f"{paper}.run").main, argv) == 0
    out, error = capfd.readouterr()
    assert (len(out.splitlines()), error) == (1, "")
    assert ", opset 18, any size" in out
    session = onnxruntime.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, 5, 3), (3, 2, 4)):
        inputs = draw(*shape)
        (found,) = session.run(None, {x.name: y.numpy() for x, y in zip(session.get_inputs(), inputs, strict=True)})
        torch.testing.assert_close(torch.from_numpy(found), network(*inputs)[result], atol=2e-4, rtol=0)


@torch.no_grad()
def test_a_size_of_its_own(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    argv = ["--config", "QPWCNet_free", "--weights", "free", "--export_size", "128x96"]
    assert cli.run(qpwcnet.run.main, [*argv, "--export", "dynamo", "--output", "out.onnx"]) == 0
    assert capfd.readouterr().out.startswith("out.onnx: QPWCNet, flow, 128x96, float32")
    first, second = images(2, 1, 96, 128)
    session = onnxruntime.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"prv": first.numpy(), "nxt": second.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), qpwcnet.load().network.flow(first, second), atol=5e-3, rtol=0)
