"""IFRNet's command line: every flag, what wrong ones end in, which weights are taken unasked."""

import dataclasses
from fractions import Fraction

import pytest
import torch

from common import cli, settings
from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from ifrnet import run as command
from ifrnet.config import PRESETS, Config, parse
from ifrnet.model import IFRNet

VIDEO = ["--input", "a.mp4", "--output", "b.mp4"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No saved configs, no data, no weights."""
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv):
    """Exit code, what was printed, and what went to stderr."""
    code = cli.run(command.main, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


FLAGS = [  # what is given, where it ends up: a setting, or an option
    ("--is_train", "is_train", True),
    ("--config IFRNet_L_Vimeo90K", "network", "IFRNet_L"),
    ("--config IFRNet_GoPro", "total_batch", 8),
    ("--mode IFRNet_S_GoPro", "network", "IFRNet_S"),
    ("--project mine", "project", "mine"),
    *((f"{flag} ucf101", "data", "ucf101") for flag in ("-data", "--data")),
    ("--network IFRNet_S", "network", "IFRNet_S"),
    *((f"{flag} 3", "batch_size", 3) for flag in ("-b", "--batch_size")),
    *((f"{flag} 5", "thread_num", 5) for flag in ("-th", "--thread_num")),
    *((f"{flag} auto", "resume", "auto") for flag in ("-r", "--resume")),
    *((flag, "delete_log", True) for flag in ("-dl", "--delete_log")),
    *((flag, "dist", True) for flag in ("-dist", "--dist")),
    *((flag, "save_sample", True) for flag in ("-ss", "--save_sample")),
    *((f"{flag} x.pth", "ckpt_name", "x.pth") for flag in ("-ckpt_name", "--ckpt_name")),
    *((f"{flag} a/x.pth", "ckpt_abs_name", "a/x.pth") for flag in ("-ckpt_abs_name", "--ckpt_abs_name")),
    *((f"{flag} 12", "ckpt_epoch", 12) for flag in ("-ckpt_epoch", "--ckpt_epoch")),
    *((flag, "ckpt_sc", True) for flag in ("-ckpt_sc", "--ckpt_sc", "--ckpt_score")),
    ("--protocol mmediting ifrnet", "protocol", ["mmediting", "ifrnet"]),
    ("--blend", "blend", True),
    ("--local-rank 3", "local_rank", 3),
    ("--data_root /data", "data_root", "/data"),
    ("--log_root /logs", "log_root", "/logs"),
    ("--device cpu", "device", "cpu"),
    ("--amp bf16", "amp", "bf16"),
    ("--compile", "compile", True),
    ("--seed 7", "manual_seed", 7),
    ("--debug", "debug", True),
    ("--set learning_rate=3e-4", "learning_rate", 3e-4),
    ("--set distill=false", "distill", False),
]


@pytest.mark.parametrize(("given", "name", "value"), FLAGS, ids=[given for given, _, _ in FLAGS])
def test_every_flag(given, name, value):
    options, config = parse(given.split())
    before = parse([])
    assert getattr(config if hasattr(config, name) else options, name) == value
    assert getattr(before[1] if hasattr(config, name) else before[0], name) != value


VIDEO_FLAGS = [
    ("--multi 4", "multi", 4),
    ("--fps 60000/1001", "fps", Fraction(60000, 1001)),
    ("--multi 2 --slow", "slow", True),
    ("--multi 2 --scale 0.5", "scale", 0.5),
    ("--multi 2 --scene 0.7", "scene", 0.7),
    ("--multi 2 --tile 256", "tile", 256),
    ("--multi 2 --overwrite", "overwrite", True),
]


@pytest.mark.parametrize(("given", "name", "value"), VIDEO_FLAGS, ids=[given for given, _, _ in VIDEO_FLAGS])
def test_every_flag_of_videos(given, name, value):
    assert getattr(parse([*VIDEO, *given.split()])[0], name) == value
    options, _ = parse(["--export", "onnx", "--output", "x.onnx", "--export_size", "448x256"])
    assert (options.export, options.output, options.export_size) == ("onnx", "x.onnx", "448x256")


def test_published_settings():
    vimeo = {"total_batch": 24, "crop": 224, "epochs": 300, "learning_rate": 1e-4, "learning_rate_end": 1e-5,
             "valid_every_epoch": 1, "write_log_every_step": 100, "distill": True, "data": "vimeo90k",
             "manual_seed": 1234, "augment_large": 0.1}  # fmt: skip
    gopro = vimeo | {"total_batch": 8, "epochs": 600, "valid_every_epoch": 8, "write_log_every_step": 50,
                     "distill": False, "data": "gopro"}  # fmt: skip
    for size in ("IFRNet", "IFRNet_L", "IFRNet_S"):
        for name, published in (("Vimeo90K", vimeo), ("GoPro", gopro)):
            config = dataclasses.asdict(PRESETS[f"{size}_{name}"])
            assert config["network"] == size
            assert {key: config[key] for key in published} == published


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("--data vimeo90k", "IFRNet_Vimeo90K"),
        ("--data gopro", "IFRNet_GoPro"),
        ("--data adobe240", "IFRNet_GoPro"),
        ("--input a --output b --multi 2", "IFRNet_Vimeo90K"),
        ("--input a --output b --multi 8", "IFRNet_GoPro"),
        ("--input a --output b --fps 60", "IFRNet_GoPro"),
        ("--input a --output b.mp4 --multi 2 --fps 60", "IFRNet_Vimeo90K"),
        ("--config IFRNet_S_GoPro", "IFRNet_S_GoPro"),
    ],
)
def test_published_weights_are_taken_by_what_is_asked(tmp_path, given, name):
    options, config = parse([*given.split(), "--weights", "published"])
    with pytest.raises(ValueError, match=rf"the published ones at ckpt.{name}.pth \(python -m common.checkpoints"):
        find_weights(options, config, "ifrnet")
    checkpoint_file.save(IFRNet("IFRNet_tiny").state_dict(), tmp_path / f"ckpt/{name}.pth")
    assert find_weights(options, config, "ifrnet").name == f"{name}.pth"


@pytest.mark.parametrize(
    ("given", "near"),
    [("--is_trian", "--is_train"), ("--mutli 2", "--multi"), ("--prtocol x", "--protocol"), ("--zzz", None)],
)
def test_unknown_flags(capsys, given, near):
    code, out, error = run(capsys, *given.split())
    assert (code, out) == (2, "")
    assert f"unknown argument {given.split()[0]}" in error
    assert (f"did you mean {near}?" if near else "see --help") in error


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("--config IFRNet", "--config IFRNet: expected one of IFRNet_Vimeo90K"),
        ("--mode mine", "--mode mine has no saved config: add --config"),
        ("--data REDS", "data REDS: expected one of"),
        ("--is_train --data ucf101", "--data ucf101 is for testing: train on one of"),
        ("--is_train --data gopro --config IFRNet_Vimeo90K", "no flow labels: add --set distill=false"),
        ("--is_train --input a --output b --multi 2", "--is_train and --input do not go together"),
        ("--is_train --blend", "--blend has no network"),
        ("--is_train --ckpt_epoch 0", "--ckpt_epoch goes with testing; -r resumes a training"),
        ("--input a --multi 2", "--output goes with --input"),
        ("--output a", "--output goes with --input"),
        ("--export onnx", "--output goes with --input and with --export"),
        ("--input a --output b", "--input needs --multi 2, 4 or 8, or --fps"),
        ("--input a --output b --multi 1", "--multi 1: expected 2 or more"),
        ("--input a --output b --multi many", "invalid int value"),
        ("--input a --output b --fps 0", "--fps 0: expected a positive number"),
        ("--input a --output b --multi 2 --scale 0.7", "--scale 0.7: expected 16 divided by a whole number"),
        ("--input a --output b --multi 2 --scale 0", "--scale 0"),
        ("--input a --output b --multi 2 --scene 0", "--scene 0: expected a share"),
        ("--input a --output b --multi 2 --tile 0", "--tile 0: expected a side in pixels"),
        ("--multi 2", "--multi goes with --input"),
        ("--export onnx --output x.onnx --export_size 448", "--export_size 448: expected WxH"),
        ("-r last", "-r last: expected an epoch number or auto"),
        ("-dist", "needs a launcher"),
        ("-b -1", "batch_size -1: expected 0 or more"),
        ("--set crop=100", "crop 100: expected a multiple of 16"),
        ("--set crop=0", "crop 0: expected 1 or more"),
        ("--set network=IFRNet_XL", "network IFRNet_XL: expected one of"),
        ("--set learning_rate=0", "learning_rate 0.0: expected a positive number"),
        ("--set learningrate=1", "did you mean learning_rate?"),
        ("--config IFRNet_tiny --mode a/b", "--mode 'a/b': expected a name"),
    ],
)
def test_wrong_values(capsys, given, part):
    code, out, error = run(capsys, *given.split())
    assert code == 2, error
    assert part in error
    assert len(error.strip().splitlines()) == 1
    assert out == ""


def test_a_run_is_tested_by_its_name_alone(tmp_path, capsys):
    folder = tmp_path / "logs/IFRNet_CVPR2022/mine"
    (folder / "config").mkdir(parents=True)
    saved = dataclasses.replace(PRESETS["IFRNet_tiny"], mode="mine", config="IFRNet_tiny", crop=96)
    (folder / "config/config.txt").write_text(settings.to_json(saved))
    assert parse(["--mode", "mine"])[1] == saved
    assert parse(["--mode", "mine", "--seed", "3"])[1] == dataclasses.replace(saved, manual_seed=3)
    (folder / "config/config.txt").write_text('{"old": 1}')
    code, _, error = run(capsys, "--mode", "mine")
    assert code == 1
    assert "not a saved config of this version" in error


def test_weights_of_another_size_are_refused(tmp_path, capsys):
    checkpoint_file.save(IFRNet("IFRNet_tiny").state_dict(), tmp_path / "tiny.pth")
    code, _, error = run(capsys, "--config", "IFRNet_L_Vimeo90K", "--ckpt_abs_name", "tiny.pth")
    assert code == 1
    assert "holds IFRNet_tiny, but IFRNet_L was asked for" in error
    torch.save({"a": Config()}, tmp_path / "bad.pth")
    code, _, error = run(capsys, "--ckpt_abs_name", "bad.pth")
    assert code == 1
    assert "refused, it holds more than tensors" in error


def test_every_setting_is_checked_and_kept(tmp_path):
    config = PRESETS["IFRNet_tiny"]
    (tmp_path / "config.txt").write_text(settings.to_json(config))
    assert settings.read(Config, tmp_path / "config.txt") == config
