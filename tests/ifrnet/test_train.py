"""IFRNet's training as a user meets it: the run folder, exact resume, several processes, labels, groups of nine."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.image import read_clip
from common.training.sampling import to_device
from ifrnet import run
from ifrnet import train as train_module
from ifrnet.model import IFRNet
from ifrnet.samples import to_batch
from ifrnet.sets import find_samples
from tests.helpers.runs import (
    KILL_AT_STEP_7,
    ROOT,
    launch,
    program,
    same,
)

PAPER = "ifrnet"
TINY = (
    "--set", "crop=32", "--set", "max_steps=12", "--set", "valid_every_epoch=2", "--set", "write_log_every_step=2",
    "--set", "save_every_step=5", "-th", "0", "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def arguments(clips, tmp_path):
    """The command line of a tiny run in a folder of its own: 12 steps of 2 samples, 2 steps an epoch."""

    def make(*more, mode="tiny", batch=2, config="IFRNet_tiny"):
        paths = ("--data_root", str(clips), "--log_root", str(tmp_path))
        return ["--is_train", "--mode", mode, "--config", config, "--set", f"total_batch={2}",
                "-b", str(batch), *paths, *TINY, *more]  # fmt: skip

    return make


def folder(tmp_path: Path, mode: str = "tiny") -> Path:
    return tmp_path / "IFRNet_CVPR2022" / mode


def weights(tmp_path: Path, mode: str = "tiny", epoch: int = 6) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder(tmp_path, mode) / f"checkpoint/train/epoch/ckpt/{mode}_{epoch:05d}.pytorch")


@pytest.fixture(scope="session")
def undisturbed(clips, tmp_path_factory):
    """The log root of an undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    argv = ["--is_train", "--mode", "tiny", "--config", "IFRNet_tiny", "--set", "total_batch=2", "-b", "2", *TINY]
    assert cli.run(run.main, [*argv, "--data_root", str(clips), "--log_root", str(root)]) == 0
    return root


def test_run_folder_has_what_its_card_says(undisturbed):
    here = folder(undisturbed)
    lines = (here / "checkpoint/train/epoch/checkpoints.txt").read_text().splitlines()
    assert lines[-1].startswith("tiny_00006.pytorch ")
    assert len(lines) == 4  # epochs 2, 4, 6 ranked, and the most recent again
    assert json.loads((here / "config/config.txt").read_text())["network"] == "IFRNet_tiny"
    assert "Number of parameters:         0.61 M" in (here / "cost.txt").read_text()
    scalars = [json.loads(line) for line in (here / "metrics.jsonl").read_text().splitlines()]
    tags = {scalar["tag"] for scalar in scalars}
    losses = {f"loss/itr_{split}_{key}" for split in ("train", "valid") for key in ("total", "loss_rec", "loss_dis")}
    assert losses | {"loss/itr_train_loss_geo", "loss/itr_valid_psnr", "learning_rate"} <= tags
    assert [s["step"] for s in scalars if s["tag"] == "loss/itr_valid_psnr"] == [4, 8, 12]
    IFRNet("IFRNet_tiny").load_state_dict(weights(undisturbed))  # as the authors' files: no prefix


def test_sample_pictures_and_tensorboard(arguments, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert cli.run(run.main, arguments("-ss", "--set", "max_steps=4")) == 0
    for split in ("train", "valid"):
        events = EventAccumulator(str(folder(tmp_path) / "log" / split / "image"))
        events.Reload()
        expected = {f"sample/{key}" for key in ("img0", "img1", "target", "pred", "mask", "flow0", "flow1")}
        assert set(events.Tags()["images"]) == expected
        assert any(path.name.endswith("_flow0.jpg") for path in (folder(tmp_path) / "sample" / split).iterdir())


def batch_of(samples) -> dict[str, torch.Tensor]:
    items = [to_batch([f[:32, :32] for f in read_clip(s.frames)], s.times, None) for s in samples]
    return to_device(torch.utils.data.default_collate(items), torch.device("cpu"))


def test_loss_falls_on_one_batch(clips):
    torch.manual_seed(0)
    objective = train_module.Objective(IFRNet("IFRNet_tiny"))
    batch = batch_of(find_samples(clips, "vimeo90k", "train")[:2])
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3, weight_decay=0)
    found = []
    for _ in range(40):
        losses, _ = objective(batch)
        total = losses["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(total.item())
    assert max(found[-5:]) < 0.7 * found[0]


def test_seven_times_share_one_encoder_pass_and_equal_seven_calls(clips):
    torch.manual_seed(0)
    network = IFRNet("IFRNet_tiny").eval()
    batch = batch_of(find_samples(clips, "gopro", "train")[:2])
    calls = []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        together = network(batch["img0"], batch["img1"], batch["t"].flatten())["pred"].unflatten(0, (2, 7))
        assert len(calls) == 1
        for k in range(7):
            alone = network(batch["img0"], batch["img1"], batch["t"][:, k])["pred"]
            assert (alone - together[:, k]).abs().max() < 1e-5
    assert batch["t"][0].tolist() == pytest.approx([k / 8 for k in range(1, 8)])


@pytest.fixture(scope="session")
def undisturbed_pair(clips, tmp_path_factory):
    """The log root of an undisturbed run of two processes."""
    root = tmp_path_factory.mktemp("pair")
    argv = ["--is_train", "--mode", "tiny", "--config", "IFRNet_tiny", "--set", "total_batch=2", "-b", "1", *TINY]
    argv += ["--data_root", str(clips), "--log_root", str(root), "-dist"]
    done = launch(PAPER, argv, 29641, "launch")
    assert done.returncode == 0, done.stderr
    return root


def test_two_processes_equal_one_with_the_same_batch(undisturbed, undisturbed_pair):
    ours, one = weights(undisturbed_pair), weights(undisturbed)
    assert max((ours[key] - one[key]).abs().max().item() for key in one) < 2e-5


def test_two_processes_survive_kill_9_and_one_may_go_on(arguments, tmp_path, undisturbed_pair):
    script = tmp_path / "killed.py"
    script.write_text(f"{KILL_AT_STEP_7.replace('if self', 'if self.processes.rank == 1 and self')}\n{program(PAPER)}")
    assert launch(PAPER, arguments("-dist", mode="parts", batch=1), 29643, script=script).returncode
    last = folder(tmp_path, "alone") / "checkpoint/train/last.pytorch"
    last.parent.mkdir(parents=True)
    shutil.copy(folder(tmp_path, "parts") / "checkpoint/train/last.pytorch", last)
    rest = launch(PAPER, arguments("-dist", "-r", "auto", mode="parts", batch=1), 29644)
    assert rest.returncode == 0, rest.stderr
    assert same(weights(tmp_path, "parts"), weights(undisturbed_pair))
    assert cli.run(run.main, arguments("-r", "auto", mode="alone", batch=2)) == 0
    ours, one = weights(tmp_path, "alone"), weights(undisturbed_pair)
    assert max((ours[key] - one[key]).abs().max().item() for key in one) < 2e-5


def test_a_batch_of_another_size_is_warned_about(arguments, capsys):
    assert cli.run(run.main, arguments("--set", "max_steps=1", batch=1)) == 0
    assert "warning: 1 samples a step instead of the preset's 2" in capsys.readouterr().out


@pytest.mark.parametrize("data", ["gopro", "vimeo_septuplet"])
def test_groups_train_without_labels(arguments, tmp_path, data):
    assert cli.run(run.main, arguments("--data", data, "--set", "distill=false", "--set", "max_steps=2")) == 0
    scalars = [json.loads(line) for line in (folder(tmp_path) / "metrics.jsonl").read_text().splitlines()]
    assert {s["value"] for s in scalars if s["tag"] == "loss/itr_train_loss_dis"} == {0.0}
    assert all(np.isfinite(s["value"]) for s in scalars)


def test_training_starts_from_published_weights(arguments, tmp_path):
    torch.manual_seed(5)
    state = IFRNet("IFRNet_tiny").state_dict()
    checkpoint_file.save(
        {"state_dict": {f"generator.{key}": value for key, value in state.items()}}, tmp_path / "mm.pth"
    )
    more = ("--ckpt_abs_name", str(tmp_path / "mm.pth"), "--set", "max_steps=1", "--set", "learning_rate=1e-9")
    assert cli.run(run.main, arguments(*more, "--set", "learning_rate_end=1e-9")) == 0
    found = weights(tmp_path, epoch=1)
    assert max((found[key] - state[key]).abs().max().item() for key in state) < 1e-7


def test_bf16_trains(arguments, tmp_path):
    assert cli.run(run.main, arguments("--amp", "bf16", "--set", "max_steps=2")) == 0
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path, epoch=1).values())


def test_nan_stops_and_names_parts_and_checkpoint(arguments, monkeypatch, capsys):
    real, calls = train_module.training_losses, []

    def spoiled(*values, **how):
        calls.append(1)
        losses = real(*values, **how)
        return losses | {"loss_geo": losses["loss_geo"] * (float("nan") if len(calls) == 3 else 1)}

    monkeypatch.setattr(train_module, "training_losses", spoiled)
    assert cli.run(run.main, arguments()) == 1
    message = capsys.readouterr().err
    assert "loss_geo nan" in message
    assert "last good checkpoint" in message


@pytest.mark.parametrize(
    ("spoil", "more", "line"),
    [
        ("cut", (), "truncated"),
        ("size", (), "was expected, as of"),
        ("label", (), "flow_t0.flo"),
        ("none", (), "no flow labels"),
        ("none", ("--set", "crop=96"), "smaller than the crop of 96; use --set crop=48"),
        ("none", ("--data_root", "nowhere"), "no such folder"),
    ],
)
def test_bad_data_ends_in_one_line(arguments, clips, tmp_path, capsys, spoil, more, line):
    root = tmp_path / "data"
    shutil.copytree(clips / "vimeo_triplet", root / "vimeo_triplet")
    sample = find_samples(root, "vimeo90k", "train")[3]
    if spoil == "cut":
        sample.frames[1].write_bytes(sample.frames[1].read_bytes()[:200])
    elif spoil == "size":
        shutil.copy(ROOT / "results/pvdnet/small.png", sample.frames[2])
    elif spoil == "label":
        sample.flows[0].write_bytes(b"PIEH")
    else:
        shutil.rmtree(root / "vimeo_triplet/flow")
    assert cli.run(run.main, arguments("--data_root", str(root), *more)) in (1, 2)
    message = capsys.readouterr().err
    assert line in message
    assert len(message.strip().splitlines()) == 1
