"""A run's folder of checkpoints: who may write there, what a resume goes on from, what is described."""

import sys
import time
from types import SimpleNamespace

import pytest
import torch

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.training.distributed import Processes
from common.training.run_folder import RunFolder, clear, lock, new_folder

ONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "P/run", "run", 5)


def save(folder, epoch, last=False):
    weights, state = {"w": torch.full((1,), float(epoch))}, {"epoch": epoch}
    folder.save_last(weights, state) if last else folder.manager.save(weights, state, epoch, [float(epoch)])


def flags(delete_log=False, resume=None):
    return SimpleNamespace(delete_log=delete_log, resume=resume)


def refused(folder, message, **given):
    """The folder cannot be had for a training with these flags."""
    with pytest.raises(UsageError, match=message), folder.claimed(flags(**given), ONE):
        pass


def found(folder, resume):
    """Epoch of the weights and of the state that a resume goes on from, and the file."""
    saved = folder.find_saved(resume, ONE)
    return saved and (saved[0]["w"].item(), saved[1]["epoch"], saved[2].name)


# Who may write


def test_a_folder_with_a_run_is_neither_started_over_nor_shared(folder):
    with folder.claimed(flags(), ONE):
        with (
            pytest.raises(UsageError, match="another run is training there"),
            folder.claimed(flags(resume="auto"), ONE),
        ):
            pass
        save(folder, 3)
    with pytest.raises(
        UsageError, match=r"run holds a run \(epoch 3\): go on with -r auto or -r 3, delete it with -dl"
    ):
        folder.claimed(flags(), ONE).__enter__()
    with folder.claimed(flags(resume="auto"), ONE):
        assert folder.manager.recent_epoch() == 3
    with folder.claimed(flags(delete_log=True, resume="auto"), ONE):  # -r switches it off
        assert folder.manager.recent_epoch() == 3
    with folder.claimed(flags(delete_log=True), ONE):
        assert [path.name for path in folder.path.iterdir()] == [".lock"]


def test_a_run_that_was_stopped_in_its_first_epoch_is_one_too(folder):
    save(folder, 0, last=True)
    refused(folder, r"holds a run: go on with -r auto, delete it")


@pytest.mark.parametrize(("answer", "goes"), [("", True), ("Y", True), ("yes", True), ("n", False), ("?", False)])
def test_a_terminal_is_asked_before_anything_is_deleted(folder, monkeypatch, answer, goes):
    save(folder, 3)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer if str(folder.path) in question else "n")
    if goes:
        with folder.claimed(flags(delete_log=True), ONE):
            assert folder.manager.recent_epoch() is None
    else:
        refused(folder, "not deleted; choose another --mode, or -r to go on", delete_log=True)
        assert folder.manager.recent_epoch() == 3


def test_other_processes_leave_the_folder_to_the_first(folder):
    class Second(Processes):
        def wait(self):
            pass

    with folder.claimed(flags(), ONE), folder.claimed(flags(), Second(1, 2, torch.device("cpu"))):
        assert folder.path.is_dir()


def test_one_run_at_a_time_holds_a_folder(tmp_path):
    folder = tmp_path / "project/run"
    held = lock(folder)
    for _ in range(2):
        with pytest.raises(UsageError, match="run: another run is training there; wait for it, or choose another"):
            lock(folder)
    held.close()
    lock(folder).close()


def test_clearing_leaves_the_lock(tmp_path):
    with lock(tmp_path):
        (tmp_path / "log/train").mkdir(parents=True)
        (tmp_path / "log/train/a").write_text("x")
        (tmp_path / "metrics.jsonl").write_text("x")
        clear(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folders_of_one_minute_are_numbered(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "2024_05_06_0708")
    names = [new_folder(tmp_path / "result").name for _ in range(3)]
    assert names == ["2024_05_06_0708", "2024_05_06_0708_2", "2024_05_06_0708_3"]
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == names


# What a resume goes on from


def test_nothing_is_there(folder):
    assert found(folder, None) is None
    assert found(folder, "auto") is None
    assert folder.last_good() == "none"


def test_the_newest_state_wins(folder):
    for epoch in (1, 2, 3):
        save(folder, epoch)
    assert found(folder, "auto") == (3, 3, "run_00003.pytorch")
    assert folder.last_good().name == "run_00003.pytorch"
    save(folder, 3, last=True)  # of the same epoch or a later one
    assert found(folder, "auto") == (3, 3, "last.pytorch")
    assert folder.last_good().name == "last.pytorch"
    save(folder, 2, last=True)
    assert found(folder, "auto") == (3, 3, "run_00003.pytorch")
    assert found(folder, None) is None  # nothing was asked for


def test_going_back_moves_the_newest_state_aside(folder):
    for epoch in (1, 2, 3):
        save(folder, epoch)
    save(folder, 3, last=True)
    assert found(folder, "2") == (2, 2, "run_00002.pytorch")
    assert not folder.last_file.exists()
    (aside,) = (folder.manager.folder / "superseded").glob("last_*.pytorch")
    assert checkpoint_file.load(aside)["state"] == {"epoch": 3}
    assert found(folder, "auto") == (2, 2, "run_00002.pytorch")


def test_an_older_newest_state_stays(folder):
    for epoch in (1, 2):
        save(folder, epoch)
    save(folder, 1, last=True)
    assert found(folder, "2") == (2, 2, "run_00002.pytorch")
    assert folder.last_file.exists()


# What is described


def test_settings_that_were_others_are_kept(folder):
    text = folder.describe("first", (42_190_000_000, 300_000), 0)
    assert text == (folder.path / "cost.txt").read_text()
    assert text.splitlines() == ["Computational complexity (Macs): 42.19 B", "Number of parameters:         0.30 M"]
    folder.describe("first", (0, 0), 7)
    folder.describe("second", (0, 0), 9)
    files = {path.name: path.read_text() for path in (folder.path / "config").iterdir()}
    assert files == {"config.txt": "second", "config_until_itr_9.txt": "first"}
