"""TOFlow's command line: every flag, what wrong ones end in, which settings and weights are taken unasked."""

import dataclasses
import typing
from fractions import Fraction

import pytest

from common import cli, settings
from common.checkpoints.run_checkpoints import find_weights
from common.sets.mixtures import parts
from tests.helpers.runs import start
from toflow import run as command
from toflow.config import OF_TASK, PRESETS, STAGES, Config, parse, preset
from toflow.model import FORMS
from toflow.sets import SETS, TASKS, TRAINING_SETS

DENOISE, INTERP = "--task denoise ", "--task interp --input a.mp4 --output b.mp4 "
MMAGIC = "tof_spynet-pytoflow-wobn_1xb1_vimeo90k-triplet"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No saved configs, no data, no weights."""
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv):
    """Exit code, what was printed, and what went to stderr."""
    code = cli.run(command.main, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


FLAGS = [  # what is given besides --task denoise, where it ends up: a setting, or an option
    ("--is_train --set spynet=", "is_train", True),
    ("--config TOFlow_denoise", "network", "paper_denoise"),
    ("--mode TOFlow_denoise_tiny", "network", "tiny_denoise"),
    ("--project mine", "project", "mine"),
    *((f"{flag} vimeo_gaussian", "data", "vimeo_gaussian") for flag in ("-data", "--data")),
    ("--prepared", "prepared", True),
    ("--network paper_denoise", "network", "paper_denoise"),
    ("--protocol mmagic toflow", "protocol", ["mmagic", "toflow"]),
    ("--baseline", "baseline", "plain"),
    ("--task denoise --baseline nlm", "baseline", "nlm"),
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
    ("--input a.mp4 --output b.mp4", "input", ["a.mp4"]),
    ("--input a.mp4 --output b.mp4 --padding circle", "padding", "circle"),
    ("--input a.mp4 --output b.mp4 --tile 256", "tile", 256),
    ("--input a.mp4 --output b.mp4 --overwrite", "overwrite", True),
    ("--export onnx --output x.onnx", "export", "onnx"),
    ("--export onnx --output x.onnx --export_size 448x256", "export_size", "448x256"),
    ("--set align_corners=false", "align_corners", False),
    ("--set weight_decay=3e-4", "weight_decay", 3e-4),
    ("--set spynet=x.pytorch", "spynet", "x.pytorch"),
    ("--set learning_rates=3e-4", "learning_rates", (3e-4,)),
    ("--set betas=0.8,0.9", "betas", (0.8, 0.9)),
    ("--set milestones=100,200", "milestones", (100, 200)),
    ("--set stages=flow,joint --set steps=(10,20) --set learning_rates=1e-4,2e-4", "stages", ("flow", "joint")),
    ("--set stages=flow,joint --set steps=(10,20) --set learning_rates=1e-4,2e-4", "steps", (10, 20)),
]


@pytest.mark.parametrize(("given", "name", "value"), FLAGS, ids=[f"{name}: {given}" for given, name, _ in FLAGS])
def test_every_flag(given, name, value):
    options, config = parse([*DENOISE.split(), *given.split()])
    before = parse(DENOISE.split())
    assert getattr(config if hasattr(config, name) else options, name) == value
    assert getattr(before[1] if hasattr(config, name) else before[0], name) != value


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("", "multi", 2),
        ("--multi 4", "multi", 4),
        ("--fps 60000/1001", "fps", Fraction(60000, 1001)),
        ("--fps 60", "multi", None),
        ("--slow", "slow", True),
        ("--scene 1", "scene", 1.0),
    ],
)
def test_every_flag_of_interpolation(given, name, value):
    assert getattr(parse([*INTERP.split(), *given.split()])[0], name) == value


@pytest.mark.parametrize(
    ("given", "config"),
    [
        *((f"--task {task}", name) for task, name in OF_TASK.items()),
        ("--data vimeo90k", MMAGIC),
        ("--data ucf101", MMAGIC),
        ("--data vid4", "tof_x4_official_vimeo90k"),
        ("--data vimeo_gaussian", "pytoflow_denoise"),
        ("--data vimeo_j2k_q40", "TOFlow_deblock"),
        ("--task deblock --data vimeo_jpeg_q20 --config TOFlow_deblock_tiny", "TOFlow_deblock_tiny"),
        ("--mode TOFlow_sr", "TOFlow_sr"),
        ("--task denoise --mode mine --ckpt_abs_name x.pth", "pytoflow_denoise"),
        ("--data vid4 --mode mine --baseline", "tof_x4_official_vimeo90k"),
    ],
)
def test_settings_follow_what_is_asked(given, config):
    options, found = parse(given.split())
    mode = "mine" if "mine" in given else config
    data = options.data if "--data" in given else PRESETS[config].data
    assert found == dataclasses.replace(PRESETS[config], config=config, mode=mode, data=data)
    assert options.mode == mode


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("--task interp", "tof_vfi_spynet_pytoflow_nobn_1xb1_vimeo90k_20220321-5f4b243e.pth"),
        ("--task sr", r"tof_x4_(official_)?vimeo90k_\S*"),
        (
            "--config tof_spynet-kitti-wobn_1xb1_vimeo90k-triplet",
            "tof_vfi_spynet_kitti_nobn_1xb1_vimeo90k_20220321-3f7ca4cd",
        ),
    ],
)
def test_published_weights_are_named(given, file):
    with pytest.raises(ValueError, match=rf"put the published ones at ckpt.{file}.*address in toflow/checkpoints.json"):
        find_weights(*parse(given.split()), "toflow")


def test_published_settings():
    mmagic = {"network": "mmagic_vfi", "loss": "charbonnier", "betas": (0.9, 0.99), "learning_rates": (5e-5,),
              "steps": (1_000_000,), "milestones": (200_000, 400_000, 600_000, 800_000), "gamma": 0.5,
              "stages": ("joint",), "data": "vimeo90k"}  # fmt: skip
    pytoflow = {"loss": "l1", "betas": (0.9, 0.999), "epochs": 5, "stages": ("joint",), "steps": (0,),
                "milestones": (), "spynet": "ckpt/network-sintel-final.pytorch"}  # fmt: skip
    common = {"weight_decay": 1e-4, "total_batch": 1, "crop": 0, "flip": False, "align_corners": True}
    for name in PRESETS:
        told = None
        if name.startswith("tof_spynet"):
            told = mmagic
        elif name.startswith("pytoflow"):
            rate = 3e-5 if name == "pytoflow_interp" else 1e-4
            told = pytoflow | {"network": name, "learning_rates": (rate,)}
        if told:
            config = dataclasses.asdict(preset(name))
            assert {key: config[key] for key in told | common} == told | common
    assert len({PRESETS[name].spynet for name in PRESETS if name.startswith("tof_spynet")}) == 5


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_their_types_and_their_task(name, tmp_path):
    config = preset(name)
    assert (config.config, config.mode) == (name, name)
    assert all(name in TRAINING_SETS or name not in SETS for name, _ in parts(config.data))
    assert config.task in TASKS
    (tmp_path / "config.txt").write_text(settings.to_json(config))
    assert settings.read(Config, tmp_path / "config.txt") == config
    for key, kind in typing.get_type_hints(Config).items():
        value = getattr(config, key)
        if typing.get_origin(kind) is tuple:
            assert isinstance(value, tuple)
            assert all(isinstance(part, typing.get_args(kind)[0]) for part in value)
        else:
            assert type(value) is kind, key


def test_every_set_and_task_is_reached():
    assert set(OF_TASK) == set(TASKS) == {data.task for data in SETS.values()}
    assert all(PRESETS[name].task == task for task, name in OF_TASK.items())
    assert {config.network for config in PRESETS.values()} <= set(FORMS)


# What is refused


@pytest.mark.parametrize(
    ("given", "near"),
    [("--is_trian", "--is_train"), ("--taks sr", "--task"), ("--mutli 2", "--multi"), ("--zzz", None)],
)
def test_unknown_flags(capsys, given, near):
    code, out, error = run(capsys, *given.split())
    assert (code, out) == (2, "")
    assert f"unknown argument {given.split()[0]}" in error
    assert (f"did you mean {near}?" if near else "see --help") in error


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("", "expected --task, one of interp, denoise, deblock, sr, or --config, or --mode of an earlier run"),
        ("--task superresolution", "argument --task: invalid choice: 'superresolution'"),
        ("--config TOFlow", "--config TOFlow: expected one of tof_spynet-chair-wobn"),
        ("--mode mine", "--mode mine has no saved config: add --config, one of"),
        ("--task sr --mode mine", "--mode mine has no saved config: add --config"),
        ("--data REDS", "data REDS: expected one of vimeo90k"),
        ("--task sr --network IFRNet", "invalid choice: 'IFRNet'"),
        (
            "--task interp --data vimeo_mixed",
            "--data vimeo_mixed is for denoise, --network mmagic_vfi is not: change one",
        ),
        ("--task sr --data vimeo90k", "--data vimeo90k is for interp, --network official_sr is not: change one"),
        ("--task sr --network mmagic_vfi", "--data vimeo_bicubic_x4 is for sr, --network mmagic_vfi is not"),
        ("--task interp --config TOFlow_sr", "--task interp does not go with --data vimeo_bicubic_x4, which is for sr"),
        ("--task denoise --config TOFlow_interp", "--task denoise does not go with --data vimeo90k"),
        ("--task sr --config TOFlow_denoise", "--task sr does not go with --data vimeo_mixed"),
        ("--task interp --export_size 64x64", "--export_size goes with --export"),
        ("--task sr --data vid4 --prepared", "--prepared: vid4 is read as it is"),
        ("--task sr --set betas=0.9", "betas (0.9,): expected two numbers"),
        ("--task sr --set gamma=nan", "weight_decay, gamma: expected"),
        ("--is_train --data vid4", "--data vid4 is for testing: train on one of vimeo90k, vimeo_gaussian"),
        ("--is_train --data ucf101", "--data ucf101 is for testing: train on one of"),
        ("--is_train --config pytoflow_sr", "ckpt/network-sintel-final.pytorch: no such file"),
        ("--is_train --config pytoflow_sr", "give another with --set spynet=FILE, or none with --set spynet="),
        ("--is_train --task sr --input a --output b", "--is_train and --input do not go together"),
        ("--task sr --export onnx --input a --output b", "--input and --export do not go together"),
        ("--is_train --config TOFlow_sr --baseline", "--baseline has no network: it goes with testing"),
        ("--task sr --export onnx --output x.onnx --baseline", "--baseline has no network"),
        ("--task sr --input a", "--output goes with --input and with --export, and they need it"),
        ("--task sr --output a", "--output goes with --input"),
        ("--task sr --export onnx", "--output goes with --input and with --export"),
        ("--task sr --input a --output b --multi 2", "--multi goes with --task interp --input"),
        ("--task interp --multi 2", "--multi goes with --task interp --input"),
        ("--task interp --fps 60", "--fps goes with --input"),
        ("--task denoise --slow", "--slow goes with --task interp --input"),
        (f"{INTERP} --multi 1", "--multi 1: expected 2 or more"),
        (f"{INTERP} --multi 0", "--multi 0: expected 2 or more"),
        (f"{INTERP} --multi many", "argument --multi: invalid int value"),
        (f"{INTERP} --fps 0", "--fps 0: expected a positive number"),
        (f"{INTERP} --scene 0", "--scene 0: expected a share"),
        (f"{INTERP} --scene 2", "--scene 2: expected a share"),
        (f"{INTERP} --tile 0", "--tile 0: expected a side in pixels"),
        ("--task sr --input a --output b --padding zeros", "argument --padding: invalid choice: 'zeros'"),
        ("--task sr --export onnx --output x --export_size 448", "--export_size 448: expected WxH, such as 448x256"),
        ("--task sr -r last", "-r last: expected an epoch number or auto"),
        ("--task sr -b -1", "batch_size -1: expected 0 or more"),
        ("--task sr --protocol ssim", "argument --protocol: invalid choice: 'ssim'"),
        ("--task sr --set crop=100", "crop 100, flow_crop 256: expected multiples of 16"),
        ("--task sr --set flow_crop=250", "crop 0, flow_crop 250: expected multiples of 16"),
        ("--task sr --set total_batch=0", "total_batch 0: expected 1 or more"),
        ("--task sr --set network=SPyNet", "network SPyNet: expected one of mmagic_vfi"),
        ("--task sr --set data=REDS", "data REDS: expected one of vimeo90k"),
        ("--task sr --set loss=l2", "loss l2: expected one of l1, charbonnier"),
        ("--task sr --set flow_data=kitti", "flow_data kitti: expected one of sintel, chairs"),
        ("--task sr --set stages=joint", "stages, steps, learning_rates: expected one value of each for every stage"),
        ("--task sr --set stages=", "stages, steps, learning_rates: expected one value of each"),
        (
            "--config TOFlow_sr --set stages=flow,warp,joint",
            "stages warp: expected some of flow, mask, processing, joint",
        ),
        (
            "--config TOFlow_interp --set stages=flow,mask,joint",
            "stages mask: paper_interp has no mask; expected --network paper_interp_mask",
        ),
        (
            "--config TOFlow_sr --set learning_rates=1,0,1",
            "learning_rates: expected numbers of 0 or more, and positive",
        ),
        ("--config TOFlow_sr --set learning_rates=1,inf,1", "learning_rates: expected numbers of 0 or more"),
        ("--config TOFlow_sr --set steps=1,-1,1", "steps, learning_rates: expected numbers of 0 or more"),
        ("--config TOFlow_sr --set steps=1,2,x", "--set steps=1,2,x: expected a value like (50000, 50000, 0)"),
        ("--config TOFlow_sr --set learning_rate=1e-4", "did you mean learning_rates?"),
        ("--config TOFlow_sr --set flip=maybe", "--set flip=maybe: expected a value like False"),
        ("--config TOFlow_sr --mode a/b", "--mode 'a/b': expected a name without blanks and slashes"),
    ],
)
def test_wrong_values(capsys, given, part):
    code, out, error = run(capsys, *given.split())
    assert code == 2, error
    assert part in error
    assert len(error.strip().splitlines()) == 1
    assert out == ""


def test_a_mask_is_trained_where_there_is_one():
    config = parse(["--config", "TOFlow_interp_mask"])[1]
    assert config.stages == STAGES
    assert parse(["--is_train", "--config", "TOFlow_interp_mask"])[1] == config


def test_training_begins_with_a_file_that_is_there(tmp_path):
    argv = ["--is_train", "--config", "pytoflow_sr"]
    assert parse([*argv, "--set", "spynet="])[1].spynet == ""
    assert parse([*argv, "--ckpt_abs_name", "x.pth"])[0].ckpt_abs_name == "x.pth"  # it holds a flow network, too
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt/network-sintel-final.pytorch").touch()
    assert parse(argv)[1] == preset("pytoflow_sr")


def test_a_run_is_tested_by_its_name_alone(tmp_path, capsys):
    folder = tmp_path / "logs/TOFlow_IJCV2019/mine"
    (folder / "config").mkdir(parents=True)
    saved = dataclasses.replace(preset("TOFlow_denoise_tiny"), mode="mine", crop=96, milestones=(5, 10))
    (folder / "config/config.txt").write_text(settings.to_json(saved))
    argv = ["--mode", "mine"]
    assert parse(argv)[1] == saved
    assert parse([*argv, "--task", "denoise", "--seed", "3"])[1] == dataclasses.replace(saved, manual_seed=3)
    assert parse([*argv, "--is_train"])[1] == saved
    (folder / "config/config.txt").write_text(settings.to_json(dataclasses.replace(saved, prepared=True)))
    assert parse(argv)[1].prepared
    assert not parse([*argv, "--data", "real_gaussian_25"])[1].prepared  # another set
    again = parse([*argv, "--config", "TOFlow_denoise"])[1]
    assert again == dataclasses.replace(preset("TOFlow_denoise"), mode="mine")
    code, _, error = run(capsys, *argv, "--is_train", "-dl")  # what is deleted is not read
    assert (code, "--mode mine has no saved config" in error) == (2, True)
    code, _, error = run(capsys, *argv, "--task", "interp")
    assert (code, "--task interp does not go with --data vimeo_mixed, which is for denoise" in error) == (2, True)
    (folder / "config/config.txt").write_text('{"old": 1}')
    code, _, error = run(capsys, *argv)
    assert code == 1
    assert "config.txt: not a saved config of this version" in error


def test_without_anything_one_line_tells_what_to_give(tmp_path):
    done = start("toflow", [])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: expected --task, one of interp, denoise, deblock, sr, or --config, or --mode of an earlier run\n"
    )


def test_without_weights_one_line_tells_what_to_do(tmp_path):
    done = start("toflow", ["--task", "deblock", "--export", "onnx", "--output", str(tmp_path / "x.onnx")])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no weights: name a file with --ckpt_abs_name, or train (--is_train)\n"
    assert not (tmp_path / "x.onnx").exists()
