"""A run's checkpoints: which are kept and in which order they are listed, which one a flag selects, going back."""

import argparse
from types import SimpleNamespace

import pytest
import torch

from common.checkpoints import checkpoint_file, run_checkpoints
from common.checkpoints.run_checkpoints import CheckpointManager, find_weights

SCORES = {1: 20.0, 2: 30.0, 3: 10.0, 4: 25.0}


def save(manager, epoch, score):
    return manager.save({"w": torch.full((1,), float(epoch))}, {"epoch": epoch}, epoch, [score, 0.5])


@pytest.fixture
def manager(tmp_path):
    """Four epochs, of which the two best are kept, and the most recent."""
    manager = CheckpointManager(tmp_path / "epoch", "run", 2)
    for epoch, score in SCORES.items():
        save(manager, epoch, score)
    return manager


def files(manager, kind="ckpt"):
    return sorted(int(path.stem[-5:]) for path in (manager.folder / kind).glob("*.pytorch"))


def test_the_best_are_kept_and_the_most_recent(tmp_path):
    manager = CheckpointManager(tmp_path / "epoch", "run", 2)
    assert (manager.lines(), manager.recent_epoch()) == ([], None)
    kept = []
    for epoch, score in SCORES.items():
        assert save(manager, epoch, score) == tmp_path / f"epoch/ckpt/run_{epoch:05}.pytorch"
        assert files(manager) == files(manager, "state")
        kept.append(files(manager))
    assert kept == [[1], [1, 2], [1, 2, 3], [2, 4]]
    assert (tmp_path / "epoch/checkpoints.txt").read_text().splitlines() == [
        "run_00002.pytorch 30.0 0.5", "run_00004.pytorch 25.0 0.5", "run_00004.pytorch 25.0 0.5",
    ]  # fmt: skip
    assert manager.recent_epoch() == 4


def test_an_epoch_that_is_saved_again_takes_its_own_place(manager):
    save(manager, 4, 35.0)
    assert [line.split()[:2] for line in manager.lines()] == [
        ["run_00004.pytorch", "35.0"], ["run_00002.pytorch", "30.0"], ["run_00004.pytorch", "35.0"],
    ]  # fmt: skip


def test_what_the_flags_select(manager):
    def selected(**flags):
        return int(manager.select(**flags).stem[-5:])

    assert selected() == 4
    assert selected(by_score=True) == 2
    assert selected(name="run_00002.pytorch") == 2
    assert selected(name="run_00002.pytorch", epoch=4) == 4
    assert manager.select(abs_name="elsewhere/x.pth", name="run_00002.pytorch").as_posix() == "elsewhere/x.pth"
    with pytest.raises(ValueError, match=r"run_00003\.pytorch: no such checkpoint; there are run_00002.*, run_00004"):
        manager.select(epoch=3)
    with pytest.raises(ValueError, match=r"none: no checkpoint yet; train first \(--is_train\) or name a file"):
        CheckpointManager("none", "run", 2).select()


def test_going_back_moves_later_files_aside(tmp_path):
    manager = CheckpointManager(tmp_path / "epoch", "run", 9)
    for _ in range(2):  # the second time the files of the first are there already
        for epoch, score in SCORES.items():
            save(manager, epoch, score)
        weights, state = manager.resume(2)
        assert checkpoint_file.load(weights)["w"].item() == checkpoint_file.load(state)["epoch"] == 2
        assert files(manager) == files(manager, "state") == [1, 2]
        assert [line.split()[0] for line in manager.lines()] == [f"run_0000{n}.pytorch" for n in (2, 1, 2)]
    aside = sorted(path.name for path in (manager.folder / "superseded/ckpt").iterdir())
    assert aside == ["run_00003.1.pytorch", "run_00003.pytorch", "run_00004.1.pytorch", "run_00004.pytorch"]


def test_epochs_that_cannot_be_gone_back_to(manager):
    with pytest.raises(ValueError, match="no such checkpoint"):
        manager.resume(1)
    (manager.folder / "state/run_00002.pytorch").rename(manager.folder / "state/x")
    with pytest.raises(ValueError, match=r"run_00002\.pytorch: missing, so epoch 2 cannot be resumed"):
        manager.resume(2)
    (manager.folder / "state/x").rename(manager.folder / "state/run_00002.pytorch")
    manager.list_file.write_text("run_00004.pytorch 25.0\n" * 2)
    with pytest.raises(ValueError, match=r"checkpoints\.txt: does not list run_00002\.pytorch"):
        manager.resume(2)
    assert files(manager) == [2, 4]


# Which weights are loaded


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Weights of a run "run" for flags that differ from the defaults; in an empty folder."""
    monkeypatch.chdir(tmp_path)
    config = SimpleNamespace(project="P", mode="run", max_ckpt_num=2, config="preset")
    listed = [
        SimpleNamespace(file=f"{name}.pth", config=preset, mode="")
        for name, preset in (("other", "other"), ("w", "preset"))
    ]

    def find(published=listed, **flags):
        monkeypatch.setattr(run_checkpoints, "entries", lambda paper: published)
        defaults = {"log_root": "logs", "ckpt_name": None, "ckpt_abs_name": None, "ckpt_epoch": None, "ckpt_sc": False}
        return find_weights(argparse.Namespace(**defaults | flags), config, "paper").as_posix()

    return find


def test_weights_without_flags_are_the_runs_else_the_published_ones(find):
    checkpoint_file.save({}, "ckpt/w.pth")
    assert find() == "ckpt/w.pth"
    assert find(ckpt_abs_name="mine.pth") == "mine.pth"
    with pytest.raises(ValueError, match="no checkpoint yet"):
        find(ckpt_sc=True)
    manager = CheckpointManager("logs/P/run/checkpoint/train/epoch", "run", 2)
    for epoch, score in ((0, 2.0), (1, 1.0)):
        save(manager, epoch, score)
    assert find().endswith("ckpt/run_00001.pytorch")
    assert find(ckpt_sc=True).endswith("ckpt/run_00000.pytorch")
    assert find(ckpt_epoch=0).endswith("ckpt/run_00000.pytorch")


def test_without_any_weights_the_line_says_what_to_do(find):
    with pytest.raises(ValueError, match=r"^no weights: put the published ones at ckpt/w\.pth \(python -m common\.c"):
        find()
    with pytest.raises(ValueError, match=r"^no weights: name a file with --ckpt_abs_name, or train \(--is_train\)$"):
        find(published=[])
