"""The user's own clip through TDAN: ends, parts, sizes, times, and what is refused."""

import os
import signal
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.degrade.matlab_imresize import imresize
from common.media.image import list_frames
from common.media.video_reader import open_clip
from tdan import run
from tdan.model import TDAN
from tests.helpers.clips import (
    NTSC,
    pictures,
    read_folder,
    sound_of,
    times_of,
    write_folder,
    write_video,
    write_with_sound,
)
from tests.helpers.runs import start
from tests.helpers.tdan_windows import by_hand, clip, images, network, precise, same, streamed


def close(first, second):
    return all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of weights, by their scale."""
    files = {scale: tmp_path_factory.mktemp("weights") / f"x{scale}.pth" for scale in (2, 4)}
    for scale, file in files.items():
        checkpoint_file.save(network(scale).state_dict(), file)
    return files


@pytest.fixture
def command(tmp_path, weights):
    """The arguments for files of `tmp_path`."""

    def make(source, target, *more):
        argv = ["--config", "TDAN_tiny_bi", "--device", "cpu", "--log_root", str(tmp_path)]
        argv += [f"--set={field}" for field in ("channels=8", "blocks_before=1", "blocks_after=1")]
        argv += ["--ckpt_abs_name", str(weights[2 if "scale=2" in more else 4])] if "--baseline" not in more else []
        return [*argv, "--input", str(tmp_path / source), "--output", str(tmp_path / target), *more]

    return make


@pytest.fixture
def larger(command):
    """Runs the command; returns the exit code."""
    return lambda *arguments: cli.run(run.main, command(*arguments))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 15), (3, 3), (13, 5)])
def test_odd_and_tiny_sizes(size):
    made, frames = precise(), clip(3, *size)
    for parts in ({}, {"tile": 1 + max(size) // 2}, {"chop": True}, {"flips": True}):
        results = streamed(made, frames, **parts)
        assert {tuple(result.shape) for result in results} == {(3, 4 * size[0], 4 * size[1])}
        assert same(results, by_hand(made, frames, **parts))


@pytest.mark.parametrize("flags", [[], ["--padding", "tdan_eval"], ["--chop"], ["--flips", "--tile", "9"]], ids=str)
def test_folder_to_folder(tmp_path, larger, capsys, flags):
    frames = pictures(3, 6, 13)
    write_folder(tmp_path / "in", frames)
    assert larger("in", "out", *flags) == 0
    assert capsys.readouterr() == (f"3 frames -> {tmp_path / 'out'}\n", "")
    assert [path.name for path in list_frames(tmp_path / "out")] == [f"shot_{n}.png" for n in range(3)]
    parts = {"tile": 9 * ("--tile" in flags), "chop": "--chop" in flags, "flips": "--flips" in flags}
    low = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    padding = "tdan_eval" if "tdan_eval" in flags else "reflection"
    assert close(read_folder(tmp_path / "out"), images(by_hand(network(), low, padding, **parts)))


def test_a_pattern_twofold_and_a_video_from_images(tmp_path, larger):
    write_folder(tmp_path / "in", pictures(4, 9, 12))
    assert larger("in/shot_[0-2].png", "out.mp4", "--set", "scale=2", "--fps", "30000/1001") == 0
    assert open_clip(tmp_path / "out.mp4").size == (18, 24)
    assert times_of(tmp_path / "out.mp4") == [n * Fraction(1001, 30000) for n in range(3)]


def test_video_keeps_rate_times_and_sound(tmp_path, larger):
    write_with_sound(tmp_path / "sound.mp4", seconds=0.3)
    assert larger("sound.mp4", "sound_out.mp4", "--baseline") == 0
    assert sound_of(tmp_path / "sound_out.mp4") == sound_of(tmp_path / "sound.mp4")
    assert open_clip(tmp_path / "sound_out.mp4").size == (192, 256)
    base = open_clip(write_video(tmp_path / "base.mp4", pictures(2), frame_rate=25))
    times = [Fraction(tick, 600) for tick in (0, 20, 50, 60, 100)]
    write_video(tmp_path / "in.mp4", pictures(5, 12, 16), times, frame_rate=24, like=base)
    assert larger("in.mp4", "out.mp4") == 0
    assert times_of(tmp_path / "out.mp4") == times
    assert open_clip(tmp_path / "out.mp4").frame_rate == open_clip(tmp_path / "in.mp4").frame_rate


def test_baseline_is_bicubic_and_needs_no_length(tmp_path, larger, capsys):
    frames = pictures(1, 7, 9)
    write_folder(tmp_path / "in", frames)
    assert larger("in", "out", "--baseline") == 0
    assert np.array_equal(read_folder(tmp_path / "out")[0], imresize(frames[0], scale=4))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_clip(tmp_path, larger, capsys, length):
    frames = pictures(length, 8, 9)
    write_folder(tmp_path / "in", frames)
    for padding in ("reflection", "circle"):
        assert larger("in", "none", "--padding", padding) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --padding {padding} for {tmp_path / 'in'}: a clip of {length} frames is too")
        assert error.endswith(": use 'replicate'\n")
        assert error.count("\n") == 1
    assert not (tmp_path / "none").exists()
    assert larger("in", "out") == 0
    error = capsys.readouterr().err
    assert error == f"{tmp_path / 'in'}: {length} frame(s) are too few for --padding reflection: using replicate\n"
    assert larger("in", "asked", "--padding", "replicate") == 0
    assert capsys.readouterr().err == ""
    low = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    result = read_folder(tmp_path / "out")
    assert close(result, images(by_hand(network(), low, "replicate")))
    assert all(np.array_equal(a, b) for a, b in zip(result, read_folder(tmp_path / "asked"), strict=True))


def test_the_command_line(tmp_path, command):
    write_folder(tmp_path / "in", pictures(3, 8, 12))
    done = start("tdan", command("in", "out", "--amp", "bf16"))
    assert (done.returncode, done.stdout) == (0, f"3 frames -> {tmp_path / 'out'}\n"), done.stderr
    assert [image.shape for image in read_folder(tmp_path / "out")] == [(32, 48, 3)] * 3


def test_compile_reaches_what_runs(tmp_path, larger, monkeypatch):
    called = []

    def compiled(function, **_):
        return lambda *arguments: [called.append(function.__name__), function(*arguments)][1]

    monkeypatch.setattr(torch, "compile", compiled)
    write_folder(tmp_path / "in", pictures(3, 4, 5))
    assert larger("in", "out", "--compile") == 0
    assert (called.count("extract"), called.count("fuse_window")) == (3, 3)


# What goes wrong


def test_refusals_in_one_line(tmp_path, larger, capsys):
    write_folder(tmp_path / "in", pictures(3, 8, 12))
    write_video(tmp_path / "in.mp4", pictures(3, 16, 24))
    (tmp_path / "there.mp4").write_bytes(b"mine")
    for source, target, flags, code, line in (
        ("in", "out.mp4", [], 1, "frame rate"),
        ("nothing", "out", [], 1, "does not exist"),
        ("in.mp4", "out.mp4", ["--fps", "60"], 2, "keeps its own frame rate"),
        ("in", "there.mp4", [], 1, "exists"),
        ("in", "out", ["--chop", "--tile", "8"], 2, "give one of them"),
        ("in", "out", ["--ckpt_abs_name", "nothing.pth"], 1, "nothing.pth"),
        ("in", "in", ["--overwrite"], 1, "is the input"),
    ):
        assert larger(source, target, *flags) == code, line
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
        assert (tmp_path / target).exists() == (target in ("there.mp4", "in"))
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"
    assert len(read_folder(tmp_path / "in")) == 3
    assert larger("in", "there.mp4", "--overwrite", "--fps", "25") == 0
    assert open_clip(tmp_path / "there.mp4").size == (32, 48)


def test_a_broken_frame_leaves_what_was_done(tmp_path, larger, capsys):
    write_folder(tmp_path / "in", pictures(7, 8, 9))
    broken = tmp_path / "in/shot_6.png"
    broken.write_bytes(broken.read_bytes()[:80])
    assert larger("in", "out") == 1
    assert "shot_6.png" in capsys.readouterr().err
    assert len(list_frames(tmp_path / "out")) == 4


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_signal_leaves_a_playable_file(tmp_path, larger, capsys, monkeypatch):
    write_video(tmp_path / "in.mp4", pictures(9, 8, 12))
    called = []
    original = TDAN.fuse_window

    def fuse_window(self, *arguments):
        called.append(1)
        if len(called) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    monkeypatch.setattr(TDAN, "fuse_window", fuse_window)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert larger("in.mp4", "out.mp4") == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "interrupted\n"
    assert times_of(tmp_path / "out.mp4") == [n / NTSC for n in range(4)]
    assert not (tmp_path / "out.part.mp4").exists()
