"""TOFlow's training as a user meets it: stages, the run folder, exact resume, several processes, degradations."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.training.loop import Training
from common.training.sampling import ShuffledOrder
from tests.helpers.runs import (
    KILL_AT_STEP_7,
    KILLED,
    ROOT,
    launch,
    program,
    same,
    start,
)
from toflow import run
from toflow.checkpoints import spynet_names
from toflow.config import PRESETS
from toflow.model import FORMS, TOFlow
from toflow.sets import find_samples
from toflow.stages import Objective

PAPER = "toflow"
# Three stages of 4 steps: the kills and stops below fall into the second and between two.
TINY = (
    "--set", "stages=flow,processing,joint", "--set", "steps=4,4,4", "--set", "learning_rates=1e-3,1e-3,1e-3",
    "--set", "total_batch=2", "--set", "flow_batch=2", "--set", "flow_crop=32", "--set", "crop=32",
    "--set", "valid_every_step=2", "--set", "write_log_every_step=2", "--set", "save_every_step=1", "-th", "0",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def arguments(clips, tmp_path):
    """The command line of a tiny run in a folder of its own: 12 steps of 2 samples."""

    def make(*more, mode="tiny", batch=2, config="TOFlow_denoise_tiny"):
        paths = ("--data_root", str(clips), "--log_root", str(tmp_path))
        return ["--is_train", "--mode", mode, "--config", config, "-b", str(batch), *paths, *TINY, *more]

    return make


def folder(tmp_path: Path, mode: str = "tiny") -> Path:
    return tmp_path / "TOFlow_IJCV2019" / mode


def weights(tmp_path: Path, mode: str = "tiny", epoch: int = 6) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder(tmp_path, mode) / f"checkpoint/train/epoch/ckpt/{mode}_{epoch:05d}.pytorch")


def scalars(tmp_path: Path, mode: str = "tiny") -> list[dict]:
    return [json.loads(line) for line in (folder(tmp_path, mode) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def undisturbed(clips, tmp_path_factory):
    """The log root of an undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    argv = ["--is_train", "--mode", "tiny", "--config", "TOFlow_denoise_tiny", "-b", "2", *TINY]
    assert cli.run(run.main, [*argv, "--data_root", str(clips), "--log_root", str(root)]) == 0
    return root


def test_run_folder_has_what_its_card_says(undisturbed):
    here = folder(undisturbed)
    lines = (here / "checkpoint/train/epoch/checkpoints.txt").read_text().splitlines()
    assert lines[-1].startswith("tiny_00006.pytorch ")
    assert len(lines) == 5  # periods 3 to 6, when there are frames to rank by, and the most recent again
    assert json.loads((here / "config/config.txt").read_text())["stages"] == ["flow", "processing", "joint"]
    assert "Number of parameters:" in (here / "cost.txt").read_text()
    found = scalars(undisturbed)
    assert {s["tag"] for s in found} == {
        "loss/itr_train_flow_loss", "loss/itr_train_processing_loss", "loss/itr_train_joint_loss",
        "loss/itr_valid_psnr", "learning_rate",
    }  # fmt: skip
    assert [s["step"] for s in found if s["tag"] == "loss/itr_valid_psnr"] == [6, 8, 10, 12]
    TOFlow(FORMS["tiny_denoise"]).load_state_dict(weights(undisturbed))


def test_a_stage_teaches_its_modules_alone(undisturbed, clips):
    torch.manual_seed(PRESETS["TOFlow_denoise_tiny"].manual_seed)
    fresh = TOFlow(FORMS["tiny_denoise"]).state_dict()
    after = weights(undisturbed, epoch=3)  # two steps into the second stage
    joint = weights(undisturbed, epoch=4)  # its end
    assert not torch.equal(fresh["spynets.0.levels.0.8.weight"], after["spynets.0.levels.0.8.weight"])
    for key in fresh:
        if key.startswith("spynets"):
            assert torch.equal(after[key], joint[key])
        elif key.startswith("processing"):
            assert not torch.equal(fresh[key], after[key])
    last = weights(undisturbed)
    assert not torch.equal(joint["spynets.0.levels.0.8.weight"], last["spynets.0.levels.0.8.weight"])


def test_sample_pictures_and_tensorboard(arguments, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    more = ("-ss", "--set", "stages=mask,joint", "--set", "steps=2,2", "--set", "learning_rates=1e-3,1e-3")
    more += ("--set", "valid_samples=1", "--network", "paper_interp_mask", "--data", "vimeo90k")
    assert cli.run(run.main, arguments(*more, config="TOFlow_interp_mask")) == 0
    for split in ("train", "valid"):
        events = EventAccumulator(str(folder(tmp_path) / "log" / split / "image"))
        events.Reload()
        expected = {f"sample/{key}" for key in ("frames", "pred", "target", "flows", "warped", "masks")}
        assert set(events.Tags()["images"]) == expected
        assert any(path.name.endswith("_flows.jpg") for path in (folder(tmp_path) / "sample" / split).iterdir())


def test_kill_9_between_two_stages(arguments, tmp_path, undisturbed):
    killed = start(PAPER, arguments(), KILL_AT_STEP_7.replace("self.step == 7", "self.step == 4"))
    assert killed.returncode == KILLED, killed.stderr
    assert cli.run(run.main, arguments("-r", "auto")) == 0
    assert same(weights(tmp_path), weights(undisturbed))


def test_sigterm_where_a_stage_ends(arguments, tmp_path, undisturbed, monkeypatch, capsys):
    update = Training.update

    def interrupted(self, losses):
        update(self, losses)
        if self.step == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "update", interrupted)
    assert cli.run(run.main, arguments("--set", "save_every_step=100")) == 128 + signal.SIGTERM
    assert "stopped after step 8" in capsys.readouterr().out
    monkeypatch.setattr(Training, "update", update)
    assert cli.run(run.main, arguments("-r", "auto", "-th", "2")) == 0  # workers change nothing
    assert "step 8" in capsys.readouterr().out
    assert same(weights(tmp_path), weights(undisturbed))


def test_two_processes_equal_one_and_survive_kill_9(arguments, tmp_path, undisturbed):
    script = tmp_path / "killed.py"
    script.write_text(f"{KILL_AT_STEP_7.replace('if self', 'if self.processes.rank == 1 and self')}\n{program(PAPER)}")
    assert launch(PAPER, arguments("-dist", mode="parts", batch=1), 29651, script=script).returncode
    rest = launch(PAPER, arguments("-dist", "-r", "auto", mode="parts", batch=1), 29652, "launch")
    assert rest.returncode == 0, rest.stderr
    # Gradients agree to 1e-7, but Adam moves a weight by about the rate, 1e-3, whatever the size of its gradient: where
    # that is nothing but rounding, or l1 changes its sign, it goes elsewhere. 12 of 54,432 do by step 6, by 6e-5.
    parts, one = (weights(root, mode, epoch=3) for root, mode in ((tmp_path, "parts"), (undisturbed, "tiny")))
    assert max((parts[key] - one[key]).abs().max().item() for key in one) < 2e-4
    before, parts, one = one, weights(tmp_path, "parts"), weights(undisturbed)
    apart, way = (torch.cat([(one[key] - x[key]).flatten() for key in one]).norm() for x in (parts, before))
    assert apart < 0.1 * way  # 0.05 measured


def test_rate_falls_at_milestones_of_the_joint_stage(arguments, tmp_path):
    assert cli.run(run.main, arguments("--set", "milestones=1,3", "--set", "write_log_every_step=1")) == 0
    rates = [s["value"] for s in scalars(tmp_path) if s["tag"] == "learning_rate"]
    assert rates == pytest.approx([1e-3] * 8 + [5e-4, 5e-4, 2.5e-4, 2.5e-4])  # of the next step


def test_training_starts_from_published_weights(arguments, tmp_path):
    torch.manual_seed(5)
    state = TOFlow(FORMS["tiny_denoise"]).state_dict()
    checkpoint_file.save(
        {"net_state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "a.pth"
    )
    more = ("--ckpt_abs_name", str(tmp_path / "a.pth"), "--set", "stages=joint", "--set", "steps=1")
    assert cli.run(run.main, arguments(*more, "--set", "learning_rates=1e-9")) == 0
    found = weights(tmp_path, epoch=1)
    assert max((found[key] - state[key]).abs().max().item() for key in state) < 1e-7


def test_training_starts_from_a_published_flow_network(arguments, tmp_path):
    torch.manual_seed(5)
    own = {key: torch.randn_like(x) / 50 for key, x in TOFlow(FORMS["mmagic_vfi"]).spynets[0].state_dict().items()}
    published = {name: own[f"levels.{key}"] for name, key in spynet_names("mmagic_spynet", False)}
    checkpoint_file.save({"state_dict": published}, tmp_path / "spynet.pth")
    more = ("--set", f"spynet={tmp_path / 'spynet.pth'}", "--set", "stages=joint", "--set", "steps=1")
    more += ("--set", "learning_rates=1e-9", "--set", "valid_samples=1")
    config = "tof_spynet-chair-wobn_1xb1_vimeo90k-triplet"
    assert cli.run(run.main, arguments(*more, config=config)) == 0
    found = weights(tmp_path, epoch=1)
    assert max((found[f"spynets.0.{key}"] - x).abs().max().item() for key, x in own.items()) < 1e-7


def test_bf16_trains(arguments, tmp_path):
    assert cli.run(run.main, arguments("--amp", "bf16", "--set", "steps=1,1,1")) == 0
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path, epoch=2).values())


def test_nan_stops_and_names_step_and_checkpoint(arguments, monkeypatch, capsys):
    real, calls = Objective.forward, []

    def spoiled(self, batch):
        calls.append(1)
        loss, outputs = real(self, batch)
        return loss * (float("nan") if len(calls) == 3 else 1), outputs

    monkeypatch.setattr(Objective, "forward", spoiled)
    assert cli.run(run.main, arguments()) == 1
    message = capsys.readouterr().err
    assert "step 3: loss or gradient is not finite (loss nan)" in message
    assert "last good checkpoint" in message


OURS = rf'File "{ROOT}/(common|toflow)/'  # in a traceback; the launcher shows one of its own
DIVERGING = ("--set", "learning_rates=1e20,1e20,1e20")


@pytest.mark.parametrize("stages", [(), ("--set", "stages=joint", "--set", "steps=12", "--set", "learning_rates=1e20")])
def test_a_diverging_training_ends_in_its_line(arguments, stages):
    done = start(PAPER, arguments(*DIVERGING, *stages))
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: step 2: loss or gradient is not finite (loss nan); last good checkpoint: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_broken_frame_of_the_second_process_is_named(arguments, clips, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(clips, root)
    samples = find_samples(root, "vimeo_mixed", "train")
    second = ShuffledOrder(len(samples), PRESETS["TOFlow_denoise_tiny"].manual_seed)(1)  # of step 1: that of rank 1
    broken = samples[second].frames[1]
    broken.write_bytes(broken.read_bytes()[:200])
    more = ("--data_root", str(root), "--set", "stages=joint", "--set", "steps=4", "--set", "learning_rates=1e-3")
    done = launch(PAPER, arguments(*more, "-dist", batch=1), 29654)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error: process 1: ") and str(broken) in line]
    assert not re.search(OURS, done.stderr)


@pytest.mark.parametrize(
    ("spoil", "more", "line"),
    [
        ("cut", (), "truncated"),
        ("size", (), "was expected, as of"),
        ("label", ("--config", "TOFlow_interp"), "no such label; make them"),
        ("", ("--set", "crop=96"), "smaller than the crop of 96"),
        ("", ("--set", "flow_data=chairs"), "FlyingChairs: no such folder"),
        ("", ("--prepared",), "--degrade mixed"),
        ("", ("--data_root", "nowhere"), "no such folder"),
        ("", ("-dist",), "needs a launcher"),
        ("", ("--config", "pytoflow_denoise"), "network-sintel-final.pytorch: no such file"),
    ],
)
def test_bad_data_ends_in_one_line(arguments, clips, tmp_path, capsys, spoil, more, line):
    root = tmp_path / "data"
    shutil.copytree(clips, root)
    sample = find_samples(root, "vimeo_mixed", "train")[2]
    if spoil == "cut":
        sample.frames[1].write_bytes(sample.frames[1].read_bytes()[:200])
    elif spoil == "size":
        shutil.copy(ROOT / "results/pvdnet/small.png", sample.frames[2])
    elif spoil == "label":
        shutil.rmtree(root / "vimeo_triplet/flow")
    assert cli.run(run.main, arguments("--data_root", str(root), *more)) in (1, 2)
    message = capsys.readouterr().err
    assert line in message
    assert len(message.strip().splitlines()) == 1
