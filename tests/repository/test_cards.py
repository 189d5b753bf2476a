"""The papers' cards against the programs: sections, every flag, every scalar that a training writes."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.ops import complexity
from common.training import run_log
from pvdnet.models import deblurnet

ROOT = Path(__file__).parents[2]
PAPERS = ("pvdnet", "ifrnet", "toflow", "tdan", "qpwcnet")
SECTIONS = [
    "Commands", "Your own video", "Export", "Flags", "Run folder", "Implementation details", "Differences", "Traps",
    "Protocols", "Table", "Speed", "Checkpoints", "Citation",
]  # fmt: skip
# Together these write every scalar of their paper.
TRAININGS = {
    "pvdnet": (
        "config_joint --mode joint --set width=32 --set height=32 --set frame_itr_num=1 --set total_itr=1 "
        "--network PVDNet_small",
    ),
    "ifrnet": ("IFRNet_tiny --set crop=32 --set max_steps=1 --set total_batch=1",),
    "toflow": (
        "TOFlow_interp_mask --set crop=16 --set flow_crop=16 --set flow_batch=1 --set steps=1,1,1,1 "
        "--set valid_samples=1",
    ),
    "tdan": (
        "TDAN_tiny_bi --set channels=8 --set blocks_before=1 --set blocks_after=1 --set crop=8 --set max_steps=1 "
        "--set total_batch=1 --set valid_samples=1",
    ),
    "qpwcnet": tuple(
        f"{config} --set input_shape=64,64 --set max_steps=1 --set total_batch=1"
        for config in (
            "pre_train_tiny --set init=keras --set filters=4,4,4,4,4",
            "flow_tiny --set init=keras --set filters=4,4,4,4,4",
            "pwcnet_chairs --network PWC-Net_small",
        )
    ),
}


class SomeFlow(nn.Module):
    """Stands for BIMNet, which takes a second a step."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 2, 3, 2, 1)

    def forward(self, first, second):
        return self.conv(torch.cat((first, second), 1))  # B 2 h w


class Tags:
    """Stands for the run's log and collects what would be written."""

    seen: set[str]

    def __init__(self, folder, active):
        folder.mkdir(parents=True, exist_ok=True)

    def scalar(self, split, tag, value, step):
        self.seen.add(tag)

    def progress(self, total, label, unit):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __getattr__(self, name):
        return lambda *_, **__: None


def sections(paper: str) -> dict[str, str]:
    """Heading -> text of a card, in order."""
    parts = re.split(r"^## (.+)\n", (ROOT / paper / "README.md").read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def expanded(text: str) -> list[str]:
    """`a_{b,c}_d` -> a_b_d, a_c_d."""
    found = re.search(r"\{([^}]*)\}", text)
    if not found:
        return [text]
    parts = found[1].split(",")
    return [name for part in parts for name in expanded(text[: found.start()] + part + text[found.end() :])]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """One tiny clip of each layout that the trainings read."""
    root = tmp_path_factory.mktemp("clips")
    with pytest.MonkeyPatch.context() as patch:
        for layout in ("DVD", "vimeo_triplet", "vimeo_septuplet", "chairs"):
            argv = f"make --layout {layout} --root {root} --clips 1 --test_clips 1 --size 32x32 --workers 1"
            argv += " --frames 1" if layout == "DVD" else ""
            patch.setattr(sys, "argv", argv.split())
            with pytest.raises(SystemExit, match="0"):
                runpy.run_path(str(ROOT / "datasets/make_synthetic.py"), run_name="__main__")
    return root


@pytest.mark.parametrize("paper", PAPERS)
def test_sections(paper):
    assert list(sections(paper)) == SECTIONS


@pytest.mark.parametrize("paper", PAPERS)
def test_flags(paper):
    text = sections(paper)["Flags"].split("\n\nAn unknown")[0]
    parser = importlib.import_module(f"{paper}.config").build_parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    first = re.findall(r"^\| (.*?) \|", text, re.M)  # the table's first column
    named = set(re.findall(r"(?<![\w-])--?[a-zA-Z]\w*(?:-\w+)*", " ".join(first)))
    assert named == known


@pytest.mark.parametrize("paper", PAPERS)
def test_scalars(paper, clips, tmp_path, monkeypatch):
    Tags.seen = set()
    monkeypatch.setattr(run_log, "RunLog", Tags)
    monkeypatch.setattr(complexity, "macs", lambda *_: 0)
    monkeypatch.setattr(checkpoint_file, "save", lambda *_: None)
    monkeypatch.setattr(deblurnet, "LiteFlowNet", SomeFlow)
    run = importlib.import_module(f"{paper}.run")
    for training in TRAININGS[paper]:
        argv = f"--is_train --config {training} -b 1 -th 0 --device cpu --data_root {clips} --log_root {tmp_path}"
        assert run.main(argv.split()) == 0
    rows = re.findall(r"^\| (`.*?) \|", sections(paper)["Run folder"], re.M)
    named = {name for row in rows for tag in re.findall(r"`([^`]+)`", row) for name in expanded(tag)}
    assert named == Tags.seen
