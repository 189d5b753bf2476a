"""Published layouts of the papers' checkpoints, as the reference cases have them, to ours and back."""

import importlib
import json
from pathlib import Path

import pytest
import torch

from common.checkpoints import checkpoint_file, published
from common.ops.liteflownet import LiteFlowNet
from ifrnet.model import IFRNet
from pvdnet.models.deblurnet import DeblurNet
from qpwcnet.model import Flower
from qpwcnet.pwcnet import PWCNet
from tdan.model import TDAN
from tests.helpers.runs import call
from toflow.model import FORMS, SPyNet, TOFlow

GOLDENS = Path(__file__).parents[2] / "goldens"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def convert(capsys, *argv):
    return call(capsys, published.main, "convert", *argv)


CASES = [
    ("ifrnet", "ifrnet_s_x8", "authors", "", "IFRNet"),
    ("ifrnet", "mm_x2", "mmediting", "", "IFRNet"),
    ("ifrnet", "liteflownet", "authors", "", "LiteFlowNet"),
    ("qpwcnet", "pwcnet_nvlabs_128x192", "nvlabs", "", "PWCNet"),
    ("qpwcnet", "pwcnet_estimate_70x100", "sniklaus", "", "PWCNet"),
    ("tdan", "mmagic_net_mid16", "mmagic", "", "TDAN"),
    ("tdan", "tdan2018_net_n2_odd", "authors", "", "TDAN"),
    ("toflow", "mm_vfi_padded", "mmagic_vfi", "tof_spynet-chair-wobn_1xb1_vimeo90k-triplet", "TOFlow"),
    ("toflow", "mm_vsr_official", "mmagic_vsr", "tof_x4_official_vimeo90k", "TOFlow"),
    ("toflow", "basicsr_vsr_official", "basicsr", "tof_x4_official_vimeo90k", "TOFlow"),
    ("toflow", "py_sr", "pytoflow", "pytoflow_sr", "TOFlow"),
    ("toflow", "spynet_py", "moduleBasic", "", "SPyNet"),
    ("toflow", "spynet_mm_vsr", "mmagic_spynet", "", "SPyNet"),
]


@pytest.mark.parametrize(("paper", "case", "layout", "config", "kind"), CASES)
def test_convert_and_back(capsys, paper, case, layout, config, kind):
    tensors = json.loads((GOLDENS / paper / case / "weights.json").read_text())["tensors"]
    published = {key: torch.rand(shape) for key, (shape, *_) in tensors.items() if not key.endswith("_tracked")}
    published |= {key: torch.tensor(7) for key in tensors if key.endswith("_tracked")}
    torch.save(published, "theirs.pth")
    given = ["--paper", paper, *(["--config", config] if config else [])]
    code, out, error = convert(capsys, "theirs.pth", "--to", "out/ours.pth", *given)
    assert (code, error) == (0, "")
    ours = torch.load("out/ours.pth", weights_only=True)
    assert out == f"{Path('out/ours.pth')}: {kind}, layout ours, {len(ours)} tensors\n"
    code, _, error = convert(capsys, "out/ours.pth", "--to", "back.pth", "--layout", layout, *given)
    assert (code, error) == (0, "")
    back = torch.load("back.pth", weights_only=True)
    back = back.get("state_dict", back.get("params", back))
    if layout.startswith("mmagic") and kind != "SPyNet":  # the case has what is in `generator`
        back = {key.removeprefix("generator."): tensor for key, tensor in back.items()}
    if layout == "sniklaus":  # the case has the names of his code, not of his files
        back = {key.replace("module", "net"): tensor for key, tensor in back.items()}
    assert back.keys() == published.keys()
    without_effect = ("mean", "std", "deconv2.", "ResNet.conv_3x2") if layout != "basicsr" else ()
    for key, tensor in published.items():
        assert back[key].shape == tensor.shape
        assert key.startswith(without_effect) or torch.equal(back[key], tensor), key


def test_the_whole_pvdnet_and_back(capsys):
    state = DeblurNet("PVDNet_small", with_BIMNet=False).state_dict()
    checkpoint_file.save({f"module.{key}": tensor for key, tensor in state.items()}, "theirs.pth")
    given = ("--paper", "pvdnet", "--config", "config_PVDNet_small")
    assert convert(capsys, "theirs.pth", "--to", "ours.pth", *given)[0] == 0
    assert convert(capsys, "ours.pth", "--to", "back.pth", "--layout", "authors", *given)[0] == 0
    ours, back = torch.load("ours.pth", weights_only=True), torch.load("back.pth", weights_only=True)
    assert all(torch.equal(ours[key], tensor) for key, tensor in state.items())
    assert list(back) == [f"module.{key}" for key in ours]
    code, _, error = convert(capsys, "ours.pth", "--to", "x.pth", "--paper", "pvdnet")  # taken for PVDNet
    assert code == 1
    assert "not a checkpoint of this network; " in error


@pytest.mark.parametrize(
    ("paper", "network", "layouts"),
    [
        ("ifrnet", lambda: IFRNet("IFRNet_tiny"), "ours or one of authors, mmediting"),
        ("pvdnet", LiteFlowNet, "ours or authors"),
        ("qpwcnet", lambda: Flower((8, 8)), "ours"),
        ("tdan", lambda: TDAN(8, 1, 1), "ours or one of mmagic, authors"),
        ("toflow", lambda: TOFlow(FORMS["mmagic_vfi"]), "ours or mmagic_vfi"),
        ("toflow", lambda: SPyNet(FORMS["tiny_interp"]), "ours or mmagic_spynet or moduleBasic or netBasic"),
    ],
)
def test_layouts_that_there_are_not(paper, network, layouts):
    module = importlib.import_module(f"{paper}.checkpoints")
    with pytest.raises(ValueError, match=f"^--layout raft: expected {layouts}$"):
        module.write(network(), "raft")


def test_weights_keep_their_rules():
    write = importlib.import_module("tdan.checkpoints").write
    with pytest.raises(ValueError, match="mmagic: goes with the border rule torchvision, these weights with tdan"):
        write(TDAN(8, 1, 1, border="tdan"), "mmagic")
    state = write(TDAN(8, 1, 1, scale=2), "mmagic")["state_dict"]
    assert {"generator.reconstruct.2.upsample_conv.bias", "generator.reconstruct.3.weight"} <= state.keys()
    write = importlib.import_module("qpwcnet.checkpoints").write
    network = PWCNet("PWC-Net_small")
    assert not any(key.startswith("deconv2") for key in write(network, "ptlflow")["state_dict"])
    network.inside.fill_(0.999)
    with pytest.raises(ValueError, match=r"ptlflow: goes with 0\.9999 in the warp's mask, the weights with 0\.999"):
        write(network, "ptlflow")
