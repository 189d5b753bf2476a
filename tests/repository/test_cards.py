"""The papers' cards against the programs: sections, every flag, every scalar that a training writes."""

import importlib
import re
import runpy
import sys

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.ops import complexity
from common.papers import PAPERS, ROOT
from common.training import run_log
from pvdnet.models import deblurnet

SECTIONS = [
    "Commands", "Your own video", "Export", "Flags", "Run folder", "Implementation details", "Differences", "Traps",
    "Protocols", "Table", "Speed", "Checkpoints", "Citation",
]  # fmt: skip


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


def differences(found: set[str], told: set[str]) -> str:
    """What one of two sets has and the other has not, in words; empty if they are equal."""
    parts = [f"not told there: {', '.join(sorted(found - told))}"] if found - told else []
    parts += [f"told there and no more: {', '.join(sorted(told - found))}"] if told - found else []
    return "; ".join(parts)


@pytest.mark.parametrize("paper", PAPERS)
def test_sections(paper):
    assert list(sections(paper)) == SECTIONS, f"{paper}/README.md: its sections are not those of every card"


@pytest.mark.parametrize("paper", PAPERS)
def test_flags(paper):
    text = sections(paper)["Flags"].split("\n\nAn unknown")[0]
    parser = importlib.import_module(f"{paper}.config").build_parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    first = re.findall(r"^\| (.*?) \|", text, re.M)  # the table's first column
    named = set(re.findall(r"(?<![\w-])--?[a-zA-Z]\w*(?:-\w+)*", " ".join(first)))
    fault = differences(known, named)
    assert not fault, f"{paper}/README.md, section Flags, and the parser of {paper}/config.py differ: {fault}"


@pytest.mark.parametrize("paper", PAPERS)
def test_scalars(paper, clips, tmp_path, monkeypatch):
    Tags.seen = set()
    monkeypatch.setattr(run_log, "RunLog", Tags)
    monkeypatch.setattr(complexity, "macs", lambda *_: 0)
    monkeypatch.setattr(checkpoint_file, "save", lambda *_: None)
    monkeypatch.setattr(deblurnet, "LiteFlowNet", SomeFlow)
    run = importlib.import_module(f"{paper}.run")
    for training in importlib.import_module(f"tests.{paper}.facts").CARD_TRAININGS:
        argv = f"--is_train --config {training} -b 1 -th 0 --device cpu --data_root {clips} --log_root {tmp_path}"
        assert run.main(argv.split()) == 0
    rows = re.findall(r"^\| (`.*?) \|", sections(paper)["Run folder"], re.M)
    named = {name for row in rows for tag in re.findall(r"`([^`]+)`", row) for name in expanded(tag)}
    fault = differences(Tags.seen, named)
    assert not fault, f"{paper}/README.md, section Run folder, and what {paper} logs in training differ: {fault}"
