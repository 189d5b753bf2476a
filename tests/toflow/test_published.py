"""What is published of TOFlow, and which weights are taken unasked."""

import json
import re
from pathlib import Path

import pytest
import torch

from common.checkpoints import checkpoint_file, run_checkpoints
from common.checkpoints.published import Entry, entries
from common.checkpoints.run_checkpoints import find_weights
from tests.helpers.runs import ROOT
from toflow.checkpoints import load
from toflow.config import PRESETS, parse


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No runs, no weights."""
    monkeypatch.chdir(tmp_path)


def test_checkpoints_are_listed_once():
    listed = json.loads((ROOT / "toflow/checkpoints.json").read_text())["checkpoints"]
    assert len({entry["file"] for entry in listed}) == len(listed) == 20
    for entry in listed:
        own = [key for key in entry if key != "no_address"]
        assert own == ["name", "file", "config", "urls", "sha256", "bytes", "licence", "source"]
        assert entry["config"] in PRESETS or entry["config"] == ""
        found = re.search(r"-([0-9a-f]{8})\.pth$", entry["file"])
        assert entry["sha256"] == (found[1] if found else None)
    flows = {Path(config.spynet).name for config in PRESETS.values() if config.spynet}
    assert flows <= {entry["file"] for entry in listed if not entry["config"]}


def test_the_list_of_published_files_fits_the_presets():
    files = {entry.file for entry in entries("toflow")}
    assert {entry.config for entry in entries("toflow")} <= {"", *PRESETS}
    assert {config.spynet.removeprefix("ckpt/") for config in PRESETS.values() if config.spynet} <= files
    assert all(config.spynet.startswith("ckpt/") for config in PRESETS.values() if config.spynet)
    for file in files:
        assert Path(file).name == file


def test_published_weights_are_found_in_their_place(monkeypatch):
    named = {"first.pth": "pytoflow_denoise", "other.pth": "pytoflow_sr", "second.pth": "pytoflow_denoise"}
    listed = [Entry("toflow", "ckpt", file, file, config, [], None, None, "", "") for file, config in named.items()]
    monkeypatch.setattr(run_checkpoints, "entries", lambda paper: listed if paper == "toflow" else [])
    options, config = parse(["--task", "denoise"])
    with pytest.raises(ValueError, match=r"no weights: put the published ones at ckpt.first\.pth"):
        find_weights(options, config, "toflow")
    for file in ("other.pth", "second.pth", "first.pth"):
        checkpoint_file.save({}, Path("ckpt", file))
        if file == "other.pth":
            with pytest.raises(ValueError, match="no weights"):
                find_weights(options, config, "toflow")
        else:
            assert find_weights(options, config, "toflow") == Path("ckpt", file)
    with pytest.raises(ValueError, match=r"no weights: name a file with --ckpt_abs_name, or train \(--is_train\)"):
        find_weights(*parse(["--task", "deblock"]), "toflow")  # none is published


def test_the_baseline_needs_no_weights():
    assert load(*parse(["--task", "interp", "--baseline"]), torch.device("cpu")) == (None, None)
