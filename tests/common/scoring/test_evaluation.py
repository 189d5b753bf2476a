"""The end of an evaluation: processes joined, files written, the last line and the published row told."""

import argparse

import pytest
import torch

from common.scoring import evaluation as module
from common.scoring.evaluation import Evaluation
from common.training.distributed import Processes


class Pair:
    """Two processes of which this is the first; the other one's part is given."""

    is_main, rank, world_size = True, 0, 2

    def __init__(self, other):
        self.other = other

    def broadcast(self, value):
        return value

    def gather(self, value):
        return [value, self.other]


@pytest.fixture
def begin(tmp_path):
    config = argparse.Namespace(project="P", mode="m", data="set")
    options = argparse.Namespace(log_root=tmp_path)
    return lambda processes: Evaluation(options, config, "weights", processes)


def test_parts_follow_each_other_and_an_error_ends_all(begin):
    found = begin(Pair(({"a": [3], "b": [4]}, None))).gather(lambda: {"a": [1, 2], "b": []})
    assert found == {"a": [1, 2, 3], "b": [4]}
    with pytest.raises(ValueError, match=r"2\.png is broken"):
        begin(Pair(({}, ValueError("2.png is broken")))).gather(lambda: {"a": [1]})

    def broken():
        raise ValueError("1.png is broken")

    with pytest.raises(ValueError, match=r"1\.png is broken"):
        begin(Pair(({"a": [1]}, None))).gather(broken)


def test_what_is_written_and_told(begin, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "published", lambda *what: f"published: {what}")
    evaluation = begin(Processes(0, 1, torch.device("cpu")))
    values = [{"PSNR": 30.0}, {"PSNR": 32.0}]
    evaluation.tell("mine", values, {"PSNR": 31.0}, ["1 PSNR: 30", "2 PSNR: 32"], paper="p", row="r", part="2 of 9")
    evaluation.end(" and pictures")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "[TOTAL weights|set] PSNR: 31.00000 2 frames, protocol mine"
    assert out[1] == "  published: ('p', 'r', 'set', 'mine', {'PSNR': 31.0}); not the same set, here are 2 of 9"
    assert out[2] == f"scores and pictures: {evaluation.folder}"
    for place in (evaluation.folder, tmp_path / "P/m/result/weights"):
        lines = (place / "score_set_mine.txt").read_text().splitlines()
        assert lines == ["1 PSNR: 30", "2 PSNR: 32", out[0]]


def test_only_the_main_process_tells(begin, capsys):
    evaluation = begin(Pair(None))
    evaluation.processes = Processes(1, 2, torch.device("cpu"))
    evaluation.tell("mine", [], {}, [], paper="p", row="r")
    evaluation.end()
    assert capsys.readouterr().out == ""
