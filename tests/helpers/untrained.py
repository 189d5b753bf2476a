"""Weights for what has none in the box, for own frames and clips."""

from pathlib import Path

import torch

from common.checkpoints import checkpoint_file
from pvdnet.models.deblurnet import DeblurNet
from qpwcnet.checkpoints import new_network
from qpwcnet.config import PRESETS
from toflow.model import FORMS, TOFlow

BETWEEN = ("ifrnet", "toflow interp", "qpwcnet interp")
CLIPWISE = ("tdan", "toflow denoise", "toflow sr", "pvdnet")


def save_untrained(folder: Path) -> None:
    """Write one file for each, with its name."""
    torch.manual_seed(0)
    made = {
        "pvdnet": DeblurNet("PVDNet_small", with_BIMNet=False),
        "toflow interp": TOFlow(FORMS["tiny_interp"]),
        "toflow sr": TOFlow(FORMS["tiny_sr"]),
        "qpwcnet flow": new_network(PRESETS["flow_tiny"]),
        "qpwcnet interp": new_network(PRESETS["pre_train_tiny"]),
    }
    for name, network in made.items():
        checkpoint_file.save(network.state_dict(), folder / f"{name}.pth")


def arguments(name: str, folder: Path) -> list[str]:
    """Of the command of a paper and its task; without a file of its name the weights are those in the box."""
    paper, _, task = name.partition(" ")
    weights = folder / f"{name}.pth"
    argv = ["--log_root", str(folder / "logs")]
    if weights.is_file():
        argv += ["--ckpt_abs_name", str(weights)]
    if paper == "toflow":
        argv += ["--task", task] + ["--config", f"TOFlow_{task}_tiny"] * weights.is_file()
    if paper == "qpwcnet":
        argv += ["--task", task]
    if paper == "pvdnet":
        argv += ["--config", "config_PVDNet_small"]
    return argv
