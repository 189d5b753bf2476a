"""Every paper trains on two sets of clips at once, with averaged weights, and resumes anywhere to the same bits."""

import os
import shutil
import signal

import pytest

from common import cli
from common.checkpoints import checkpoint_file
from common.papers import PAPERS
from common.training.minimiser import Minimiser
from tests.helpers.runs import make_clips, same
from tests.helpers.tiny_runs import facts


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The sets `drawn` and `clips_a`, with flows and blurry frames."""
    root = tmp_path_factory.mktemp("sets")
    make_clips(root, "drawn", "--clips", 3, "--test_clips", 1, "--frames", 8, "--blur")
    shutil.copytree(root / "drawn", root / "clips_a")
    return root


@pytest.fixture(params=PAPERS)
def tiny(request, sets, tmp_path):
    """A run that has not begun."""
    return facts(request.param).at(sets, tmp_path)


def train(tiny, *more):
    """Train on both sets; returns the exit code."""
    data = f"drawn{tiny.suffix},clips_a{tiny.suffix}:0.5"
    return cli.run(
        tiny.run.main, tiny.arguments(*tiny.on_clips, "--data", data, "--set", "ema=0.9", *more)
    )  # fmt: skip


def test_stopped_it_goes_on_to_the_same_bits(tiny, tmp_path, monkeypatch):
    assert train(tiny) == 0
    last = tiny.folder / "checkpoint/train/last.pytorch"
    whole = checkpoint_file.load(last)
    shutil.rmtree(tiny.folder)
    old, steps = Minimiser.step, []

    def step(self, *given):
        steps.append(1)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return old(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Minimiser, "step", step)
        assert train(tiny) == 128 + signal.SIGTERM
    assert train(tiny, "-r", "auto") == 0
    parts = checkpoint_file.load(last)
    assert same(parts["weights"], whole["weights"])
    assert same(parts["state"]["plain"], whole["state"]["plain"])
    assert not same(whole["weights"], whole["state"]["plain"])  # the average is another
