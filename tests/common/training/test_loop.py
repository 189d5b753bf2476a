"""A training of a toy network: its place, what is due when, exact resume, and what it says when it cannot go on."""

import argparse
import json
import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from common import cli
from common.checkpoints import checkpoint_file
from common.training import sampling
from common.training.loop import Training


@dataclass(frozen=True)
class Config:
    project: str = "Toy"
    mode: str = "toy"
    config: str = "toy"
    manual_seed: int = 3
    total_batch: int = 2
    batch_size: int = 0
    thread_num: int = 0
    amp: str = "off"
    compile: bool = False
    max_ckpt_num: int = 5
    save_every_step: int = 3
    stages: int = 1
    ema: float = 0.0


class Numbers(torch.utils.data.Dataset):
    """At a position numbers that depend on it alone."""

    def __getitem__(self, position):
        if position == self.broken:
            raise ValueError("number 7.png is broken")
        return {"x": torch.from_numpy(np.random.default_rng(position).random(4, np.float32))}

    broken = -1


STEPS = 10


def train(tmp_path, config=None, broken=-1, rate=0.1, at_step=None, **given):
    """A run of two stages of five steps, or of one of ten; returns its exit code and itself."""
    config = config or Config()
    names = {"dist": False, "device": "cpu", "resume": None, "delete_log": False, "ckpt_abs_name": None}
    options = argparse.Namespace(log_root=tmp_path, **names | given)
    with Training(options, config) as run:
        samples = Numbers()
        samples.broken = broken
        size = run.batch_size(config.total_batch)
        run.find_saved()
        network = nn.Linear(4, 1)
        run.begin(network, last=STEPS, epoch=4)
        for stage in range(config.stages):
            first, last = (edge * STEPS // config.stages for edge in (stage, stage + 1))
            if run.step >= last:
                continue
            optimizer = torch.optim.Adam(network.parameters(), rate)
            run.minimise(network, optimizer, lambda step: rate / (1 + step), first=first)
            if stage == 0:
                run.describe("numbers", lambda: 10**9, tmp_path / __file__, size)
            for batch in run.steps(samples, size, last, f"stage {stage}"):
                loss = run.forward(batch["x"]).square().mean()
                run.update({"total": loss, "twice": 2 * loss})
                if run.is_due(2):
                    run.report_means(f"stage:{stage}")
                if run.is_due(4):
                    run.report("valid", {"psnr": 20.0 + run.step}, 0.1)
                    run.keep(20.0 + run.step)
                if run.step == at_step:
                    os.kill(os.getpid(), signal.SIGTERM)
            if run.stopped:
                break
        return run.end(), run


def last(tmp_path):
    return checkpoint_file.load(tmp_path / "Toy/toy/checkpoint/train/last.pytorch")


def same(first, second):
    return json.dumps(first, default=lambda x: x.tolist()) == json.dumps(second, default=lambda x: x.tolist())


def test_what_is_logged_saved_and_told(tmp_path, capsys):
    assert train(tmp_path)[0] == 0
    here = tmp_path / "Toy/toy"
    scalars = [json.loads(line) for line in (here / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in scalars if line["tag"] == "loss/itr_train_twice"]
    assert steps == [2, 4, 6, 8, 10]
    assert [line["step"] for line in scalars if line["tag"] == "loss/itr_valid_psnr"] == [4, 8, 10]
    rates = {line["step"]: line["value"] for line in scalars if line["tag"] == "learning_rate"}
    assert rates[4] == pytest.approx(0.1 / 5)  # of the coming step
    lines = (here / "checkpoint/train/epoch/checkpoints.txt").read_text().splitlines()
    assert lines[0] == "toy_00003.pytorch 30.0"
    assert last(tmp_path)["state"]["position"] == 20
    assert last(tmp_path)["state"]["epoch"] == 3
    assert (here / "test_loop.py").is_file()
    out = capsys.readouterr().out
    assert "numbers; 1 x 2 samples a step on cpu" in out
    assert "[VALID][toy] step:8/10 time:0.1 s lr:1.11111e-02 psnr:28.000" in out
    assert out.strip().endswith(f"done: 10 steps; checkpoints in {here / 'checkpoint/train/epoch'}")


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("step", [1, 4, 5, 7])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(tmp_path, step, stages, capsys):
    config = Config(stages=stages)
    assert train(tmp_path / "whole", config)[0] == 0
    assert train(tmp_path / "part", config, at_step=step)[0] == 128 + signal.SIGTERM
    assert f"stopped after step {step} and saved" in capsys.readouterr().out
    assert last(tmp_path / "part")["state"]["step"] == step
    assert train(tmp_path / "part", config, resume="auto")[0] == 0
    assert same(last(tmp_path / "part"), last(tmp_path / "whole"))


def test_a_finished_run_has_nothing_to_do(tmp_path, capsys):
    assert train(tmp_path)[0] == 0
    capsys.readouterr()
    assert train(tmp_path, resume="auto")[0] == 0
    out = capsys.readouterr().out
    assert "nothing to do: step 10 was the last" in out
    assert "done" not in out


def test_a_diverging_run_ends_before_the_weights_do(tmp_path):
    line = r"^step \d+: loss or gradient is not finite \(total (nan|inf), .*\); last good checkpoint: none$"
    with pytest.raises(FloatingPointError, match=line):
        train(tmp_path, rate=1e30)


def test_a_broken_sample_keeps_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"^number 7.png is broken$"):
        train(tmp_path, broken=5)


def test_among_several_processes_the_one_that_failed_tells(tmp_path, monkeypatch):
    def two(error):
        run = Training(argparse.Namespace(log_root=tmp_path), Config())
        run.processes, run._in_loop = argparse.Namespace(world_size=2, rank=1), True
        run.folder = argparse.Namespace(last_good=lambda: "none")
        run._stack = argparse.Namespace(__exit__=lambda *_: None)
        run.__exit__(type(error), error, None)

    with pytest.raises(cli.OneProcessError, match=r"process 1: 7.png is broken"):
        two(ValueError("7.png is broken"))
    two(RuntimeError("a bug"))  # keeps its traceback
    with pytest.raises(FloatingPointError, match=r"^step 1: all processes know; last good checkpoint: none$"):
        two(FloatingPointError("all processes know"))


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    run = Training(None, Config(total_batch=3))
    run.processes = argparse.Namespace(world_size=2)
    with pytest.raises(cli.UsageError, match="a batch of 3 does not divide among 2 processes: give -b"):
        run.batch_size(3)


def test_shares_are_even_and_complete():
    run = Training(None, Config())
    found = []
    for rank in range(3):
        run.processes = argparse.Namespace(world_size=3, rank=rank)
        found += run.share(list(range(10)), 6)
    assert sorted(found) == [0, 1, 3, 5, 6, 8]
    assert 1 <= sampling.usual_workers() <= 16
