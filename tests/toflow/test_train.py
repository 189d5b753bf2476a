"""TOFlow's training as a user meets it: stages, the run folder, exact resume, several processes, degradations."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from tests.helpers.runs import (
    KILL,
    KILL_BEFORE_LIST,
    KILL_BEFORE_RENAME,
    KILLED,
    ROOT,
    launch,
    make_clips,
    program,
    same,
    script,
    start,
)
from toflow import run
from toflow import train as train_module
from toflow.config import PRESETS, preset
from toflow.model import FORMS, TOFlow
from toflow.samples import FlowSamples, TrainingSamples, turn
from toflow.sets import SETS, evaluation_frames, find_flow_samples, find_samples
from toflow.stages import Objective, learning_parts, plan

PAPER = "toflow"
# Three stages of 4 steps: the kills and stops below fall into the second and between two.
TINY = (
    "--set", "stages=flow,processing,joint", "--set", "steps=4,4,4", "--set", "learning_rates=1e-3,1e-3,1e-3",
    "--set", "total_batch=2", "--set", "flow_batch=2", "--set", "flow_crop=32", "--set", "crop=32",
    "--set", "valid_every_step=2", "--set", "write_log_every_step=2", "--set", "save_every_step=1", "-th", "0",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Triplets with exact flow, septuplets, pairs with flow: 64x48 pixels."""
    root = tmp_path_factory.mktemp("clips")
    for layout, count, frames in (("vimeo_triplet", 3, 3), ("vimeo_septuplet", 3, 7), ("sintel", 1, 4)):
        make_clips(root, layout, "--clips", count, "--test_clips", 2, "--frames", frames)
    return root


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


def test_a_fixed_part_keeps_its_statistics():
    network = TOFlow(replace(FORMS["paper_interp_mask"], widths=(4, 4, 4, 4), channels=4))
    for parameter in network.parameters():  # an untrained flow network gives zeros, whose statistics stay
        parameter.data += 0.1 * torch.randn_like(parameter)
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    for stage, moving in (("flow", "spynets"), ("mask", "masknet"), ("processing", "masknet"), ("joint", "")):
        learning_parts(network, stage)
        network(torch.rand(2, 2, 3, 16, 16))
        after = network.state_dict()
        for key, value in before.items():
            assert torch.equal(value, after[key]) != key.startswith(moving), (stage, key)
        before = {key: after[key].clone() for key in before}


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


@pytest.mark.parametrize("name", ["TOFlow_interp_tiny", "TOFlow_denoise_tiny", "TOFlow_deblock_tiny", "TOFlow_sr_tiny"])
def test_loss_falls_on_one_batch(clips, name):
    torch.manual_seed(0)
    config = replace(preset(name), crop=32)
    dataset = TrainingSamples(find_samples(clips, config.data, "train"), config)
    objective = Objective(TOFlow(config.form), "joint", config.loss)
    batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    found = []
    for _ in range(30):
        loss, _ = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert max(found[-3:]) < (0.95 if config.task == "sr" else 0.8) * found[0]  # bicubic is near already


def test_flow_stages_learn_the_exact_flow(clips):
    """Of pairs for one flow network, and of the labels of triplets for the two that begin at the middle."""
    torch.manual_seed(0)
    for name in ("TOFlow_denoise", "TOFlow_interp"):
        config = replace(preset(name), crop=32, flow_crop=32)
        form = replace(config.form, widths=(8, 8, 8, 8), channels=8)
        if form.from_middle:
            dataset = TrainingSamples(find_samples(clips, "vimeo90k", "train"), config, labels=True)
        else:
            dataset = FlowSamples(find_flow_samples(clips, "sintel"), config, SETS[config.data].degradation)
        objective = Objective(TOFlow(form), "flow", config.loss)
        learning_parts(objective.network, "flow")
        batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
        first, outputs = objective(batch)
        assert outputs["flows"].shape == batch["flows"].shape
        assert first.item() == pytest.approx(batch["flows"].abs().mean().item())  # untrained: no motion seen
        optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], 3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            objective(batch)[0].backward()
            optimizer.step()
        assert objective(batch)[0] < 0.8 * first


def test_labels_of_triplets_warp_the_frames_onto_the_target(clips):
    from common.ops.warp import backward_warp

    config = replace(preset("TOFlow_interp"), crop=32)
    item = TrainingSamples(find_samples(clips, "vimeo90k", "train"), config, labels=True)[1]
    warped = backward_warp(item["frames"], item["flows"], padding="border")
    assert (warped - item["target"]).abs().mean() < 0.7 * (item["frames"] - item["target"]).abs().mean()


KILL_AT_STEP_7 = (
    KILL + "from toflow.train import Run\nold = Run._update\n"
    "Run._update = lambda self, *a: die() if self.step == 7 else old(self, *a)"
)
MOMENTS = {
    "between two steps": KILL_AT_STEP_7,
    "between two stages": KILL_AT_STEP_7.replace("self.step == 7", "self.step == 4"),
    "before a checkpoint takes its name": KILL_BEFORE_RENAME,
    "between weights and list": KILL_BEFORE_LIST,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_and_resume_give_the_undisturbed_weights(arguments, tmp_path, undisturbed, moment):
    killed = start(PAPER, arguments(), MOMENTS[moment])
    assert killed.returncode == KILLED, killed.stderr
    assert cli.run(run.main, arguments("-r", "auto")) == 0
    assert same(weights(tmp_path), weights(undisturbed))


def test_sigterm_saves_and_resumes_exactly(arguments, tmp_path, undisturbed, monkeypatch, capsys):
    update = train_module.Run._update

    def interrupted(self, *given):
        outcome = update(self, *given)
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return outcome

    monkeypatch.setattr(train_module.Run, "_update", interrupted)
    assert cli.run(run.main, arguments("--set", "save_every_step=100")) == 128 + signal.SIGTERM
    assert "stopped after step 7" in capsys.readouterr().out
    monkeypatch.setattr(train_module.Run, "_update", update)
    assert cli.run(run.main, arguments("-r", "auto", "-th", "2")) == 0  # workers change nothing
    assert "step 7" in capsys.readouterr().out
    assert same(weights(tmp_path), weights(undisturbed))


def test_resume_from_a_period(arguments, tmp_path, undisturbed):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    assert cli.run(run.main, arguments("-r", "4")) == 0
    assert same(weights(tmp_path), weights(undisturbed))
    assert (folder(tmp_path) / "checkpoint/train/epoch/superseded/ckpt/tiny_00006.pytorch").is_file()


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


def test_mean_gradient_of_two_samples_is_that_of_their_batch(clips):
    torch.manual_seed(0)
    config = replace(preset("TOFlow_denoise_tiny"), crop=32)
    network = TOFlow(config.form)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    dataset = TrainingSamples(find_samples(clips, config.data, "train"), config)

    def gradient(*positions):
        network.zero_grad()
        batch = torch.utils.data.default_collate([dataset[position] for position in positions])
        Objective(network, "joint", config.loss)(batch)[0].backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    both = gradient(0, 1)
    assert ((gradient(0) + gradient(1)) / 2 - both).norm() < 1e-5 * both.norm()


def test_plan_of_the_published_recipes():
    mmagic = plan(preset("tof_spynet-chair-wobn_1xb1_vimeo90k-triplet"), 51313)
    assert [(stage.name, stage.last, stage.total_batch) for stage in mmagic] == [("joint", 1_000_000, 1)]
    paper = plan(preset("TOFlow_denoise"), 64612)
    assert [stage.name for stage in paper] == ["flow", "processing", "joint"]
    assert paper[-1].last - paper[-1].first == 15 * 64612
    assert [stage.total_batch for stage in paper] == [16, 1, 1]
    assert plan(replace(preset("TOFlow_denoise"), max_steps=60_000), 64612)[-1].last == 60_000


def test_rate_falls_at_milestones_of_the_joint_stage(arguments, tmp_path):
    assert cli.run(run.main, arguments("--set", "milestones=1,3", "--set", "write_log_every_step=1")) == 0
    rates = [s["value"] for s in scalars(tmp_path) if s["tag"] == "learning_rate"]
    assert rates == pytest.approx([1e-3] * 8 + [5e-4, 5e-4, 2.5e-4, 2.5e-4])  # of the next step


def test_samples_depend_on_the_position_alone(clips):
    for data in ("vimeo_mixed", "vimeo_j2k_q40", "vimeo_bicubic_x4"):
        config = replace(preset("TOFlow_denoise"), data=data, crop=32, flip=True)
        samples = find_samples(clips, data, "train")
        first, again = (TrainingSamples(samples, config)[7] for _ in range(2))
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert not torch.equal(first["frames"][3], first["target"])  # degraded
        other = TrainingSamples(samples, replace(config, manual_seed=5))[7]
        assert not torch.equal(first["frames"], other["frames"])


def test_prepared_frames_are_read_as_they_are(clips, tmp_path):
    shutil.copytree(clips / "vimeo_septuplet", tmp_path / "vimeo_septuplet")
    layout = ("--layout", "vimeo_septuplet", "--root", tmp_path)
    script([ROOT / "datasets/prepare_vimeo90k.py", *layout, "--degrade", "mixed", "--seed", 1234])
    made, flying = (find_samples(tmp_path, "vimeo_mixed", "test", prepared=prepared) for prepared in (True, False))
    for a, b in zip(made, flying, strict=True):
        assert np.array_equal(evaluation_frames(a, 99), evaluation_frames(b, 1234))
    config = replace(preset("TOFlow_denoise"), prepared=True, crop=32)
    item = TrainingSamples(find_samples(tmp_path, "vimeo_mixed", "train", prepared=True), config)[0]
    noise = (item["frames"][3] - item["target"]).std().item()
    assert 0.08 < noise < 0.25


def test_turn_keeps_frames_and_target_together():
    clip = np.arange(7 * 4 * 6 * 3).reshape(7, 4, 6, 3)
    seen = set()
    for seed in range(150):
        frames, target = turn(list(clip), clip[3], np.random.default_rng(seed))
        assert np.array_equal(frames[3], target)
        assert sorted(frame.min() for frame in frames) == [frame.min() for frame in clip]
        seen.add((target.shape, int(target[0, 0, 0]), int(frames[0].min())))
    assert len(seen) == 16


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
    from toflow.checkpoints import spynet_names

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


def test_a_folder_with_a_run_is_not_started_over(arguments, tmp_path, undisturbed, capsys):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    assert cli.run(run.main, arguments()) == 2
    assert "-r auto" in capsys.readouterr().err
    assert cli.run(run.main, arguments("-r", "auto")) == 0
    assert "nothing to do" in capsys.readouterr().out


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
