"""PVDNet's command line: every flag, what wrong ones end in, which checkpoints are loaded and which refused."""

import dataclasses
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints.run_checkpoints import CheckpointManager
from common.media.image import read_image, write_image
from common.ops.liteflownet import LiteFlowNet
from pvdnet import run as command
from pvdnet.config import HERE, Config, parse, preset
from pvdnet.models.deblurnet import DeblurNet
from pvdnet.samples import SUBFOLDERS

ROOT = HERE.parent
SMALL = ["--config", "config_PVDNet_small"]


def run(capsys, *argv):
    """Exit code, what was printed, and what went to stderr."""
    code = cli.run(command.main, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def refused(capsys, code, *argv):
    """The one line that a refused command ends in."""
    found, out, error = run(capsys, *argv)
    assert found == code, error
    assert out == ""
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1, error
    return error


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """An empty folder to stand in: no saved configs, no data."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "logs"


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Three frames of two videos to test on, and the first of them without truth."""
    root, draw = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    for name in ("a", "b"):
        for kind in (*SUBFOLDERS["DVD"], "random"):
            folder = root / "random" / name if kind == "random" else root / "test_DVD" / name / kind
            for number in range(3):
                write_image(folder / f"{number:05d}.png", draw.integers(0, 256, (64, 66, 3), np.uint8))
    return root


@pytest.fixture(scope="module")
def weights():
    """A state dict of PVDNet_small as drawn."""
    torch.manual_seed(0)
    return DeblurNet("PVDNet_small", with_BIMNet=False).state_dict()


@pytest.fixture(scope="module")
def checkpoint_file(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("ckpt") / "small.pytorch"
    torch.save({f"module.{key}": value for key, value in weights.items()}, path)
    return path


# Flags

FLAGS = [  # what is given, where it ends up: a setting, or an option
    ("--is_train", "is_train", True),
    ("--config config_PVDNet_large", "network", "PVDNet_large"),
    ("--mode PVDNet_nah", "mode", "PVDNet_nah"),
    ("--project mine", "project", "mine"),
    *((f"{flag} nah", "data", "nah") for flag in ("-data", "--data")),
    ("--data random", "data", "random"),
    *((f"{flag} LD", "LRS", "LD") for flag in ("-LRS", "--learning_rate_scheduler")),
    *((f"{flag} 2", "batch_size", 2) for flag in ("-b", "--batch_size")),
    *((f"{flag} trainer_BIMNet", "trainer", "trainer_BIMNet") for flag in ("-trainer", "--trainer")),
    *((f"{flag} PVDNet_small", "network", "PVDNet_small") for flag in ("-net", "--network")),
    *((f"{flag} 100", "resume", "100") for flag in ("-r", "--resume")),
    ("--resume auto", "resume", "auto"),
    *((flag, "delete_log", True) for flag in ("-dl", "--delete_log")),
    *((f"{flag} 3e-5", "lr_init", 3e-5) for flag in ("-lr", "--lr_init")),
    *((f"{flag} 5", "thread_num", 5) for flag in ("-th", "--thread_num")),
    *((flag, "dist", True) for flag in ("-dist", "--dist")),
    *((flag, "is_verbose", True) for flag in ("-vs", "--is_verbose")),
    *((flag, "save_sample", True) for flag in ("-ss", "--save_sample")),
    *((f"{flag} 3", "local_rank", 3) for flag in ("--local_rank", "--local-rank")),
    *((f"{flag}=0", "local_rank", 0) for flag in ("--local_rank", "--local-rank")),
    *((f"{flag} 0.5", "wi", 0.5) for flag in ("-wi", "--weights_init")),
    *((f"{flag} label", "proc", "label") for flag in ("-proc", "--proc")),
    *((f"{flag} 2.5", "gc", 2.5) for flag in ("-gc", "--gc")),
    *((f"{flag} x.pytorch", "ckpt_name", "x.pytorch") for flag in ("-ckpt_name", "--ckpt_name")),
    *((f"{flag} a/x.pytorch", "ckpt_abs_name", "a/x.pytorch") for flag in ("-ckpt_abs_name", "--ckpt_abs_name")),
    *((f"{flag} 12", "ckpt_epoch", 12) for flag in ("-ckpt_epoch", "--ckpt_epoch")),
    *((flag, "ckpt_sc", True) for flag in ("-ckpt_sc", "--ckpt_sc", "--ckpt_score")),
    *((f"{flag} qual", "eval_mode", "qual") for flag in ("-eval_mode", "--eval_mode")),
    ("--data_root /data", "data_root", "/data"),
    ("--log_root /logs", "log_root", "/logs"),
    ("--device cpu", "device", "cpu"),
    ("--amp bf16", "amp", "bf16"),
    ("--compile", "compile", True),
    ("--seed 7", "manual_seed", 7),
    ("--input a.mp4 --output b.mp4", "input", "a.mp4"),
    ("--tile 256", "tile", 256),
    ("--overwrite", "overwrite", True),
    ("--identity", "identity", True),
    ("--parity", "parity", True),
    ("--protocol pvdnet_paper", "protocol", ["pvdnet_paper"]),
    ("--debug", "debug", True),
]


@pytest.mark.parametrize(("given", "name", "value"), FLAGS, ids=[given for given, _, _ in FLAGS])
def test_every_flag(logs, given, name, value):
    options, config = parse(given.split())
    before = parse([])
    assert getattr(config if hasattr(config, name) else options, name) == value
    assert getattr(before[1] if hasattr(config, name) else before[0], name) != value


def test_published_defaults(logs):
    options, config = parse(["--is_train", "--config", "config_PVDNet"])
    published = {
        "project": "PVDNet_TOG2021", "mode": "PVDNet_DVD", "data": "DVD", "LRS": "CA", "batch_size": 8, "lr_init": 1e-4,
        "wi": 1.0, "gc": 1.0, "PV_ksize": 5, "fix_BIMNet": True, "height": 256, "width": 256, "frame_itr_num": 13,
        "total_itr": 600_000, "T_period": (50_000, 100_000, 150_000, 150_000, 150_000), "eta_min": 1e-7,
        "restarts": (50_000, 150_000, 300_000, 450_000), "decay_period": (400_000,), "decay_rate": 0.25,
        "max_ckpt_num": 100, "write_ckpt_every_epoch": 4, "manual_seed": 0, "beta1": 0.9, "weight_decay": 0.01,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in published} == published
    assert (options.data_root, options.log_root, options.eval_mode) == ("./datasets", "./logs", "quan")


PUBLISHED_COMMANDS = """
--mode PVDNet_DVD --config config_PVDNet --data DVD --ckpt_abs_name ckpt/PVDNet_DVD.pytorch
--mode PVDNet_nah --config config_PVDNet --data nah --ckpt_abs_name ckpt/PVDNet_nah.pytorch
--mode PVDNet_nah --config config_PVDNet_large --data nah --ckpt_abs_name ckpt/PVDNet_large_nah.pytorch
--mode PVDNet_large_nah --config config_PVDNet_large --data nah --ckpt_abs_name ckpt/PVDNet_large_nah.pytorch
--is_train --mode PVDNet_DVD --config config_PVDNet --trainer trainer --data DVD -LRS CA -b 8 -th 8 -dl -ss
--is_train --mode PVDNet_DVD --config config_PVDNet --trainer trainer --data DVD -LRS CA -b 2 -th 8 -dl -ss -dist
--is_train --mode PVDNet_DVD --config config_PVDNet --trainer trainer --data DVD -LRS CA -b 2 -th 8 -ss -dist -r 100
"""


@pytest.mark.parametrize("line", PUBLISHED_COMMANDS.strip().splitlines())
def test_published_commands(logs, line):
    options, config = parse(line.split())
    assert config.network == ("PVDNet_large" if "large" in line.split("--config ")[1].split()[0] else "PVDNet")
    assert f"--mode {config.mode} " in line
    assert options.is_train == ("--is_train" in line)


# Wrong flags and values


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("--is_trian", "--is_train"),
        ("--learning_rate", "--learning_rate_scheduler"),
        ("--batchsize 4", "--batch_size"),
        ("--ckpt_abs_nam x", "--ckpt_abs_name"),
        ("--ckpt-abs-name x", "--ckpt_abs_name"),
        ("--save_samples", "--save_sample"),
        ("--resum 3", "--resume"),
        ("--dataroot=x", "--data_root"),
        ("--zzz", None),
        ("stray.mp4", None),
    ],
)
def test_unknown_flags(logs, capsys, given, near):
    line = refused(capsys, 2, *given.split())
    assert f"unknown argument {re.split('[= ]', given)[0]}" in line
    assert (f"did you mean {near}?" if near else "see --help") in line


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("--config config_PVDNet_lrge", "config_PVDNet_lrge: no file pvdnet/configs/config_PVDNet_lrge.py"),
        ("--config ../configs/config_PVDNet", "no file"),
        ("--network LargePVD", "no file pvdnet/models/archs/LargePVD.py; there are"),
        ("--is_train --trainer x", "no file pvdnet/models/trainers/x.py; there are"),
        ("--data REDS", "invalid choice: 'REDS'"),
        ("-LRS cosine", "invalid choice: 'cosine'"),
        ("-b two", "invalid int value: 'two'"),
        ("-b", "expected one argument"),
        ("-b 0", "batch_size 0: expected 1 or more"),
        ("-th -5", "thread_num -5: expected -1 or more"),
        ("-lr fast", "invalid float value: 'fast'"),
        ("-lr -1", "lr_init -1.0: expected a positive number"),
        ("-gc 0", "gc 0.0: expected a positive number"),
        ("--amp int8", "invalid choice: 'int8'"),
        ("--device tpu", "--device tpu: expected auto, cpu, cuda"),
        ("--device cuda:99", "--device cuda:99: there are"),
        ("-r last", "-r last: expected an epoch number or auto"),
        ("-ckpt_epoch last", "invalid int value: 'last'"),
        ("--mode mine", "--mode mine has no saved config: add --config"),
        ("--is_train --data random", "no sharp frames"),
        ("--is_train --input x --output y", "does not go with"),
        ("--is_train --identity", "does not go with"),
        ("--input x", "--input and --output go together"),
        ("--output y", "--input and --output go together"),
        ("--tile -3 --input x --output y", "--tile -3"),
        ("-dist", "needs a launcher"),
        ("--is_train --network BIMNet", "--network BIMNet does not go with --trainer trainer"),
        ("--is_train --trainer trainer_BIMNet", "--network PVDNet does not go with --trainer trainer_BIMNet"),
        ("--config config_BIMNet --input x --output y", "BIMNet alone deblurs nothing"),
        ("--config config_BIMNet --data random", "BIMNet alone deblurs nothing"),
        ("--set learning_rate=1", "did you mean"),
        ("--set total_itr", "total_itr: expected FIELD=VALUE"),
        ("--set total_itr=many", "total_itr=many: expected a value like 600000"),
        ("--set total_itr=0", "total_itr 0: expected 1 or more"),
        ("--set frame_itr_num=0", "frame_itr_num"),
        ("--set PV_ksize=4", "PV_ksize 4: expected an odd number"),
        ("--set fix_BIMNet=maybe", "expected a value like True"),
        ("--set height=50", "crop of 256x50: expected multiples of 4"),
        ("--set T_period=1,2", "2 entries in T_period need 1"),
        ("--set T_period=1,x,3", "expected a value like"),
        ("--set LRS=cosine", "LRS cosine: expected CA, LD"),
        ("--set amp=int8", "amp int8: expected off, bf16, fp16"),
        ("--set data=REDS", "data REDS: expected DVD, nah, random"),
        ("--config config_PVDNet --mode ..", "--mode '..': expected a name"),
        ("--config config_PVDNet --mode a/b", "--mode 'a/b': expected a name"),
        ("--config config_PVDNet --mode=", "--mode '': expected a name"),
        ("--set mode=my\trun", "expected a name without blanks"),
        ("-wi nan", "wi nan: expected a positive number"),
        ("--set network=LargePVD", "no file pvdnet/models/archs/LargePVD.py"),
        ("--set write_log_every_itr=0", "write_log_every_itr"),
        ("--set write_ckpt_every_epoch=0", "write_ckpt_every_epoch"),
    ],
)
def test_wrong_values(logs, capsys, given, part):
    assert part in refused(capsys, 2, *given.split(" "))
    assert not logs.exists()


def test_debug_shows_the_traceback(logs, capsys):
    code, _, error = run(capsys, "--mode", "mine", "--debug")
    assert code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: --mode mine has no saved config")


FIELDS = [field for field in dataclasses.fields(Config) if field.name != "config"]  # that one names the preset


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_set_overrides_a_field_of_any_type(logs, field):
    given = {
        "network": "PVDNet_small", "trainer": "trainer_BIMNet", "data": "nah", "LRS": "LD", "amp": "bf16",
        "PV_ksize": 3, "height": 128, "width": 64, "T_period": (1, 2, 3, 4, 5), "restarts": (1, 2, 3, 4),
        "restart_weights": (1.0, 0.5, 0.25, 0.125), "decay_period": (10, 20),
    }  # fmt: skip
    old = getattr(parse([])[1], field.name)
    others = {bool: lambda: not old, str: lambda: f"{old}x", int: lambda: old + 3, float: lambda: old + 3}
    new = given[field.name] if field.name in given else others[type(old)]()
    text = ",".join(map(str, new)) if isinstance(new, tuple) else str(new)
    more = ["--set", "BIMNet_ckpt="] if field.name == "with_BIMNet" else []
    found = getattr(parse(["--set", f"{field.name}={text}", *more])[1], field.name)
    assert found == new != old
    assert type(found) is type(old)


def test_set_wins_over_flag_and_flag_over_preset(logs):
    argv = [*SMALL, "-b", "5"]
    assert preset("config_PVDNet_small").batch_size == 2
    assert parse(argv)[1].batch_size == 5
    assert parse([*argv, "--set", "batch_size=6", "--set", "batch_size=7"])[1].batch_size == 7


# A user's own files


@pytest.fixture
def own_file():
    """Writes a Python file into a folder of the package and takes it away afterwards."""
    made = []

    def write(path, text):
        made.append(HERE / path)
        assert not made[-1].exists()
        made[-1].write_text(text)

    yield write
    for path in made:
        path.unlink()
        sys.modules.pop(".".join(("pvdnet", *path.relative_to(HERE).with_suffix("").parts)), None)


def test_own_files_are_found_by_name(logs, own_file, capsys, data_root, tmp_path):
    own_file(
        "configs/config_test_own.py", "from pvdnet.config import Config\nconfig = Config(network='test_own', gc=3.5)\n"
    )
    own_file(
        "models/archs/test_own.py",
        "from torch import nn\n\n\nclass Network(nn.Module):\n"
        "    def __init__(self, PV_channels):\n        super().__init__()\n        self.one = nn.Conv2d(3, 3, 1)\n\n"
        "    def forward(self, PV, I_prev, I_curr, I_next):\n        return self.one(I_curr)\n",
    )
    own_file(
        "models/trainers/test_own_trainer.py", "from pvdnet.models.trainers.trainer import Trainer  # noqa: F401\n"
    )
    argv = ["--config", "config_test_own", "--trainer", "test_own_trainer", "--mode", "own"]
    _, config = parse(argv)
    assert (config.config, config.gc, config.network, config.trainer) == (
        "config_test_own",
        3.5,
        "test_own",
        "test_own_trainer",
    )
    torch.save(DeblurNet("test_own").state_dict(), tmp_path / "own.pytorch")
    code, out, error = run(capsys, *argv, "--ckpt_abs_name", tmp_path / "own.pytorch", "--data_root", data_root)
    assert code == 0, error
    assert "[TOTAL own|DVD] PSNR" in out
    assert "config_test_own" in refused(capsys, 2, "--config", "none")


# Evaluation


def total(text, name, protocol):
    match = re.search(rf"\[TOTAL {name}\|DVD\] PSNR: ([\d.]+) SSIM: ([-\d.]+) .* protocol {protocol}", text)
    return float(match[1]), float(match[2])


def test_identity_scores_the_blurry_input(logs, capsys, data_root):
    code, out, error = run(capsys, "--identity", "--data_root", data_root, "--protocol", "pvdnet_code")
    assert code == 0, error
    errors = []
    for path in sorted((data_root / "test_DVD").glob("*/input/*")):
        blurry, sharp = (
            read_image(p)[:64, :64].astype(float) / 255 for p in (path, path.parents[1] / "GT" / path.name)
        )
        errors.append(10 * np.log10(1 / np.mean((blurry - sharp) ** 2)))
    assert total(out, "identity", "pvdnet_code")[0] == pytest.approx(np.mean(errors), abs=1e-4)
    results = logs / "PVDNet_TOG2021/PVDNet_DVD/result/quanti_quali/identity"
    lines = (results / "score_DVD.txt").read_text().splitlines()
    assert len(lines) == 6 + 2 + 1
    (pictures,) = (results / "DVD").iterdir()
    assert re.fullmatch(r"\d{4}_\d\d_\d\d_\d{4}", pictures.name)
    for suffix in ("png", "jpg"):
        for kind in ("input", "output", "gt"):
            assert sorted(path.name for path in (pictures / suffix / kind / "a").iterdir()) == [
                f"{number:05d}.{suffix}" for number in range(3)
            ]
    written = read_image(pictures / "png/output/b/00002.png")
    assert np.array_equal(written, read_image(data_root / "test_DVD/b/input/00002.png")[:64, :64])


def test_random_writes_every_video_into_its_own_folder(logs, capsys, data_root, checkpoint_file):
    code, out, error = run(
        capsys, *SMALL, "--mode", "x", "--data", "random", "--data_root", data_root, "--ckpt_abs_name", checkpoint_file
    )
    assert code == 0, error
    assert "PSNR" not in out
    (pictures,) = (logs / "PVDNet_TOG2021/x/result/quanti_quali/small/random").iterdir()
    assert sorted(path.name for path in pictures.glob("png/*")) == ["input", "output"]
    outputs = sorted(str(path.relative_to(pictures / "png/output")) for path in pictures.glob("png/output/*/*"))
    assert outputs == [f"{video}/{number:05d}.png" for video in "ab" for number in range(3)]


@pytest.fixture
def trained(logs, weights):
    """A run folder of PVDNet_small with three checkpoints, the second of them the best; returns its manager."""
    folder = logs / "PVDNet_TOG2021" / "mine"
    config = dataclasses.replace(preset("config_PVDNet_small"), mode="mine")
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.txt").write_text(config.to_json())
    manager = CheckpointManager(folder / "checkpoint/train/epoch", "mine", 100)
    for epoch, score in ((1, 20.0), (2, 30.0), (3, 25.0)):
        manager.save({f"module.{key}": value for key, value in weights.items()}, {}, epoch, [score])
    return manager


@pytest.mark.parametrize(
    ("selectors", "name"),
    [
        ("", "mine_00003"),
        ("--ckpt_sc", "mine_00002"),
        ("--ckpt_score", "mine_00002"),
        ("--ckpt_name mine_00001.pytorch", "mine_00001"),
        ("--ckpt_name mine_00001.pytorch --ckpt_epoch 2", "mine_00002"),
        ("--ckpt_sc --ckpt_name mine_00001.pytorch --ckpt_abs_name FILE", "small"),
        ("--ckpt_abs_name FILE --ckpt_epoch 1", "mine_00001"),
    ],
)
def test_mode_alone_reads_the_saved_config(trained, capsys, data_root, checkpoint_file, selectors, name):
    argv = ["--mode", "mine", "--data_root", data_root, *selectors.replace("FILE", str(checkpoint_file)).split()]
    code, out, error = run(capsys, *argv, "--protocol", "pvdnet_code")
    assert code == 0, error
    assert total(out, name, "pvdnet_code")[0] > 0
    results = trained.folder.parents[2] / "result/quanti_quali" / name
    assert (results / f"{name}.pytorch").is_file()


@pytest.mark.parametrize(
    ("selectors", "part"),
    [
        ("--ckpt_epoch 9", "mine_00009.pytorch: no such checkpoint; there are mine_00001"),
        ("--ckpt_name none.pytorch", "none.pytorch: no such checkpoint"),
        ("--ckpt_abs_name none/at.all", "none/at.all: no such checkpoint"),
    ],
)
def test_missing_checkpoints(trained, capsys, data_root, selectors, part):
    assert part in refused(capsys, 1, "--mode", "mine", "--data_root", data_root, *selectors.split())


def test_mode_without_a_checkpoint(logs, capsys, data_root):
    line = refused(capsys, 1, "--data_root", data_root)
    assert "no checkpoint yet; train first (--is_train) or name a file with --ckpt_abs_name" in line


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', '{"batch_size": "8"}', "null", "\xff"])
def test_damaged_saved_config(trained, capsys, text):
    file = trained.folder.parents[2] / "config/config.txt"
    file.write_bytes(text.encode("latin-1"))
    assert f"{file.relative_to(Path.cwd())}: not a saved config" in refused(capsys, 1, "--mode", "mine")


def test_saved_config_is_complete_json(trained):
    saved = json.loads((trained.folder.parents[2] / "config/config.txt").read_text())
    assert set(saved) == {field.name for field in dataclasses.fields(Config)}
    assert parse(["--mode", "mine"])[1] == dataclasses.replace(preset("config_PVDNet_small"), mode="mine")


def test_missing_data(logs, capsys, checkpoint_file):
    line = refused(capsys, 1, *SMALL, "--mode", "x", "--ckpt_abs_name", checkpoint_file)
    assert "datasets/test_DVD: no such folder; set --data_root" in line


# Data that cannot be trained on


def untrainable(root, name, count, height):
    for split in ("train", "test"):
        for kind in SUBFOLDERS["DVD"]:
            for number in range(count):
                picture = np.full((height, 64, 3), number, np.uint8)
                write_image(root / f"{split}_DVD" / name / kind / f"{number:05d}.jpg", picture)


@pytest.mark.parametrize(
    ("count", "height", "part"),
    [
        (1, 64, "no video has 7 frames; the longest has 1: use longer videos or a smaller --set frame_itr_num"),
        (13, 60, "video v.1: frames of 64x60 are smaller than the crop of 64x64; use --set width=... --set height=..."),
    ],
)
def test_training_stops_before_it_writes(logs, capsys, count, height, part):
    untrainable(logs.parent / "datasets", "v.1", count, height)
    for _ in range(2):  # the first try leaves nothing that the second would stumble over
        assert part in refused(capsys, 1, "--is_train", *SMALL, "--mode", "x", "--data_root", "./datasets")
    assert [path.name for path in logs.rglob("*") if path.is_file()] == [".lock"]


def test_clip_of_one_frame_is_evaluated(logs, capsys):
    untrainable(logs.parent / "datasets", "v.1", 1, 64)
    code, out, error = run(capsys, "--identity")
    assert code == 0, error
    assert "1 frames, protocol pvdnet_code" in out
    assert "protocol pvdnet_paper" not in out  # the paper leaves the first frame out


# Checkpoints


def evaluate(capsys, data_root, path, *argv):
    return run(
        capsys, "--mode", "x", "--data_root", data_root, "--ckpt_abs_name", path, *argv, "--protocol", "pvdnet_code"
    )


def test_published_layouts(logs, capsys, data_root, weights, tmp_path):
    scores = []
    for name, state in (("with", {f"module.{key}": value for key, value in weights.items()}), ("without", weights)):
        torch.save(state, tmp_path / f"{name}.pytorch")
        code, out, error = evaluate(capsys, data_root, tmp_path / f"{name}.pytorch", *SMALL)
        assert code == 0, error
        scores.append(total(out, name, "pvdnet_code"))
    torch.save(weights, tmp_path / "old.pytorch", _use_new_zipfile_serialization=False)
    code, out, error = evaluate(capsys, data_root, tmp_path / "old.pytorch", *SMALL)
    assert code == 0, error
    assert scores == [total(out, "old", "pvdnet_code")] * 2


class Hostile:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (Path(self.target),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: Path(path).write_bytes(pickle.dumps(value, 2))])
def test_hostile_checkpoints_do_not_run(logs, capsys, data_root, tmp_path, weights, save):
    bait, path = tmp_path / "it ran", tmp_path / "hostile.pytorch"
    save({**weights, "payload": Hostile(bait)}, path)
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert bait.exists()  # the bait works
    bait.unlink()
    code, _, error = evaluate(capsys, data_root, path, *SMALL)
    assert (code, len(error.splitlines())) == (1, 1)
    assert f"{path}: refused, it holds more than tensors" in error
    assert not bait.exists()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: torch.save(DeblurNet("PVDNet_large").state_dict(), path), "not a checkpoint of this network"),
        (lambda path: torch.save(DeblurNet("PVDNet").state_dict(), path), "of another shape"),
        (lambda path: torch.save(LiteFlowNet().state_dict(), path), "unexpected: moduleFeatures"),
        (lambda path: torch.save({"epoch": 3, "itr": {}}, path), "expected a state dict"),
        (lambda path: torch.save([1, 2], path), "expected a state dict"),
        (lambda path: torch.save(torch.zeros(3), path), "expected a state dict"),
        (lambda path: path.write_bytes(b""), "other.pytorch: "),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "is no checkpoint"),
        (lambda path: path.write_text("<html>404</html>"), "is no checkpoint"),
        (lambda path: path.mkdir(), "other.pytorch: no such checkpoint"),
    ],
    ids=["large", "PVDNet", "BIMNet", "state", "list", "tensor", "empty", "random", "html", "folder"],
)
def test_checkpoints_of_something_else(logs, capsys, data_root, tmp_path, make, part):
    path = tmp_path / "other.pytorch"
    make(path)
    code, out, error = evaluate(capsys, data_root, path, *SMALL)
    assert (code, out, len(error.splitlines())) == (1, "", 1), error
    assert str(path) in error
    assert part in error
    assert len(error) < 1000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_truncated_checkpoints(logs, capsys, data_root, tmp_path, checkpoint_file, share):
    data, path = checkpoint_file.read_bytes(), tmp_path / "cut.pytorch"
    path.write_bytes(data[: int(share * len(data))])
    code, _, error = evaluate(capsys, data_root, path, *SMALL)
    assert (code, len(error.splitlines())) == (1, 1)
    assert f"{path}: broken or incomplete checkpoint" in error


# As a program


def program(command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("start", [[str(HERE / "run.py")], ["-m", "pvdnet.run"]], ids=["script", "module"])
def test_started_from_another_folder(tmp_path, start):
    result = program([sys.executable, *start, "--help"], tmp_path)
    assert result.returncode == 0, result.stderr
    for flag in ("-LRS", "--ckpt_abs_name", "--ckpt_sc", "--data_root", "--set"):
        assert flag in result.stdout
    result = program([sys.executable, *start, "--ckpt_abs_nam", "x"], tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: unknown argument --ckpt_abs_nam; did you mean --ckpt_abs_name?\n"
    assert list(tmp_path.iterdir()) == []


def test_script_needs_no_installed_package(tmp_path):
    """The clone wins over whatever else is called `common` or lies beside the script."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    result = program([sys.executable, str(HERE / "run.py"), "--help"], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
