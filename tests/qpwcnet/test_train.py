"""QPWCNet's training as a user meets it: numbered runs, exact resume, several processes, what starts from what."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.flow_file import read_flow, write_flow
from common.training.run_folder import next_run
from common.training.sampling import ShuffledOrder
from qpwcnet import run
from qpwcnet.checkpoints import build
from qpwcnet.config import PRESETS, newest_run
from qpwcnet.initialise import start_kaiming
from qpwcnet.model import Flower, Interpolator
from qpwcnet.samples import TrainingSamples
from qpwcnet.sets import find_pairs
from qpwcnet.train import Objective
from tests.helpers.runs import ROOT, launch, make_clips, program, same

PAPER = "qpwcnet"
FILTERS = (4, 4, 4, 8, 8)
SMALL = (
    "--set", "filters=4,4,4,8,8", "--set", "input_shape=32,64", "--set", "scale_size=32,64", "--set", "max_steps=6",
    "--set", "valid_every_epoch=1", "--set", "write_log_every_step=1", "--set", "save_every_step=1",
    "--set", "total_batch=2", "-th", "0", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Six pairs to train on (three steps an epoch) and one to test, with flow, and as many triplets."""
    root = tmp_path_factory.mktemp("clips")
    for layout in ("chairs", "vimeo_triplet"):
        make_clips(root, layout, "--clips", 6, "--test_clips", 1)
    return root


@pytest.fixture
def arguments(clips, tmp_path):
    def make(*more, config="flow_tiny", mode="flow", batch=2):
        paths = ("--data_root", str(clips), "--log_root", str(tmp_path))
        name = ("--mode", mode) if mode else ()
        return ["--is_train", "--config", config, *name, "-b", str(batch), *paths, *SMALL, *more]

    return make


def folder(root: Path, mode: str = "flow") -> Path:
    return root / "QPWCNet/run" / mode


def weights(root: Path, mode: str = "flow", epoch: int = 2) -> dict[str, torch.Tensor]:
    return checkpoint_file.load(folder(root, mode) / f"checkpoint/train/epoch/ckpt/{mode}_{epoch:05d}.pytorch")


@pytest.fixture(scope="session")
def undisturbed(clips, tmp_path_factory):
    """The log root of an undisturbed run, with pictures."""
    root = tmp_path_factory.mktemp("undisturbed")
    argv = ["--is_train", "--config", "flow_tiny", "--mode", "flow", "-b", "2", "-ss", *SMALL]
    assert cli.run(run.main, [*argv, "--data_root", str(clips), "--log_root", str(root)]) == 0
    return root


def scalars(here: Path, tag: str) -> list[float]:
    lines = map(json.loads, (here / "metrics.jsonl").read_text().splitlines())
    return [line["value"] for line in lines if line["tag"] == tag]


def test_run_folder_has_what_its_card_says(undisturbed):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    here = folder(undisturbed)
    assert json.loads((here / "config/config.txt").read_text())["config"] == "flow_tiny"
    assert "Number of parameters:" in (here / "cost.txt").read_text()
    assert (here / "model.py").read_text() == (ROOT / "qpwcnet/model.py").read_text()
    parts = [scalars(here, name) for name in (*(f"flow_{k}_loss" for k in range(5)), "regularization")]
    assert np.allclose(np.sum(parts, 0), scalars(here, "loss"), rtol=1e-6)
    assert len(scalars(here, "loss")) == 6
    assert len(scalars(here, "epe")) == 2
    events = EventAccumulator(str(here / "log/valid/image"))
    events.Reload()
    assert set(events.Tags()["images"]) == {"prv", "nxt", "overlay", "warped", "flow", "truth"}
    assert any((here / "sample/train").iterdir())


def test_loss_falls_on_one_batch(clips):
    torch.manual_seed(0)
    config = dataclasses.replace(PRESETS["flow_tiny"], input_shape=(32, 64))
    dataset = TrainingSamples(find_pairs(clips, "chairs", "train"), config)
    batch = torch.utils.data.default_collate([dataset[k] for k in range(2)])
    network = Flower(FILTERS, activation="hard_swish", scale_size=(4, 6))
    start_kaiming(network, batch["prv"], batch["nxt"])
    objective = Objective(network, "l2")
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    found = []
    for _ in range(40):
        losses, _ = objective(batch)
        total = losses["loss"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(total.item())
    assert max(found[-5:]) < 0.7 * found[0]


def test_rounding_resumes_exactly(arguments, tmp_path, undisturbed, capsys):
    shutil.copytree(folder(undisturbed), folder(tmp_path, "000"))
    for file in folder(tmp_path, "000").rglob("flow_*.pytorch"):
        file.rename(file.with_name(file.name.replace("flow_", "000_")))
    listing = folder(tmp_path, "000") / "checkpoint/train/epoch/checkpoints.txt"
    listing.write_text(listing.read_text().replace("flow_", "000_"))
    whole = arguments("--set", "start_from=flow_tiny", config="flow_tiny_qat", mode="qat")
    assert cli.run(run.main, whole) == 0
    assert "starts from the weights of" in capsys.readouterr().out
    undisturbed_weights = weights(tmp_path, "qat")
    ranges = undisturbed_weights["encoder.0.conv_a.ranges"]
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert cli.run(run.main, [*whole, "-r", "1"]) == 0
    assert same(weights(tmp_path, "qat"), undisturbed_weights)


GRADIENTS = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from qpwcnet.model import Flower
from qpwcnet.train import Objective
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(0)
model = Objective(Flower((4, 4, 4, 8, 8), activation="leaky_relu"), "l2").double()
draw = torch.Generator().manual_seed(1)
shapes = {"prv": (2, 3, 32, 64), "nxt": (2, 3, 32, 64), "target": (2, 2, 32, 64)}
batch = {key: torch.rand(shape, generator=draw).double() for key, shape in shapes.items()}
parallel = DistributedDataParallel(model)  # which must live until the backward pass
losses, _ = parallel({key: value[rank : rank + 1] for key, value in batch.items()})
losses["loss"].backward()
if rank == 0:
    found = {name: p.grad for name, p in model.network.named_parameters()}
    torch.save(found | dict(model.network.named_buffers()), sys.argv[1])
"""


def test_gradients_and_norms_of_two_processes_are_those_of_one(tmp_path):
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    done = launch(PAPER, [str(tmp_path / "found.pt")], 29691, script=script)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    torch.manual_seed(0)
    model = Objective(Flower(FILTERS, activation="leaky_relu"), "l2").double()
    draw = torch.Generator().manual_seed(1)
    shapes = {"prv": (2, 3, 32, 64), "nxt": (2, 3, 32, 64), "target": (2, 2, 32, 64)}
    losses, _ = model({key: torch.rand(shape, generator=draw).double() for key, shape in shapes.items()})
    losses["loss"].backward()
    for name, parameter in model.network.named_parameters():
        assert (found[name] - parameter.grad).abs().max() <= 2e-5 * (parameter.grad.abs().max() + 1e-3), name
    for name, buffer in model.network.named_buffers():
        assert torch.allclose(found[name].float(), buffer.float(), rtol=1e-4, atol=1e-6), name


def test_runs_are_numbered_and_found_by_their_preset(arguments, tmp_path, capsys):
    one_step = ("--set", "max_steps=1")
    assert cli.run(run.main, arguments(*one_step, config="pre_train_tiny", mode=None)) == 0
    capsys.readouterr()
    assert cli.run(run.main, arguments(*one_step, config="flow_tiny_fine", mode=None)) == 0
    assert "starts from the weights of" in capsys.readouterr().out
    runs = tmp_path / "QPWCNet/run"
    assert sorted(path.name for path in runs.iterdir()) == ["000", "001"]
    assert newest_run(runs, None) == "001"
    assert newest_run(runs, "pre_train_tiny") == "000"
    assert newest_run(runs, "flow") is None
    pretrained = build(weights(tmp_path, "000", 1), "000")
    assert type(pretrained) is Interpolator
    shutil.rmtree(runs / "000")
    assert next_run(runs) == "002"  # not 001, which is there
    assert cli.run(run.main, arguments(*one_step, "-r", "auto", config="flow_tiny_fine", mode=None)) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_pretraining_has_a_loss_for_every_frame(arguments, tmp_path):
    assert cli.run(run.main, arguments("-ss", "--set", "max_steps=1", config="pre_train_tiny", mode="pre")) == 0
    here = folder(tmp_path, "pre")
    parts = [scalars(here, name)[0] for name in (*(f"img_{k}_loss" for k in range(6)), "regularization")]
    assert sum(parts) == pytest.approx(scalars(here, "loss")[0], rel=1e-6)
    names = {path.stem.rsplit("_", 1)[1] for path in (here / "sample/train").iterdir()}
    assert names == {"img0", "img1", "img2", "overlay", "pred-img1"}


def test_pwcnet_trains(arguments, tmp_path):
    more = ("--set", "input_shape=64,64", "--set", "scale_size=", "--set", "max_steps=1")
    assert cli.run(run.main, arguments(*more, config="pwcnet_chairs", mode="pwc")) == 0
    assert scalars(folder(tmp_path, "pwc"), "flow_loss") == scalars(folder(tmp_path, "pwc"), "loss")
    assert np.isfinite(scalars(folder(tmp_path, "pwc"), "epe")).all()


def test_flow_that_nobody_knows_does_not_spoil_training(arguments, clips, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(clips / "FlyingChairs", root / "FlyingChairs")
    for pair in find_pairs(root, "chairs", "train"):
        flow, valid = read_flow(pair.flow)
        valid[: len(flow) // 2] = False  # written as 1e10
        write_flow(pair.flow, flow, valid)
        data = bytearray(pair.flow.read_bytes())
        data[-8:] = np.float32([np.nan, np.inf]).tobytes()
        pair.flow.write_bytes(data)
    assert cli.run(run.main, arguments("--data_root", str(root), "--set", "max_steps=2")) == 0
    assert max(scalars(folder(tmp_path), "loss")) < 1e3


def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoiled(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("qpwcnet.train.l2_penalty", lambda kernels: torch.tensor(float("nan")))
    assert cli.run(run.main, arguments()) == 1
    assert "regularization nan" in capsys.readouterr().err


def test_the_process_with_a_broken_frame_names_it(arguments, clips, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(clips / "FlyingChairs", root / "FlyingChairs")
    pairs = find_pairs(root, "chairs", "train")
    order = ShuffledOrder(len(pairs), PRESETS["flow_tiny"].manual_seed)
    broken = next(pairs[order(position)] for position in (1, 3) if order(position)).second  # all read the first pair
    broken.write_bytes(broken.read_bytes()[:100])
    script = tmp_path / "plain.py"
    script.write_text(program(PAPER))
    argv = arguments("-dist", "--data_root", str(root), "--set", "init=keras", batch=1)  # which reads no samples first
    done = launch(PAPER, argv, 29695, script=script)
    assert done.returncode
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: process 1: ")]
    assert str(broken) in line
    assert not re.search(rf'File "{ROOT}/(common|qpwcnet)', done.stderr)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--set", "start_from=flow"), "no weights of flow to start from"),
        (("--set", "input_shape=30,64"), "expected height,width in multiples of 32"),
        (("--set", "loss=pwc"), "pwc and pwc_robust are PWC-Net's"),
        (("--data", "vimeo90k"), "task flow: data vimeo90k: expected one of"),
        (("--data", "flow_pair", "--set", "valid_data=flow_pair"), "is for testing: train on one of"),
        (("--data_root", "nowhere"), "no such folder"),
        (("--set", "quantise=true", "--set", "network=PWC-Net", "--set", "loss=pwc"), "not quantised in training"),
    ],
)
def test_what_cannot_be_ends_in_one_line(arguments, capsys, more, line):
    assert cli.run(run.main, arguments(*more)) in (1, 2)
    message = capsys.readouterr().err
    assert line in message
    assert len(message.strip().splitlines()) == 1


@pytest.fixture
def mixed(tmp_path):
    """A tiny run's command line, on two sets of clips at once, with averaged weights."""
    draw = np.random.default_rng(0)
    for data, names in (("drawn", ("train/a", "train/b", "test/c")), ("drawn_mine", ("train/a",))):
        for name in names:
            file = tmp_path / f"sets/{data}/{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, draw.integers(0, 256, (3, 40, 72, 3), np.uint8))
            np.save(file.with_name(f"{file.stem}_flow.npy"), draw.normal(0, 4, (3, 2, 40, 72, 2)).astype(np.float16))

    def make(mode, *more):
        sets = ("--data", "drawn,drawn_mine:0.5", "--set", "valid_data=", "--data_root", str(tmp_path / "sets"))
        where = ("--mode", mode, "--log_root", str(tmp_path), "--set", "ema=0.9", "--set", "augment=true")
        return ["--is_train", "--config", "flow_tiny", "-b", "2", *SMALL, *sets, *where, *more]

    return make


def test_validation_wants_flow(mixed, tmp_path, capsys):
    (tmp_path / "sets/drawn/test/c_flow.npy").unlink()
    assert cli.run(run.main, mixed("none")) == 1
    assert "no flow beside it; validate on another set: --set valid_data=..." in capsys.readouterr().err
