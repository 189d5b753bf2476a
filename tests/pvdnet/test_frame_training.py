"""Where a training frame by frame is: what comes next, what is saved of it, who may go on from it."""

import dataclasses
import os
import signal
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from pvdnet.config import Config
from pvdnet.frame_training import FrameTraining

CONFIG = Config(network="PVDNet_small", with_BIMNet=False, BIMNet_ckpt="", frame_itr_num=3, mode="tiny")


class Trainer:
    """Counts its iterations, and leaves their number for the next one."""

    keys = ("total",)

    def __init__(self):
        self.itr = {"train": 0}

    def first_memory(self, batch):
        return batch["input"]

    def iteration(self, memory):
        self.itr["train"] += 1
        return {"total": float(memory)}, torch.tensor(self.itr["train"])

    def learning_rate(self):
        return 0.5

    def weights(self):
        return {"w": torch.tensor(self.itr["train"])}

    def state(self):
        return {"itr": dict(self.itr)}

    def restore(self, weights, state, source):
        self.itr = dict(state["itr"])


def options(log_root, resume=None):
    return SimpleNamespace(dist=False, device="cpu", log_root=log_root, resume=resume, delete_log=False)


def batches(first=0):
    """Stand for the loader's: each tells its number."""
    return ({"input": torch.tensor(100 * number)} for number in count(first))


def run_epoch(run, drawn, stop_at=None):
    """Places and memories of the iterations of an epoch."""
    seen = []
    for _, frame in run.frames(drawn):
        seen.append((run.epoch, run.batch, frame, int(run.memory)))
        values, run.memory = run.trainer.iteration(run.memory)
        run.count(values, 1)
        if run.step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
    return seen


def begin(run):
    run.find_saved()
    run.begin(Trainer(), epochs=2, per_epoch=2)


FIRST = [(1, 0, 0, 0), (1, 0, 1, 1), (1, 0, 2, 2), (1, 1, 0, 100), (1, 1, 1, 4), (1, 1, 2, 5)]


def test_an_epoch_goes_frame_by_frame_and_memory_ends_with_its_batch(tmp_path, capsys):
    with FrameTraining(options(tmp_path), CONFIG) as run:
        begin(run)
        drawn = batches()
        with run.loop():
            assert run_epoch(run, drawn) == FIRST
            run.report("train", run.means.over(run.processes, ("total",)), 1.0)
            run.end_epoch(30.0)
            assert (run.epoch, run.batch, run.frame, run.memory, run.means.count) == (2, 0, 0, None, 0)
            assert run_epoch(run, drawn)[0] == (2, 0, 0, 200)
            run.end_epoch(None)
        assert run.end() == 0
    lines = capsys.readouterr().out.splitlines()
    mean = (0 + 1 + 2 + 100 + 4 + 5) / 6
    assert lines[0] == f"[TRAIN][tiny] EP 1/2 (6/12) lr0: 5.00e-01 1.0 s, *LOSS->[total: {mean:.4e}]"
    assert lines[-1].startswith("done: 12 iterations; checkpoints in ")
    assert [line.split() for line in run.folder.manager.lines()] == [["tiny_00001.pytorch", "30.0"]] * 2
    assert checkpoint_file.load(run.folder.last_file)["state"]["place"] == (3, 0, 0)


def test_the_newest_state_is_saved_within_an_epoch(tmp_path):
    """As a process finds it that goes on after the first one was killed."""
    seen = []
    with FrameTraining(options(tmp_path), dataclasses.replace(CONFIG, save_every_itr=2)) as run:
        begin(run)
        file = run.folder.last_file
        with run.loop():
            for _ in run.frames(batches()):
                seen.append(checkpoint_file.load(file)["state"]["place"] if file.is_file() else None)
                _, run.memory = run.trainer.iteration(run.memory)
                run.count({"total": 0.0}, 1)
            run.end_epoch(None)
    assert seen == [None, None, (1, 0, 2), (1, 0, 2), (1, 1, 1), (1, 1, 1)]


@pytest.mark.parametrize("stop_at", [2, 3, 6])
def test_a_signal_saves_the_place_and_another_process_goes_on_there(tmp_path, capsys, stop_at):
    with FrameTraining(options(tmp_path), CONFIG) as run:
        begin(run)
        with run.loop():
            assert run_epoch(run, batches(), stop_at) == FIRST[:stop_at]
        assert run.end() == 128 + signal.SIGTERM
    assert f"stopped after iteration {stop_at} and saved" in capsys.readouterr().out
    with FrameTraining(options(tmp_path, "auto"), CONFIG) as run:
        begin(run)
        with run.loop():
            assert run_epoch(run, batches(run.batch)) == FIRST[stop_at:]
        assert run.means.sums == {"total": 112.0}  # of the whole epoch


def test_only_as_many_processes_go_on_within_an_epoch(tmp_path, capsys):
    with FrameTraining(options(tmp_path), CONFIG) as run:
        begin(run)
        with run.loop():
            run_epoch(run, batches(), stop_at=2)
        saved = checkpoint_file.load(run.folder.last_file)
    saved["state"]["processes"] *= 2
    checkpoint_file.save(saved, run.folder.last_file)
    with (
        pytest.raises(UsageError, match="saved within an epoch by 2 processes, now there are 1; start as many, or"),
        FrameTraining(options(tmp_path, "auto"), CONFIG) as run,
    ):
        begin(run)
    saved["state"]["place"] = (2, 0, 0)
    checkpoint_file.save(saved, run.folder.last_file)
    with FrameTraining(options(tmp_path, "auto"), CONFIG) as run:
        begin(run)
        assert run.epoch == 2
    assert "note: saved by 2 processes, now 1: the batches change" in capsys.readouterr().out
