"""QPWCNet's command line: which run, which task, which settings; what contradicts itself."""

import pytest

from common import cli, settings
from qpwcnet import run
from qpwcnet.config import PRESETS, Config, parse


def saved(root, number, name):
    """A run folder with the settings of a preset, and nothing else."""
    folder = root / "QPWCNet/run" / number / "config"
    folder.mkdir(parents=True)
    config = PRESETS[name].__class__(**vars(PRESETS[name]) | {"config": name, "mode": number})
    (folder / "config.txt").write_text(settings.to_json(config))


def chosen(tmp_path, *argv) -> Config:
    return parse([*argv, "--log_root", str(tmp_path)])[1]


def test_testing_takes_the_newest_run_or_that_of_a_preset(tmp_path):
    for number, name in (("000", "pre_train_tiny"), ("002", "flow_tiny"), ("010", "flow_tiny_fine")):
        saved(tmp_path, number, name)
    assert chosen(tmp_path).mode == "010"
    assert chosen(tmp_path, "--config", "flow_tiny").mode == "002"
    assert chosen(tmp_path, "--mode", "000").filters == PRESETS["pre_train_tiny"].filters
    assert chosen(tmp_path, "--is_train", "--config", "flow").mode == ""  # a new number, when it starts
    assert chosen(tmp_path, "--is_train", "--config", "flow_tiny", "-r", "auto").mode == "002"
    assert chosen(tmp_path, "--is_train", "--config", "flow", "-r", "auto").mode == ""


def test_a_file_or_a_baseline_takes_no_run(tmp_path):
    saved(tmp_path, "000", "pre_train_tiny")
    for more in (("--ckpt_abs_name", "pwc_net.pth.tar"), ("--baseline",)):
        config = chosen(tmp_path, "--data", "kitti15", *more)
        assert (config.mode, config.task, config.data) == ("", "flow", "kitti15")


@pytest.mark.parametrize(
    ("argv", "task"),
    [
        (("--input", "a.mp4", "--output", "b.mp4"), "flow"),
        (("--input", "a.mp4", "--output", "b.mp4", "--multi", "2"), "interp"),
        (("--data", "vimeo90k"), "interp"),
        (("--data", "chairs"), "flow"),
        (("--task", "flow"), "flow"),
        ((), "interp"),
    ],
)
def test_the_task_is_what_the_flags_ask_for(tmp_path, argv, task):
    saved(tmp_path, "000", "pre_train_tiny")
    config = chosen(tmp_path, *argv)
    assert config.task == task
    assert config.mode == "000"


def test_every_preset_is_sound(tmp_path):
    for name in PRESETS:
        config = chosen(tmp_path, "--is_train", "--config", name)
        assert config.config == name
        assert config.start_from in ("", *PRESETS)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("--is_train",), "--is_train: expected --config, one of pre_train"),
        (("--mode", "nowhere"), "--mode nowhere has no saved config"),
        (("--config", "flow", "--is_train", "--input", "x", "--flo", "y"), "--is_train and --input do not go together"),
        (("--config", "flow", "--input", "x"), "--input needs --output, --flo, or both"),
        (("--config", "flow", "--output", "x"), "--output goes with --input and with --export"),
        (("--config", "flow", "--export", "int8", "--output", "x.onnx"), "--export int8 needs --calibrate DIR"),
        (("--config", "flow", "--calibrate", "x"), "--calibrate goes with --export"),
        (("--config", "pre_train", "--input", "x", "--output", "y", "--task", "interp"), "needs --multi 2, 4 or 8"),
        (
            ("--config", "flow", "--input", "x", "--output", "y", "--multi", "2", "--arrows"),
            "--arrows does not go with",
        ),
        (("--config", "flow", "--input", "x", "--output", "y", "--task", "flow", "--slow"), "--slow does not go with"),
        (("--config", "flow", "--arrows"), "--arrows goes with --input"),
        (("--config", "flow", "--is_train", "--baseline"), "--baseline has no network"),
        (("--config", "flow", "--export", "onnx", "--output", "x", "--export_size", "big"), "expected WxH"),
        (("--config", "flow", "--set", "filters=1,2"), "filters (1, 2): expected 5 positive numbers"),
        (("--config", "flow", "--set", "scale_size=4"), "scale_size (4,): expected height,width"),
        (("--config", "nothing"), "--config nothing: expected one of pre_train"),
        (("--confg", "flow"), "unknown argument --confg; did you mean --config?"),
        (("--config", "flow", "--baseline", "--input", "x", "--output", "y"), "it goes with testing, not with --input"),
        (("--config", "flow", "--input", "x", "--flo", "y", "--fps", "24"), "--fps goes with --output"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, capsys, argv, line):
    assert cli.run(run.main, [*argv, "--log_root", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert line in message
    assert len(message.strip().splitlines()) == 1
