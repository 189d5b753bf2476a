"""TDAN's command line: every flag, what wrong ones end in, which settings are taken unasked."""

import dataclasses
import typing
from fractions import Fraction

import pytest

from common import cli, settings
from tdan.config import FIRST, OF_DEGRADATION, PRESETS, Config, parse, preset
from tdan.model import SCALES
from tdan.sets import DEGRADATIONS, data_set

FINE_BI, FINE_BD = "tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi", "tdan_x4ft_1xb16-lr5e-5-800k_vimeo90k-bd"
INPUT = "--input a.mp4 --output b.mp4"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No saved configs, no data, no weights."""
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv):
    """Exit code, what was printed, and what went to stderr, of a program that only parses."""
    code = cli.run(lambda given: parse(given) and None, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


FLAGS = [  # what is given, where it ends up: a setting, or an option
    (f"--is_train --config {FIRST}-bi", "is_train", True),
    ("--config TDAN", "border", "tdan"),
    ("--config TDAN", "init", "authors"),
    ("--mode TDAN_tiny_bd", "channels", 16),
    ("--project mine", "project", "mine"),
    *((f"{flag} clips_bd", "data", "clips_bd") for flag in ("-data", "--data")),
    ("--prepared", "prepared", True),
    ("--protocol tdan mmagic_vid4", "protocol", ["tdan", "mmagic_vid4"]),
    ("--baseline", "baseline", "bicubic"),
    ("--baseline lanczos", "baseline", "lanczos"),
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
    *((f"{flag} 3", "local_rank", 3) for flag in ("--local-rank", "--local_rank")),
    ("--data_root d", "data_root", "d"),
    ("--log_root l", "log_root", "l"),
    ("--device cpu", "device", "cpu"),
    ("--amp bf16", "amp", "bf16"),
    ("--compile", "compile", True),
    ("--seed 7", "manual_seed", 7),
    ("--debug", "debug", True),
    ("--offline", "offline", True),
    (INPUT, "input", ["a.mp4"]),
    (INPUT, "output", "b.mp4"),
    (f"{INPUT} --padding replicate", "padding", "replicate"),
    (f"{INPUT} --padding tdan_eval", "padding", "tdan_eval"),
    (f"{INPUT} --tile 256", "tile", 256),
    (f"{INPUT} --chop", "chop", True),
    (f"{INPUT} --weights x.pth", "weights", "x.pth"),
    (f"{INPUT} --flips", "flips", True),
    (f"{INPUT} --fps 60000/1001", "fps", Fraction(60000, 1001)),
    (f"{INPUT} --overwrite", "overwrite", True),
    (f"{INPUT} --codec ffv1", "codec", "ffv1"),
    (f"{INPUT} --compare split", "compare", "split"),
    ("--input a.mp4 c.mp4 --output d --shard 3/8", "shard", (3, 8)),
    (f"{INPUT} --crf 12", "crf", 12),
    (f"{INPUT} --preset slow", "preset", "slow"),
    (f"{INPUT} --pix_fmt yuv444p", "pix_fmt", "yuv444p"),
    (f"{INPUT} --start 1:30", "start", 90),
    (f"{INPUT} --end 95.5", "end", Fraction(191, 2)),
    ("--export onnx --output x.onnx", "export", "onnx"),
    ("--export onnx --output x.onnx --export_size 180x144", "export_size", "180x144"),
    ("--set border=tdan", "border", "tdan"),
    ("--set align_weight=0.01", "align_weight", 0.01),
    ("--set flip=false", "flip", False),
    ("--set scale=2", "scale", 2),
    ("--set groups=4", "groups", 4),
    ("--set add_bicubic=true", "add_bicubic", True),
    ("--is_train --config TDAN --data free_bi,drawn_bi:0.5", "data", "free_bi,drawn_bi:0.5"),
    ("--set learning_rate=3e-4", "learning_rate", 3e-4),
    ("--set betas=0.8,0.9", "betas", (0.8, 0.9)),
    ("--set milestones=0.5,0.75", "milestones", (0.5, 0.75)),
    ("--set start_from=mine", "start_from", "mine"),
    ("--set valid_data=spmcs_bi", "valid_data", "spmcs_bi"),
    ("--set max_steps=20 --set crop=32", "crop", 32),
]


@pytest.mark.parametrize(("given", "name", "value"), FLAGS, ids=[f"{name}: {given}" for given, name, _ in FLAGS])
def test_every_flag(given, name, value):
    options, config = parse(given.split())
    before = parse([])
    assert getattr(config if hasattr(config, name) else options, name) == value
    assert getattr(before[1] if hasattr(config, name) else before[0], name) != value


def test_every_flag_is_tested():
    options = vars(parse([])[0])
    silent = {"config", "mode", "set"}
    settings = {"data", "prepared", "batch_size", "thread_num", "save_sample", "amp", "compile", "manual_seed"}
    assert options.keys() - silent | settings <= {name for _, name, _ in FLAGS}


def test_defaults():
    options, config = parse([])
    assert (options.padding, options.data_root, options.log_root) == (None, "./datasets", "./logs")
    assert (options.device, options.tile, options.fps, options.protocol) == ("auto", None, None, None)
    assert not any((options.chop, options.flips, options.baseline, options.is_train, options.overwrite))
    assert config == preset(FINE_BI)
    assert options.mode == FINE_BI


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ("", FINE_BI),
        ("--data vid4_bi", FINE_BI),
        ("--data spmcs_bi", FINE_BI),
        ("--data vid4_bd", FINE_BD),
        ("--data clips_bd", FINE_BD),
        ("--data vid4_bd --config TDAN", "TDAN"),
        (f"--mode {FIRST}-bd", f"{FIRST}-bd"),
        ("--mode mine --ckpt_abs_name x.pth", FINE_BI),
        ("--data vid4_bd --mode mine --ckpt_abs_name x.pth", FINE_BD),
        ("--data vid4_bd --mode mine --baseline", FINE_BD),
        ("--is_train --mode mine --config TDAN_tiny_bi", "TDAN_tiny_bi"),
    ],
)
def test_settings_follow_what_is_asked(given, config):
    options, found = parse(given.split())
    mode = "mine" if "mine" in given else config
    data = options.data if "--data" in given else PRESETS[config].data
    assert found == dataclasses.replace(PRESETS[config], config=config, mode=mode, data=data)
    assert options.mode == mode


def test_published_settings():
    first = {"learning_rate": 1e-4, "weight_decay": 1e-6, "steps": 400_000, "total_batch": 128, "crop": 48,
             "flip": True, "betas": (0.9, 0.999), "milestones": (), "border": "torchvision", "init": "mmagic",
             "channels": 64, "blocks_before": 5, "blocks_after": 10, "scale": 4, "valid_every_step": 50_000,
             "start_from": ""}  # fmt: skip
    fine = first | {"learning_rate": 5e-5, "weight_decay": 0.0}
    bi = {"data": "vimeo_bi", "valid_data": "vid4_bi", "align_weight": 0.25}
    bd = {"data": "vimeo_bd", "valid_data": "vid4_bd", "align_weight": 0.01}
    for name, expected in {
        f"{FIRST}-bi": first | bi,
        f"{FIRST}-bd": first | bd,
        FINE_BI: fine | bi | {"start_from": f"{FIRST}-bi"},
        FINE_BD: fine | bd | {"start_from": f"{FIRST}-bd", "steps": 800_000},
        "TDAN": first | {
            "border": "tdan", "init": "authors", "total_batch": 64, "steps": 0, "epochs": 600, "gamma": 0.5,
            "milestones": (1 / 3, 2 / 3), "align_weight": 0.25, "data": "clips_bi", "valid_data": "clips_bi",
            "valid_every_step": 10_000,
        },
    }.items():  # fmt: skip
        found = preset(name)
        assert {key: getattr(found, key) for key in expected} == expected, name
        assert (found.mode, found.config) == (name, name)


def test_every_preset_is_whole():
    assert set(OF_DEGRADATION) == set(DEGRADATIONS)
    for degradation, name in OF_DEGRADATION.items():
        assert data_set(PRESETS[name].data).degradation == degradation
    for name, config in PRESETS.items():
        assert config.start_from in {"", *PRESETS}
        assert len({data_set(data).degradation for data in config.set_names()}) == 1
        assert parse(["--is_train", "--config", name])[1] == preset(name)
    for field in dataclasses.fields(Config):
        value = getattr(Config(), field.name)
        kind = typing.get_origin(field.type) or field.type
        assert type(value) is kind, field.name


def test_the_second_stage_starts_from_the_first_or_another():
    argv = ["--is_train", "--config", FINE_BI]
    assert parse(argv)[1].start_from == f"{FIRST}-bi"
    assert parse([*argv, "--set", "start_from=mine"])[1].start_from == "mine"
    assert parse([*argv, "--set", "start_from="])[1].start_from == ""
    options, config = parse([*argv, "--ckpt_abs_name", "x.pth"])
    assert (options.ckpt_abs_name, config.start_from) == ("x.pth", f"{FIRST}-bi")


@pytest.mark.parametrize("scale", SCALES)
def test_scales(scale):
    for data in ("vimeo_bi", "clips_bi", "vid4_bi", "spmcs_bi"):
        assert parse(["--data", data, "--set", f"scale={scale}"])[1].scale == scale


# What is refused


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("--is_trian", "--is_train"),
        ("--chopp", "--chop"),
        ("--flip", "--flips"),
        ("--til 3", "--tile"),
        ("--zzz", None),
    ],
)
def test_unknown_flags(capsys, given, near):
    code, out, error = run(capsys, *given.split())
    assert (code, out) == (2, "")
    assert f"unknown argument {given.split()[0]}" in error
    assert (f"did you mean {near}?" if near else "see --help") in error


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("--is_train", "--is_train: expected --config, one of tdan_x4_1xb16-lr1e-4-400k_vimeo90k-bi"),
        ("--config mmagic", "--config mmagic: expected one of tdan_x4_1xb16"),
        ("--mode mine", "--mode mine has no saved config: add --config, one of tdan_x4_1xb16"),
        ("--is_train --mode mine --ckpt_abs_name x", "--mode mine has no saved config"),
        ("--data REDS", "data REDS: expected one of vimeo_bi"),
        ("--data clips", "data clips: expected one of vimeo_bi, vimeo_bd, vid4_bi, vid4_bd, spmcs_bi, spmcs_bd, or a"),
        ("--data clips_bi,free_bi", "several sets are for training; test on one"),
        (
            "--is_train --config TDAN --data vid4_bi",
            "--data vid4_bi is for testing: train on one of vimeo_bi, vimeo_bd",
        ),
        ("--is_train --config TDAN --data spmcs_bd", "--data spmcs_bd is for testing"),
        ("--data vid4_bd --set scale=2", "scale 2: BD is defined for 4 only; take sets whose names end in _bi"),
        ("--set valid_data=vid4_bd --set scale=2", "scale 2: BD is defined for 4 only"),
        ("--set scale=3", "scale 3: expected one of 2, 4"),
        ("--set channels=12", "channels 12: expected a multiple of 8"),
        ("--set channels=0", "channels 0: expected a multiple of 8"),
        ("--set groups=3", "channels 64: expected a multiple of 3 (groups)"),
        ("--set data=free_bi,clips_bd --set scale=2", "scale 2: BD is defined for 4 only"),
        ("--set border=zeros", "border zeros: expected one of torchvision, tdan"),
        ("--set init=zeros", "init zeros: expected one of mmagic, authors"),
        ("--set data=REDS", "data REDS: expected one of vimeo_bi"),
        ("--set valid_data=REDS", "valid_data REDS: expected one of vimeo_bi"),
        ("--set amp=fp8", "amp fp8: expected one of auto, off, bf16, fp16"),
        ("--amp fp8", "argument --amp: invalid choice: 'fp8'"),
        ("--set blocks_before=0", "blocks_before 0: expected 1 or more"),
        ("--set blocks_after=0", "blocks_after 0: expected 1 or more"),
        ("--set total_batch=0", "total_batch 0: expected 1 or more"),
        ("--set crop=0", "crop 0: expected 1 or more"),
        ("--set steps=-1", "steps -1: expected 0 or more"),
        ("--set epochs=-1", "epochs -1: expected 0 or more"),
        ("-b -1", "batch_size -1: expected 0 or more"),
        ("-th -2", "thread_num -2: expected -1 or more"),
        ("--set betas=0.9", "betas (0.9,): expected two numbers"),
        ("--set betas=0.9,1", "betas (0.9, 1.0): expected two numbers"),
        ("--set weight_decay=-1", "weight_decay, align_weight: expected numbers of 0 or more"),
        ("--set align_weight=nan", "weight_decay, align_weight: expected numbers of 0 or more"),
        ("--set align_weight=inf", "weight_decay, align_weight: expected numbers of 0 or more"),
        ("--set gamma=0", "gamma, learning_rate: expected"),
        ("--set learning_rate=nan", "gamma, learning_rate: expected"),
        ("--set milestones=0.5,1.5", "milestones (0.5, 1.5): expected shares of the steps"),
        ("--set learning_rates=1e-4", "did you mean learning_rate?"),
        ("--set flip=maybe", "--set flip=maybe: expected a value like True"),
        ("--set steps=many", "--set steps=many: expected a value like 400000"),
        ("--config TDAN --mode a/b", "--mode 'a/b': expected a name without blanks and slashes"),
        (f"--is_train --config TDAN {INPUT}", "--is_train and --input do not go together"),
        (f"--export onnx {INPUT}", "--input and --export do not go together"),
        ("--is_train --config TDAN --baseline", "--baseline has no network: it goes with testing"),
        ("--export onnx --output x.onnx --baseline", "--baseline has no network"),
        ("--input a", "--output goes with --input and with --export, and they need it"),
        ("--output a", "--output goes with --input"),
        ("--export onnx", "--output goes with --input and with --export"),
        ("--export torch --output x", "argument --export: invalid choice: 'torch'"),
        ("--export_size 64x64", "--export_size goes with --export"),
        ("--export onnx --output x --export_size 448", "--export_size 448: expected WxH, such as 448x256"),
        (f"{INPUT} --padding zeros", "argument --padding: invalid choice: 'zeros'"),
        (f"{INPUT} --chop --tile 64", "--chop and --tile both cut frames into parts: give one of them"),
        (f"{INPUT} --tile 0", "--tile 0: expected a side in pixels"),
        ("--fps 60", "--fps goes with --input"),
        ("--fps 0", "--fps"),
        (f"{INPUT} --fps 0", "--fps 0: expected a positive number"),
        (f"{INPUT} --fps fast", "argument --fps: 'fast': expected a number, such as 60"),
        ("-r last", "-r last: expected an epoch number or auto"),
        ("--protocol ssim", "argument --protocol: invalid choice: 'ssim'"),
    ],
)
def test_wrong_values(capsys, given, part):
    code, out, error = run(capsys, *given.split())
    assert code == 2, error
    assert part in error
    assert len(error.strip().splitlines()) == 1
    assert out == ""


def test_a_run_is_tested_by_its_name_alone(tmp_path, capsys):
    folder = tmp_path / "logs/TDAN_CVPR2020/mine/config"
    folder.mkdir(parents=True)
    saved = dataclasses.replace(preset("TDAN_tiny_bd"), mode="mine", crop=24, milestones=(0.5,), border="tdan")
    (folder / "config.txt").write_text(settings.to_json(saved))
    argv = ["--mode", "mine"]
    assert parse(argv)[1] == saved
    assert parse([*argv, "--data", "vid4_bd", "--seed", "3"])[1] == dataclasses.replace(
        saved, data="vid4_bd", manual_seed=3
    )
    assert parse([*argv, "--is_train"])[1] == saved
    assert parse([*argv, "--is_train", "-dl", "-r", "auto"])[1] == saved  # -r switches -dl off
    assert parse([*argv, "--config", "TDAN"])[1] == dataclasses.replace(preset("TDAN"), mode="mine")
    code, _, error = run(capsys, *argv, "--is_train", "-dl")  # what is deleted is not read
    assert (code, "--mode mine has no saved config" in error) == (2, True)
    (folder / "config.txt").write_text('{"old": 1}')
    code, _, error = run(capsys, *argv)
    assert code == 1
    assert "config.txt: not a saved config of this version" in error
