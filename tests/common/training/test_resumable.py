"""What every training can: stop at a signal and save, tell what went wrong at which step, keep checkpoints."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch

from common.checkpoints import checkpoint_file
from common.training.resumable import Resumable


class Counting(Resumable):
    """Counts, and saves how far it got."""

    last = 4
    saved = 0

    def _weights(self):
        return {"w": torch.tensor(self.step)}

    def _state(self):
        self.saved += 1
        return {"epoch": self.step}


@pytest.fixture
def training(tmp_path):
    options = SimpleNamespace(dist=False, device="cpu", log_root=tmp_path, resume=None, delete_log=False)
    return Counting(options, SimpleNamespace(project="paper", mode="tiny", max_ckpt_num=9, manual_seed=0))


def test_a_loss_that_is_no_number_names_step_and_checkpoint(training):
    def diverge():
        with training as run, run.loop():
            run.count({"total": 1.0}, 1)
            run.keep(1.0)
            raise FloatingPointError("loss is not finite (total nan)")

    with pytest.raises(FloatingPointError) as error:
        diverge()
    last = training.folder.last_file
    assert str(error.value) == f"step 2: loss is not finite (total nan); last good checkpoint: {last}"


def test_a_state_is_saved_once_a_step_and_a_score_makes_a_checkpoint(training, capsys):
    with training as run, run.loop():
        run.rank([0.5, 7.0])
        assert not run.folder.last_file.exists()
        run.count({"total": 1.0}, 1)
        run.keep(None)
        run.keep(None)
        assert run.saved == 2
        run.keep(2.0)
        assert run.saved == 3
    assert run.folder.manager.lines() == [
        "tiny_00001.pytorch 2.0",
        "tiny_00000.pytorch 0.5 7.0",
        "tiny_00001.pytorch 2.0",
    ]
    assert checkpoint_file.load(run.folder.last_file) == {"weights": {"w": torch.tensor(1)}, "state": {"epoch": 1}}
    assert run.end() == 0
    assert "done: 1 steps; checkpoints in" in capsys.readouterr().out


def test_a_signal_waits_for_the_end_of_the_step(training, capsys):
    with training as run, run.loop():
        assert not run.stop_if_asked()
        os.kill(os.getpid(), signal.SIGTERM)
        run.count({"total": 1.0}, 1)
        assert run.stop_if_asked()
    assert run.end() == 128 + signal.SIGTERM
    assert "stopped after step 1 and saved" in capsys.readouterr().out


def test_a_share_is_every_so_manieth_of_those_chosen(training):
    with training as run:
        assert run.share(list(range(7)), 3) == [0, 2, 4]
        run.processes = SimpleNamespace(rank=1, world_size=2)
        assert run.share(list(range(7))) == [1, 3, 5]
