"""The clips to begin with: there for every task, poor where the task makes them better."""

import numpy as np

from common.demo import examples
from common.demo.tasks import TASKS
from common.media.video_reader import open_clip


def test_every_task_has_one():
    assert list(examples.EXAMPLES) == list(TASKS)
    assert examples.available()


def test_they_are_poor_where_it_matters(tmp_path):
    first, second = examples.example("between", tmp_path)
    assert first.shape == second.shape
    assert np.abs(first.astype(int) - second).mean() > 1
    clean, noisy = (list(open_clip(examples.example(name, tmp_path / name))) for name in ("flow", "denoise"))
    assert len(clean) == len(noisy) == examples.FRAMES
    assert 10 < (noisy[3].astype(float) - clean[3]).std() < 30  # of 25 levels; the file halves the colours' resolution
    assert open_clip(examples.example("enlarge", tmp_path / "enlarge")).size == (90, 160)


def test_without_the_repository_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "REAL", tmp_path)
    assert not examples.available()
