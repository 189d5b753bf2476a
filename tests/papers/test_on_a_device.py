"""Every paper on a device that is not there: nothing is mixed, little goes up to it, and little is waited for."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from common import cli
from common.papers import PAPERS
from tests.helpers.clips import pictures, read_folder, write_folder
from tests.helpers.pretended_device import NAME
from tests.helpers.runs import start
from tests.helpers.tiny_runs import facts
from tests.helpers.untrained import BETWEEN, CLIPWISE, arguments, save_untrained

COUNT = 8  # frames: more than any window


def traffic(paper: str, argv: list[str], folder: Path, *, training: bool) -> dict:
    """What a command of a process of its own sent up, and what it waited for."""
    report = folder / "report.json"
    code = f"from tests.helpers import pretended_device\npretended_device.install({str(report)!r}, {training})"
    done = start(paper, [*argv, "--device", NAME, "--amp", "off"], code)
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with frames and weights."""
    folder = tmp_path_factory.mktemp("device")
    write_folder(folder / "in", pictures(COUNT, 18, 20))
    save_untrained(folder)
    return folder


@pytest.mark.parametrize("name", [*BETWEEN, *CLIPWISE, "qpwcnet flow"])
def test_own_video(name, place, tmp_path):
    paper = facts(name.split()[0])
    argv = [*arguments(name, place), "--input", str(place / "in"), *["--multi", "4"] * (name in BETWEEN)]
    assert cli.run(paper.run.main, [*argv, "--output", str(tmp_path / "cpu"), "--device", "cpu"]) == 0
    expected = read_folder(tmp_path / "cpu")
    found = traffic(paper.paper, [*argv, "--output", str(tmp_path / "device")], tmp_path, training=False)
    made = read_folder(tmp_path / "device")
    assert all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
    assert {kind for kind, _ in found["uploads"]} == {"torch.uint8"}
    assert len(found["uploads"]) <= COUNT * (1 + (name in BETWEEN))  # each frame, for each pair, and nothing else
    assert len(found["waits"]) <= 2 * len(made)  # for a result, and for whether it is finite


@pytest.mark.parametrize("paper", PAPERS)
def test_training(paper, tmp_path):
    fewer = importlib.import_module(f"tests.{paper}.facts").FEWER_STEPS
    tiny = facts(paper).at(tmp_path / "clips", tmp_path / "logs")
    tiny.make(tiny.root)
    found = traffic(paper, tiny.arguments(*fewer.split()), tmp_path, training=True)
    assert found["steps"]
    assert found["uploads"] == []  # the batch was there before
    assert len(found["waits"]) <= 2 * found["steps"]  # for the losses, and for whether the gradient is finite
