"""TDAN's training as a user meets it: both stages, the run folder, exact resume, several processes, samples."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.training.sampling import ShuffledOrder
from tdan import run
from tdan import train as train_module
from tdan.config import PRESETS
from tdan.losses import tdan_loss
from tdan.model import TDAN
from tdan.sets import find_clips
from tests.helpers.runs import (
    KILL_AT_STEP_7,
    ROOT,
    launch,
    program,
)

PAPER = "tdan"
SMALL = ("--set", "channels=8", "--set", "blocks_before=1", "--set", "blocks_after=1")
TINY = (
    *SMALL, "--set", "steps=12", "--set", "total_batch=2", "--set", "crop=8", "--set", "valid_samples=2",
    "--set", "valid_every_step=4", "--set", "write_log_every_step=2", "--set", "save_every_step=1", "-th", "0",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def arguments(clips, tmp_path):
    """The command line of a tiny run in a folder of its own: 12 steps of 2 samples."""

    def make(*more, mode="tiny", batch=2, config="TDAN_tiny_bi"):
        paths = ("--data_root", str(clips), "--log_root", str(tmp_path))
        return ["--is_train", "--mode", mode, "--config", config, "-b", str(batch), *paths, *TINY, *more]

    return make


def folder(tmp_path: Path, mode: str = "tiny") -> Path:
    return tmp_path / "TDAN_CVPR2020" / mode


def weights(tmp_path: Path, mode: str = "tiny", epoch: int = 3) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder(tmp_path, mode) / f"checkpoint/train/epoch/ckpt/{mode}_{epoch:05d}.pytorch")


def scalars(tmp_path: Path, mode: str = "tiny") -> list[dict]:
    return [json.loads(line) for line in (folder(tmp_path, mode) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def undisturbed(clips, tmp_path_factory):
    """The log root of an undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    argv = ["--is_train", "--mode", "tiny", "--config", "TDAN_tiny_bi", "-b", "2", *TINY]
    assert cli.run(run.main, [*argv, "--data_root", str(clips), "--log_root", str(root)]) == 0
    return root


def test_run_folder_has_what_its_card_says(undisturbed):
    here = folder(undisturbed)
    lines = (here / "checkpoint/train/epoch/checkpoints.txt").read_text().splitlines()
    assert lines[-1].startswith("tiny_00003.pytorch ")
    assert len(lines) == 4  # three periods, and the most recent again
    assert json.loads((here / "config/config.txt").read_text())["align_weight"] == 0.25
    assert "Number of parameters:" in (here / "cost.txt").read_text()
    assert (here / "model.py").is_file()
    found = scalars(undisturbed)
    assert {s["tag"] for s in found} == {
        "loss/itr_train_total", "loss/itr_train_sr", "loss/itr_train_align", "loss/itr_valid_psnr",
        "loss/itr_valid_ssim", "learning_rate",
    }  # fmt: skip
    assert [s["step"] for s in found if s["tag"] == "loss/itr_valid_psnr"] == [4, 8, 12]
    TDAN(8, 1, 1).load_state_dict(weights(undisturbed))


def test_validation_scores_what_an_evaluation_scores(undisturbed, clips, tmp_path, capsys):
    argv = ["--mode", "tiny", "--data_root", str(clips), "--log_root", str(tmp_path), "--device", "cpu"]
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    assert cli.run(run.main, argv) == 0
    last = [s["value"] for s in scalars(tmp_path) if s["tag"] == "loss/itr_valid_psnr"][-1]
    assert f"PSNR: {last:.5f}" in capsys.readouterr().out


def test_sample_pictures_and_tensorboard(arguments, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert cli.run(run.main, arguments("-ss", "--set", "max_steps=2", "--set", "valid_samples=1")) == 0
    for split in ("train", "valid"):
        events = EventAccumulator(str(folder(tmp_path) / "log" / split / "image"))
        events.Reload()
        assert set(events.Tags()["images"]) == {f"sample/{key}" for key in ("compared", "frames", "aligned", "motion")}
        assert any(path.name.endswith("_motion.jpg") for path in (folder(tmp_path) / "sample" / split).iterdir())


def test_two_processes_equal_one_and_survive_kill_9(arguments, tmp_path, undisturbed):
    script = tmp_path / "killed.py"
    script.write_text(f"{KILL_AT_STEP_7.replace('if self', 'if self.processes.rank == 1 and self')}\n{program(PAPER)}")
    assert launch(PAPER, arguments("-dist", mode="parts", batch=1), 29671, script=script).returncode
    rest = launch(PAPER, arguments("-dist", "-r", "auto", mode="parts", batch=1), 29672, "launch")
    assert rest.returncode == 0, rest.stderr
    parts, one = weights(tmp_path, "parts"), weights(undisturbed)
    way = torch.cat([(one[key] - weights(undisturbed, epoch=1)[key]).flatten().float() for key in one]).norm()
    apart = torch.cat([(one[key] - parts[key]).flatten().float() for key in one]).norm()
    assert apart < 0.05 * way, (apart, way)


def test_second_stage_starts_from_the_first_one(arguments, tmp_path, undisturbed, capsys):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    more = ("--set", "start_from=tiny", "--set", "steps=1", "--set", "learning_rate=1e-9", "--set", "weight_decay=0")
    assert cli.run(run.main, arguments(*more, mode="second")) == 0
    assert "starts from the weights of" in capsys.readouterr().out
    first, second = weights(undisturbed), weights(tmp_path, "second", epoch=1)
    assert max((first[key].float() - second[key].float()).abs().max().item() for key in first) < 1e-7
    assert cli.run(run.main, arguments("--set", "start_from=gone", mode="third")) == 2
    assert "--is_train --config gone" in capsys.readouterr().err
    stage_2 = PRESETS["tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi"]
    assert stage_2.start_from == "tdan_x4_1xb16-lr1e-4-400k_vimeo90k-bi"
    assert (stage_2.learning_rate, stage_2.weight_decay, stage_2.align_weight) == (5e-5, 0, 0.25)


def test_training_goes_on_with_the_border_rule_of_the_weights(arguments, tmp_path, capsys):
    checkpoint_file.save(TDAN(8, 1, 1, border="tdan", init="authors").state_dict(), tmp_path / "authors.pth")
    more = ("--ckpt_abs_name", str(tmp_path / "authors.pth"))
    assert cli.run(run.main, arguments(*more, "--set", "max_steps=2")) == 0
    assert "border rule tdan" in capsys.readouterr().out
    assert cli.run(run.main, arguments("-r", "auto", "--set", "max_steps=3")) == 0
    assert weights(tmp_path, epoch=1)["border"] == 1
    wide = ("--set", "channels=16", "--set", "max_steps=1")
    assert cli.run(run.main, arguments(*more, *wide, mode="wide")) == 1
    assert "of another shape" in capsys.readouterr().err


def test_rate_falls_after_shares_of_the_planned_steps(arguments, tmp_path):
    more = ("--set", "milestones=0.25,0.75", "--set", "write_log_every_step=1", "--set", "max_steps=10")
    assert cli.run(run.main, arguments(*more)) == 0
    rates = [s["value"] for s in scalars(tmp_path) if s["tag"] == "learning_rate"]
    assert rates == pytest.approx([1e-3] * 2 + [5e-4] * 6 + [2.5e-4] * 2)  # of the next step


def test_epochs_count_clips(arguments, tmp_path, capsys):
    more = ("--set", "steps=0", "--set", "epochs=3", "--data", "clips_bi", "--set", "valid_data=clips_bi")
    assert cli.run(run.main, arguments(*more)) == 0
    assert "2 clips; 3 steps" in capsys.readouterr().out


def test_bf16_trains(arguments, tmp_path):
    assert cli.run(run.main, arguments("--amp", "bf16", "--set", "max_steps=2")) == 0
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path, epoch=1).values())


def test_nan_stops_and_names_step_and_checkpoint(arguments, monkeypatch, capsys):
    calls = []

    def spoiled(*given):
        calls.append(1)
        return {name: loss * (float("nan") if len(calls) == 3 else 1) for name, loss in tdan_loss(*given).items()}

    monkeypatch.setattr(train_module, "tdan_loss", spoiled)
    assert cli.run(run.main, arguments()) == 1
    message = capsys.readouterr().err
    assert "step 3: loss or gradient is not finite (total nan, sr nan, align nan)" in message
    assert "last good checkpoint" in message


def test_a_broken_frame_of_the_second_process_is_named(arguments, clips, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(clips, root)
    found = find_clips(root, "vimeo_bi", "train")
    broken = found[ShuffledOrder(len(found), 1234)(1)].truths[2]  # of the sample that the second process starts with
    broken.write_bytes(broken.read_bytes()[:200])
    done = launch(PAPER, arguments("-dist", "--data_root", str(root), batch=1), 29674)
    assert done.returncode
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: process ")]
    assert [line.split(": ")[1] for line in lines] == ["process 1"]
    assert f"{broken} is a truncated PNG file" in lines[0]
    assert not any(f'File "{ROOT / place}' in done.stderr for place in ("tdan", "common"))


@pytest.mark.parametrize(
    ("spoil", "more", "line"),
    [
        ("cut", (), "truncated"),
        ("size", (), "expected"),
        ("", ("--set", "crop=96"), "smaller than the crop of 96"),
        ("", ("--set", "valid_data=vid4_bi"), "Vid4: no such folder"),
        ("", ("--prepared",), "--degrade BIx4"),
        ("", ("--data_root", "nowhere"), "no such folder"),
        ("", ("-dist",), "needs a launcher"),
    ],
)
def test_bad_data_ends_in_one_line(arguments, clips, tmp_path, capsys, spoil, more, line):
    root = tmp_path / "data"
    shutil.copytree(clips, root)
    clip = find_clips(root, "vimeo_bi", "train")[2]
    if spoil == "cut":
        clip.truths[2].write_bytes(clip.truths[2].read_bytes()[:200])
    elif spoil == "size":
        shutil.copy(ROOT / "results/pvdnet/small.png", clip.truths[2])
    assert cli.run(run.main, arguments("--data_root", str(root), *more)) in (1, 2)
    message = capsys.readouterr().err
    assert line in message
    assert len(message.strip().splitlines()) == 1
