"""Which weights own video takes: those that flags name, else the published ones if they are here, else the box's."""

import argparse
import json

import pytest

from common import cli
from common.checkpoints import box
from common.checkpoints.choose_weights import choose_weights
from common.checkpoints.published import entries

USUAL = "IFRNet_Vimeo90K"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, and a box with one network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(box, "ROOT", tmp_path)
    listing = tmp_path / "ifrnet/weights/box.json"
    listing.parent.mkdir(parents=True)
    entry = {"file": "Own.safetensors", "config": "IFRNet_free", "task": "", "score": "35 dB", "published": "P.pth"}
    listing.write_text(json.dumps([entry]))
    return tmp_path


def options(**given):
    names = ("mode", "config", "ckpt_name", "ckpt_abs_name", "ckpt_epoch", "input", "weights")
    flags = argparse.Namespace(**dict.fromkeys(names), ckpt_sc=False, is_train=False, log_root="logs", project="P",
        offline=False)  # fmt: skip
    for name, value in given.items():
        setattr(flags, name, value)
    return flags


def chosen(**given):
    found = options(**given)
    choose_weights(found, "ifrnet", USUAL)
    return found.config, found.ckpt_abs_name


def test_own_video_takes_the_box_and_has_a_line_to_say(folder):
    flags = options(input="a.mp4")
    choose_weights(flags, "ifrnet", USUAL)
    assert (flags.config, flags.ckpt_abs_name) == ("IFRNet_free", str(folder / "ifrnet/weights/Own.safetensors"))
    line = "Own, in the box (MIT): 35 dB; for those: python -m common.checkpoints fetch P.pth"
    assert flags.from_the_box == line


def test_published_weights_that_are_here_win(folder):
    file = folder / "ckpt" / next(entry.file for entry in entries("ifrnet") if entry.config == USUAL)
    file.parent.mkdir()
    file.touch()
    assert chosen(input="a.mp4") == (None, None)
    assert chosen(input="a.mp4", weights="free")[0] == "IFRNet_free"


def test_a_run_of_the_usual_name_wins(folder):
    checkpoints = folder / f"logs/P/{USUAL}/checkpoint/train/epoch/checkpoints.txt"
    checkpoints.parent.mkdir(parents=True)
    checkpoints.touch()
    assert chosen(input="a.mp4") == (None, None)


@pytest.mark.parametrize(
    "given",
    [{}, {"is_train": True}, {"input": "a", "mode": "mine"}, {"input": "a", "config": USUAL},
     {"input": "a", "ckpt_epoch": 0}, {"input": "a", "weights": "published"}],
)  # fmt: skip
def test_it_is_not_taken_by_accident(folder, given):
    assert chosen(**given) == (given.get("config"), None)


def test_evaluation_takes_it_when_asked(folder):
    assert chosen(weights="free")[0] == "IFRNet_free"
    assert chosen(weights="mine.pth") == (None, "mine.pth")


def test_a_name_brings_its_file_and_preset(folder):
    assert chosen(input="a.mp4", weights="Own") == ("IFRNet_free", str(folder / "ifrnet/weights/Own.safetensors"))
    assert chosen(input="a.mp4", weights="Own", config="mine")[0] == "mine"
    file = folder / "ckpt/IFRNet_GoPro.pth"
    file.parent.mkdir()
    file.touch()
    assert chosen(weights="IFRNet_GoPro") == ("IFRNet_GoPro", str(file.relative_to(folder)))
    with pytest.raises(ValueError, match=r"IFRNet_L_GoPro.pth: not here, and nothing is fetched"):
        chosen(weights="IFRNet_L_GoPro")


@pytest.mark.parametrize("given", [{"is_train": True}, {"ckpt_abs_name": "x"}, {"ckpt_sc": True}])
def test_flags_that_contradict_are_refused(folder, given):
    with pytest.raises(cli.UsageError, match="--weights goes with testing"):
        chosen(weights="free", **given)


def test_an_empty_box_is_told_where_it_was_asked_for(folder):
    flags = options(weights="free")
    with pytest.raises(cli.UsageError, match="there are none in the box for sr"):
        choose_weights(flags, "ifrnet", USUAL, "sr")
    flags = options(input="a.mp4")
    choose_weights(flags, "ifrnet", USUAL, "sr")
    assert flags.ckpt_abs_name is None
