"""Every paper's training, stopped, killed and gone on with: its weights are an undisturbed run's, bit for bit."""

import os
import shutil
import signal

import pytest

from common import cli
from common.papers import PAPERS
from common.training.minimiser import Minimiser
from tests.helpers.runs import KILL_BEFORE_LIST, KILL_BEFORE_RENAME, KILLED, same, start
from tests.helpers.tiny_runs import facts, kill_at

# Killed where the step stands, before a checkpoint takes its name, and between the weights and their list.
MOMENTS = {"between steps": None, "before a name": KILL_BEFORE_RENAME, "before the list": KILL_BEFORE_LIST}


@pytest.fixture(scope="module", params=PAPERS)
def undisturbed(request, tmp_path_factory):
    """A run that nothing disturbed."""
    tiny = facts(request.param).at(tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("undisturbed"))
    tiny.make(tiny.root)
    assert cli.run(tiny.run.main, tiny.arguments()) == 0
    return tiny


@pytest.fixture
def tiny(undisturbed, tmp_path):
    """The same run in a folder of its own, not begun."""
    return undisturbed.at(undisturbed.root, tmp_path)


@pytest.fixture
def finished(tiny, undisturbed):
    """The same run in a folder of its own, finished."""
    shutil.copytree(undisturbed.logs, tiny.logs, dirs_exist_ok=True)
    return tiny


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9(tiny, undisturbed, moment):
    killed = start(tiny.paper, tiny.arguments(), MOMENTS[moment] or kill_at(tiny.step))
    assert killed.returncode == KILLED, killed.stderr
    assert cli.run(tiny.run.main, tiny.arguments("-r", "auto")) == 0
    assert same(tiny.weights(), undisturbed.weights())


def test_sigterm(tiny, undisturbed, monkeypatch, capsys):
    old, steps = Minimiser.step, []

    def step(self, *given):
        outcome = old(self, *given)
        steps.append(1)
        if len(steps) == tiny.step:
            os.kill(os.getpid(), signal.SIGTERM)
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(Minimiser, "step", step)
        assert cli.run(tiny.run.main, tiny.arguments()) == 128 + signal.SIGTERM
    assert f"stopped after {tiny.unit} {tiny.step} and saved" in capsys.readouterr().out
    assert cli.run(tiny.run.main, tiny.arguments("-r", "auto", "-th", "2")) == 0  # workers change nothing
    assert tiny.place in capsys.readouterr().out
    assert same(tiny.weights(), undisturbed.weights())


def test_from_an_earlier_checkpoint(finished, undisturbed):
    assert cli.run(finished.run.main, finished.arguments("-r", str(finished.back))) == 0
    assert same(finished.weights(), undisturbed.weights())
    aside = finished.folder / "checkpoint/train/epoch/superseded"
    assert (aside / f"ckpt/tiny_{finished.epochs:05d}.pytorch").is_file()
    assert list(aside.glob("last_*.pytorch"))


def test_a_folder_with_a_run_is_not_started_over(finished, capsys):
    listing = finished.folder / "checkpoint/train/epoch/checkpoints.txt"
    before = listing.read_text()
    assert cli.run(finished.run.main, finished.arguments()) == 2
    error = capsys.readouterr().err
    assert "-r auto" in error
    assert len(error.splitlines()) == 1
    assert listing.read_text() == before
    assert cli.run(finished.run.main, finished.arguments("-r", "auto")) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*GradScaler")
def test_another_precision_goes_on(tiny, monkeypatch):
    """A state without fp16 has no scale of the loss; with it, training begins with the usual one."""
    old, steps = Minimiser.step, []

    def step(self, *given):
        steps.append(1)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return old(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Minimiser, "step", step)
        assert cli.run(tiny.run.main, tiny.arguments(*tiny.half)) == 128 + signal.SIGTERM
        steps.clear()
        assert cli.run(tiny.run.main, tiny.arguments("-r", "auto", "--amp", "fp16", *tiny.half)) == 128 + signal.SIGTERM
