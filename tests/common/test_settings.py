"""Settings: which ones a run takes, and what flags, --set and saved files make of them."""

import argparse
import dataclasses
from dataclasses import dataclass
from functools import partial

import pytest

from common import settings
from common.cli import UsageError


@dataclass(frozen=True)
class Config:
    project: str = "P"
    mode: str = "run"
    config: str = "plain"
    rate: float = 0.5
    sides: tuple[int, ...] = (1, 2)
    shares: tuple[float, ...] = ()
    flip: bool = True


PRESETS = {"plain": Config(), "fast": Config(rate=2.0)}
preset = partial(settings.preset, PRESETS)


def options(tmp_path, **given):
    names = {
        "config": None,
        "mode": "run",
        "is_train": False,
        "input": None,
        "delete_log": False,
        "resume": None,
        "set": [],
    }
    return argparse.Namespace(log_root=tmp_path, project="P", **names | given)


def choose(options, otherwise=""):
    return settings.choose(Config, options, preset, PRESETS, otherwise)


def test_a_preset_is_called_like_its_run():
    assert preset("fast") == Config(rate=2.0, config="fast", mode="fast")
    with pytest.raises(UsageError, match="--config slow: expected one of plain, fast"):
        preset("slow")


def test_named_wins_over_saved_wins_over_the_rest(tmp_path):
    with pytest.raises(UsageError, match="--mode run has no saved config: add --config, one of plain, fast"):
        choose(options(tmp_path))
    assert choose(options(tmp_path), "fast").rate == 2
    folder = tmp_path / "P/run/config"
    folder.mkdir(parents=True)
    (folder / "config.txt").write_text(settings.to_json(Config(rate=7.0, sides=(3,))))
    assert choose(options(tmp_path), "fast") == Config(rate=7.0, sides=(3,))
    assert choose(options(tmp_path, config="fast")).rate == 2
    deleting = {"is_train": True, "delete_log": True}
    assert choose(options(tmp_path, **deleting), "fast").rate == 2
    assert choose(options(tmp_path, **deleting, resume="auto"), "fast").rate == 7


def test_flags_then_assignments_win(tmp_path):
    found = settings.settle(Config(), options(tmp_path, rate=3.0, set=["sides=4,5,6", "flip=false"]))
    assert found == Config(rate=3.0, sides=(4, 5, 6), flip=False, mode="run")
    assert settings.settle(Config(), options(tmp_path, set=["rate=9"])).rate == 9
    assert settings.override(Config(), ["shares=0.5,1e-2"]).shares == (0.5, 0.01)
    assert settings.override(Config(), ["sides="]).sides == ()


@pytest.mark.parametrize(
    ("given", "amp"),
    [
        ({"is_train": True}, "bf16"),
        ({}, "off"),
        ({"amp": "fp16"}, "fp16"),
        ({"input": "a.mp4"}, "auto"),
        ({"input": "a.mp4", "amp": "off"}, "off"),
    ],
)
def test_testing_is_float32_and_own_video_what_the_hardware_has_whatever_training_took(tmp_path, given, amp):
    @dataclasses.dataclass(frozen=True)
    class Trained(Config):
        amp: str = "bf16"

    assert settings.settle(Trained(), options(tmp_path, **given)).amp == amp


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("rate=3", 3.0), ("mode=a=b", "a=b"), ("flip=False", False), ("flip=0", False), ("flip=1", True),
        ("sides=(3,4,5)", (3, 4, 5)), ("sides=[6]", (6,)), ("sides=", ()), ("shares=1,2", (1, 2)),
        ("shares=0.5,1", (0.5, 1.0)), ("shares=1e3", (1000.0,)),
    ],
)  # fmt: skip
def test_a_field_is_read_as_its_type(given, value):
    found = getattr(settings.override(Config(), [given]), given.partition("=")[0])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("rat=1", "expected FIELD=VALUE; did you mean rate?"),
        ("rate", "expected FIELD=VALUE"),
        ("rate=quick", "expected a value like 0.5"),
        ("flip=perhaps", "expected a value like True"),
        ("sides=a", r"expected a value like \(1, 2\)"),
    ],
)
def test_wrong_assignments_are_told(assignment, line):
    with pytest.raises(UsageError, match=line):
        settings.override(Config(), [assignment])


@pytest.mark.parametrize("text", ["", "{", '{"speed": 1}', "[1]", "null"])
def test_a_file_that_is_no_config_is_named(tmp_path, text):
    path = tmp_path / "config.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"config\.txt: not a saved config of this version"):
        settings.read(Config, path)
    path.write_text(settings.to_json(Config(shares=(0.1,))))
    assert settings.read(Config, path) == Config(shares=(0.1,))


@pytest.mark.parametrize("mode", ["", "a b", "a/b", "a\\b", ".hidden", "tab\t"])
def test_names_that_are_no_folder(mode):
    with pytest.raises(UsageError, match="expected a name without blanks and slashes"):
        settings.check_run_name(mode)


def test_values_out_of_range():
    settings.check_values(Config(), {"mode": ("run",)}, {"rate": 0})
    with pytest.raises(UsageError, match="mode run: expected one of a, b"):
        settings.check_values(Config(), {"mode": ("a", "b")}, {})
    with pytest.raises(UsageError, match=r"rate 0\.5: expected 1 or more"):
        settings.check_values(dataclasses.replace(Config()), {}, {"rate": 1})
