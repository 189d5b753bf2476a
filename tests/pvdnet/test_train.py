"""Training as a user meets it: the run folder, exact resume, stopping, several processes, what must never be lost."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.image import write_image
from pvdnet import run
from pvdnet.models.trainers import trainer as trainer_module
from pvdnet.sets import SUBFOLDERS
from tests.helpers.runs import (
    ROOT,
    launch,
    make_clips,
    program,
    same,
    start,
)
from tests.helpers.tiny_runs import kill_at

PAPER = "pvdnet"
TINY = (
    "--set", "width=32", "--set", "height=32", "--set", "frame_itr_num=3", "--set", "total_itr=24",
    "--set", "write_ckpt_every_epoch=2", "-lr", "5e-4", "-th", "0", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Two training clips, and test clips of four and three frames."""
    root = tmp_path_factory.mktemp("clips")
    make_clips(root, "DVD", "--clips", 2, "--test_clips", 2, "--frames", 6)
    for clip, frames in enumerate((4, 3)):
        for path in (root / f"test_DVD/video_{clip:04}").glob("*/*.jpg"):
            if int(path.stem) >= frames:
                path.unlink()
    return root


@pytest.fixture
def arguments(clips, tmp_path):
    """The command line of a tiny run in a folder of its own: 4 samples, 2 batches of 2, 6 steps an epoch, 4 epochs."""

    def make(*more, mode="tiny", config="config_PVDNet_small", batch=2):
        paths = ("--data_root", str(clips), "--log_root", str(tmp_path))
        return ["--is_train", "--mode", mode, "--config", config, "-b", str(batch), *paths, *TINY, *more]

    return make


def folder(tmp_path: Path, mode: str = "tiny") -> Path:
    return tmp_path / "PVDNet_TOG2021" / mode


def weights(tmp_path: Path, mode: str = "tiny", epoch: int = 4) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder(tmp_path, mode) / f"checkpoint/train/epoch/ckpt/{mode}_{epoch:05d}.pytorch")


@pytest.fixture(scope="session")
def undisturbed(clips, tmp_path_factory):
    """Weights after an undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    argv = ["--is_train", "--mode", "tiny", "--config", "config_PVDNet_small", "-b", "2", *TINY]
    assert cli.run(run.main, [*argv, "--data_root", str(clips), "--log_root", str(root)]) == 0
    return root


def test_run_folder_has_what_its_card_says(undisturbed):
    here = folder(undisturbed)
    lines = (here / "checkpoint/train/epoch/checkpoints.txt").read_text().splitlines()
    assert lines[-1].startswith("tiny_00004.pytorch ")
    assert len(lines) == 6  # epochs 0 to 4 ranked, and the most recent again
    assert json.loads((here / "config/config.txt").read_text())["network"] == "PVDNet_small"
    cost = (here / "cost.txt").read_text().splitlines()
    assert cost[0].startswith("Computational complexity (Macs): ")
    assert cost == ["Computational complexity (Macs): 42.19 B", "Number of parameters:         0.30 M"]
    assert (here / "PVDNet_small.py").is_file()
    assert (here / "liteflownet.py").is_file()
    scalars = [json.loads(line) for line in (here / "metrics.jsonl").read_text().splitlines()]
    tags = {scalar["tag"] for scalar in scalars}
    assert {"loss/epoch_train_total", "loss/itr_train_image", "loss/epoch_valid_psnr", "learning_rate"} <= tags
    assert [s["step"] for s in scalars if s["tag"] == "loss/itr_train_total"] == [6, 12, 18, 24]
    assert all(key.startswith("module.") for key in weights(undisturbed))


def test_tensorboard_has_scalars_images_flow_and_config(arguments, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert cli.run(run.main, arguments("-ss", "--set", "total_itr=6")) == 0
    events = {}
    for split in ("train", "valid"):
        for kind in ("scalar", "image"):
            events[split, kind] = EventAccumulator(str(folder(tmp_path) / "log" / split / kind))
            events[split, kind].Reload()
    assert "loss/epoch_train_total" in events["train", "scalar"].Tags()["scalars"]
    assert "loss/epoch_valid_psnr" in events["valid", "scalar"].Tags()["scalars"]
    assert "config/text_summary" in events["train", "scalar"].Tags()["tensors"]
    expected = {f"sample/{key}" for key in ("input", "gt", "result", "warped_bb", "flow_bb")}
    assert expected <= set(events["train", "image"].Tags()["images"])
    assert expected <= set(events["valid", "image"].Tags()["images"])
    names = {path.name for path in (folder(tmp_path) / "sample/train").iterdir()}
    assert "E01_I000003_01_input.jpg" in names
    assert "E01_I000003_05_flow_bb.jpg" in names


def test_sigterm_to_all_processes_as_schedulers_send_it(arguments, tmp_path, undisturbed):
    code = (
        "import os, signal\nfrom pvdnet.models.trainers.trainer import Trainer\nold = Trainer.iteration\n"
        "def iteration(self, *a):\n    done = old(self, *a)\n"
        "    if self.itr['train'] == 9: os.killpg(0, signal.SIGTERM)\n    return done\n"
        "Trainer.iteration = iteration"
    )
    stopped = start(PAPER, arguments("-th", "1"), code)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert "stopped after iteration 9" in stopped.stdout
    assert cli.run(run.main, arguments("-r", "auto")) == 0
    assert same(weights(tmp_path), weights(undisturbed))


def test_a_failed_run_ends_with_its_workers(arguments, clips):
    code = (
        "from pvdnet import samples\ndef broken(*_): raise ValueError('frame 7 is broken')\nsamples.read_pair = broken"
    )
    failed = start(PAPER, arguments("-th", "2"), code)
    assert failed.returncode == 1
    assert failed.stderr.strip() == "error: frame 7 is broken"


def test_two_runs_in_one_folder_refuse_each_other(arguments, tmp_path, capsys):
    from common.training.run_folder import lock

    with lock(folder(tmp_path)):
        assert cli.run(run.main, arguments("-dl")) == 2
    assert "another run is training there" in capsys.readouterr().err


def test_nan_loss_stops_and_names_step_parts_and_checkpoint(arguments, tmp_path, undisturbed, monkeypatch, capsys):
    real = trainer_module.image_loss
    calls = []

    def spoiled(result, gt):
        calls.append(1)
        return real(result, gt) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(trainer_module, "image_loss", spoiled)
    assert cli.run(run.main, arguments()) == 1
    message = capsys.readouterr().err
    assert "step 3" in message
    assert "image nan" in message
    assert "tiny_00000.pytorch" in message


def test_full_disk_is_an_error_and_keeps_the_checkpoint(arguments, tmp_path, undisturbed, monkeypatch, capsys):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cli.run(run.main, arguments("-r", "auto", "--set", "total_itr=30")) == 1
    assert "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert same(weights(tmp_path), weights(undisturbed))
    assert not list(folder(tmp_path).rglob("*.part"))


@pytest.fixture(scope="session")
def undisturbed_pair(clips, tmp_path_factory):
    """The log root of an undisturbed run of two processes."""
    root = tmp_path_factory.mktemp("pair")
    argv = ["--is_train", "--mode", "tiny", "--config", "config_PVDNet_small", "-b", "1", *TINY, "-dist"]
    done = launch(PAPER, [*argv, "--data_root", str(clips), "--log_root", str(root)], 29612, "launch")
    assert done.returncode == 0, done.stderr
    return root


def test_two_processes_equal_one_with_the_same_global_batch(undisturbed, undisturbed_pair):
    ours, one = weights(undisturbed_pair), weights(undisturbed)
    assert max((ours[key] - one[key]).abs().max().item() for key in one) < 2e-6


def test_two_processes_survive_kill_9(arguments, tmp_path, undisturbed_pair):
    script = tmp_path / "killed.py"
    script.write_text(f"{kill_at(15, 'self.processes.rank == 1')}\n{program(PAPER)}")
    killed = launch(PAPER, arguments("-dist", mode="parts", batch=1), 29613, script=script)
    assert killed.returncode
    rest = launch(PAPER, arguments("-dist", "-r", "auto", mode="parts", batch=1), 29614)
    assert rest.returncode == 0, rest.stderr
    assert same(weights(tmp_path, "parts"), weights(undisturbed_pair))


ONE_BATCH = ("--set", "total_itr=3")  # of all four samples


def test_joint_training(arguments, tmp_path, capsys):
    assert cli.run(run.main, arguments(*ONE_BATCH, "--network", "PVDNet_small", config="config_joint", batch=4)) == 0
    assert "loss/epoch_train_flow" in (folder(tmp_path) / "metrics.jsonl").read_text()
    data = arguments()[arguments().index("--data_root") :][:4]
    assert cli.run(run.main, ["--mode", "tiny", *data]) == 0
    assert "protocol pvdnet_paper" in capsys.readouterr().out


def test_BIMNet_trains_and_feeds_PVDNet(arguments, tmp_path, capsys):
    assert cli.run(run.main, arguments(*ONE_BATCH, mode="flow", config="config_BIMNet", batch=4)) == 0
    assert "loss/epoch_train_flow" in (folder(tmp_path, "flow") / "metrics.jsonl").read_text()
    data = arguments()[arguments().index("--data_root") :][:4]
    assert cli.run(run.main, ["--mode", "flow", *data]) == 0
    assert "alignment PSNR" in capsys.readouterr().out
    path = folder(tmp_path, "flow") / "checkpoint/train/epoch/ckpt/flow_00001.pytorch"
    more = ("--set", "with_BIMNet=True", "--set", f"BIMNet_ckpt={path}")
    assert cli.run(run.main, arguments(*ONE_BATCH, *more, batch=4)) == 0
    trained, used = weights(tmp_path, "flow", 1), weights(tmp_path, "tiny", 1)
    assert all(torch.equal(used[key], value) for key, value in trained.items())


def test_a_missing_BIMNet_says_what_to_do(arguments, capsys):
    assert cli.run(run.main, arguments(config="config_PVDNet")) == 1
    assert "--config config_BIMNet" in capsys.readouterr().err


@pytest.mark.parametrize("amp", ["bf16"])
def test_mixed_precision_trains(arguments, tmp_path, amp):
    assert cli.run(run.main, arguments("--amp", amp, "--set", "total_itr=6")) == 0
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path, epoch=1).values())


# What ends in a line


def only_line(stderr: str) -> str:
    """The one error of a run, beside that another process has ended; a launcher's tracebacks are of its own files."""
    assert not re.search(rf'File "{ROOT}/(common|pvdnet)/', stderr)
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    (line,) = [line for line in lines if "another process has ended" not in line]
    return line


DIVERGES = ("-lr", "1e20", "-gc", "1e30")


def test_a_joint_training_that_diverges_ends_in_its_line(arguments):
    """Flows that are no numbers reach the pixel volume and the warps."""
    argv = arguments(*DIVERGES, "--network", "PVDNet_small", config="config_joint")
    done = start(PAPER, argv)
    assert done.returncode == 1, done.stderr
    assert "loss or gradient is not finite (total " in only_line(done.stderr)


def test_two_processes_name_the_frame_that_one_cannot_read(arguments, clips, tmp_path):
    shutil.copytree(clips, tmp_path / "data")
    broken = tmp_path / "data/train_DVD/video_0001/input/00004.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    argv = arguments("-dist", "-th", "1", "--data_root", str(tmp_path / "data"), batch=1)
    done = launch(PAPER, argv, 29617)
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("error: process ")]
    assert told  # of both, where both read it ahead
    assert all(re.match(rf"error: process [01]: {broken}", line) for line in told)
    assert not re.search(rf'File "{ROOT}/(common|pvdnet)/', done.stderr)


@pytest.mark.parametrize(
    ("count", "height", "part"),
    [
        (1, 64, "no video has 7 frames; the longest has 1: use longer videos or a smaller --set frame_itr_num"),
        (13, 60, "video v.1: frames of 64x60 are smaller than the crop of 64x64; use --set width=... --set height=..."),
    ],
)
def test_training_stops_before_it_writes(logs, refused, count, height, part):
    for split in ("train", "test"):
        for kind in SUBFOLDERS["DVD"]:
            for number in range(count):
                picture = np.full((height, 64, 3), number, np.uint8)
                write_image(Path(f"datasets/{split}_DVD/v.1", kind, f"{number:05d}.jpg"), picture)
    for _ in range(2):  # the first try leaves nothing that the second would stumble over
        argv = ("--is_train", "--config", "config_PVDNet_small", "--mode", "x", "--data_root", "./datasets")
        assert part in refused(1, *argv)
    assert [path.name for path in logs.rglob("*") if path.is_file()] == [".lock"]


@pytest.fixture
def mixed(tmp_path):
    """A tiny run's command line, on two sets of clips with blurry twins at once, with averaged weights."""
    draw = np.random.default_rng(0)
    for data, parts in (("free", ("train/a", "train/b", "test/c")), ("drawn", ("train/a",))):
        for name in parts:
            file = tmp_path / f"sets/{data}/{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            for path in (file, file.with_name(f"{file.stem}_blur.npy")):
                np.save(path, draw.integers(0, 256, (7, 36, 40, 3), np.uint8))

    def make(mode, *more):
        sets = ("--data", "free,drawn:0.5", "--set", "ema=0.9", "--data_root", str(tmp_path / "sets"))
        where = ("--mode", mode, "--log_root", str(tmp_path))
        return ["--is_train", "--config", "config_PVDNet_small", "-b", "2", *TINY, *sets, *where, *more]

    return make


def test_training_starts_from_the_weights_of_a_file(mixed, tmp_path, undisturbed, capsys):
    file = folder(undisturbed) / "checkpoint/train/epoch/ckpt/tiny_00004.pytorch"
    assert cli.run(run.main, mixed("fine", "--ckpt_abs_name", str(file), "--set", "lr_init=1e-12")) == 0
    assert f"starts from the weights of {file}" in capsys.readouterr().out
    own, found = checkpoint_file.load(file), weights(tmp_path, "fine", 3)
    assert all(torch.allclose(found[key], value, atol=1e-5) for key, value in own.items())
