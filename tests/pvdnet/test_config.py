"""PVDNet's command line: every flag, what wrong ones end in, presets, a user's own files."""

import dataclasses
import re
import sys

import pytest
import torch

from pvdnet.config import HERE, Config, parse, preset
from pvdnet.models.deblurnet import DeblurNet

SMALL = ["--config", "config_PVDNet_small"]

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
    ("--input a.mp4 --output b.mp4", "input", ["a.mp4"]),
    ("--tile 256", "tile", 256),
    ("--overwrite", "overwrite", True),
    ("--identity", "identity", "identity"),
    ("--identity wiener", "identity", "wiener"),
    ("--data free,drawn:0.5 --is_train", "data", "free,drawn:0.5"),
    ("--config config_PVDNet_free --data real", "mode", "PVDNet_free"),
    ("--config config_PVDNet_free --input a.mp4 --output b.mp4", "network", "PVDNet_free"),
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
def test_unknown_flags(logs, refused, given, near):
    line = refused(2, *given.split())
    assert f"unknown argument {re.split('[= ]', given)[0]}" in line
    assert (f"did you mean {near}?" if near else "see --help") in line


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("--config config_PVDNet_lrge", "config_PVDNet_lrge: no file pvdnet/configs/config_PVDNet_lrge.py"),
        ("--config ../configs/config_PVDNet", "no file"),
        ("--network LargePVD", "no file pvdnet/models/archs/LargePVD.py; there are"),
        ("--is_train --trainer x", "no file pvdnet/models/trainers/x.py; there are"),
        ("--data REDS", "data REDS: expected one of DVD, nah, random, or a set of clips"),
        ("--data DVD,nah", "several sets are for training; test on one"),
        ("--set valid_data=random", "valid_data random: expected one of DVD, nah, or a set of clips"),
        ("--set ema=2", "ema 2: expected 0"),
        ("--identity blur", "invalid choice: 'blur'"),
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
        ("--is_train --data random", "--data random is for testing: train on one of DVD, nah, or on clips"),
        ("--is_train --input x --output y", "--is_train and --input do not go together"),
        ("--is_train --identity", "--identity has no network: it goes with testing and with --input"),
        ("--input x", "--output goes with --input and with --export, and they need it"),
        ("--output y", "--output goes with --input and with --export, and they need it"),
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
        ("--set LRS=cosine", "LRS cosine: expected one of CA, LD"),
        ("--set amp=int8", "amp int8: expected one of auto, off, bf16, fp16"),
        ("--set data=REDS", "data REDS: expected one of DVD, nah, random"),
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
def test_wrong_values(logs, refused, given, part):
    assert part in refused(2, *given.split(" "))
    assert not logs.exists()


def test_debug_shows_the_traceback(logs, call):
    code, _, error = call("--mode", "mine", "--debug")
    assert code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: --mode mine has no saved config")


FIELDS = [field for field in dataclasses.fields(Config) if field.name != "config"]  # that one names the preset


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_set_overrides_a_field_of_any_type(logs, field):
    given = {
        "network": "PVDNet_small", "trainer": "trainer_BIMNet", "data": "nah", "valid_data": "nah", "ema": 0.9,
        "LRS": "LD", "amp": "bf16", "PV_ksize": 3, "height": 128, "width": 64, "T_period": (1, 2, 3, 4, 5),
        "restarts": (1, 2, 3, 4), "restart_weights": (1.0, 0.5, 0.25, 0.125), "decay_period": (10, 20),
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


def test_own_files_are_found_by_name(logs, own_file, call, refused, data_root, tmp_path):
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
    code, out, error = call(*argv, "--ckpt_abs_name", tmp_path / "own.pytorch", "--data_root", data_root)
    assert code == 0, error
    assert "[TOTAL own|DVD] PSNR" in out
    assert "config_test_own" in refused(2, "--config", "none")
