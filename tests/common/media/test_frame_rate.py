"""Frames put between the frames of a user's clip: how many, which, when, and what happens between two shots."""

import argparse
import os
import weakref
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
import torch

from common import cli
from common.media.frame_rate import Timing, between, check_halves, halves, open_retimed, retimed, write_retimed
from common.media.own_video import each_input
from common.media.video_reader import open_clip
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

HALF = Fraction(1, 2)


def blend(first, second, times):
    return (torch.lerp(first, second, float(t)) for t in times)


@pytest.fixture
def interpolate(tmp_path):
    """Blends files of `tmp_path` as the flags tell; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--multi", type=int)
    cli.add_video_arguments(parser)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--scene", type=float, default=0.5)

    def main(argv):
        options = parser.parse_args(argv)
        return each_input(lambda one: write_retimed(*open_retimed(one), blend, one, "cpu"), options)

    def call(source, target, *more):
        return cli.run(main, ["--input", str(tmp_path / source), "--output", str(tmp_path / target), *more])

    return call


# Frames, rates and times of files


@pytest.mark.parametrize("multi", [2, 3, 8])
def test_multi_multiplies_the_rate_exactly(tmp_path, interpolate, multi):
    write_video(tmp_path / "in.mp4", pictures())
    assert interpolate("in.mp4", "out.mp4", "--multi", str(multi)) == 0
    clip = open_clip(tmp_path / "out.mp4")
    assert (clip.frame_rate, clip.size) == (multi * NTSC, (50, 70))
    assert times_of(tmp_path / "out.mp4") == [n / (multi * NTSC) for n in range(4 * multi + 1)]


def test_variable_times_are_kept_and_their_gaps_divided(tmp_path, interpolate):
    times = [Fraction(tick, 600) for tick in (0, 20, 50, 60, 100)]
    base = open_clip(write_video(tmp_path / "base.mp4", pictures(2), frame_rate=25))
    write_video(tmp_path / "in.mp4", pictures(), times, frame_rate=24, like=base)
    assert times_of(tmp_path / "in.mp4") == times
    assert interpolate("in.mp4", "out.mp4", "--multi", "4") == 0
    expected = [a + (b - a) * part / 4 for a, b in pairwise(times) for part in range(4)] + times[-1:]
    assert times_of(tmp_path / "out.mp4") == expected
    assert interpolate("in.mp4", "slow.mp4", "--multi", "4", "--slow") == 0
    assert times_of(tmp_path / "slow.mp4") == [4 * time for time in expected]
    assert interpolate("in.mp4", "even.mp4", "--fps", "60") == 0
    assert times_of(tmp_path / "even.mp4") == [Fraction(n, 60) for n in range(11)]


@pytest.mark.parametrize(("fps", "count"), [("60000/1001", 21), ("10", 4), ("24000/1001", 9), ("50", 17)])
def test_fps_up_down_and_the_same(tmp_path, interpolate, fps, count):
    frames = pictures(9)
    write_video(tmp_path / "in.mp4", frames)
    assert interpolate("in.mp4", "out", "--fps", fps) == 0
    assert interpolate("in.mp4", "out.mp4", "--fps", fps) == 0
    assert open_clip(tmp_path / "out.mp4").frame_rate == Fraction(fps)
    assert times_of(tmp_path / "out.mp4") == [n / Fraction(fps) for n in range(count)]
    result, source = read_folder(tmp_path / "out"), list(open_clip(tmp_path / "in.mp4"))
    for number, frame in enumerate(result):
        place = number * NTSC / Fraction(fps)
        if place.denominator == 1:
            assert np.array_equal(frame, source[int(place)])


def test_slow_keeps_the_rate_and_drops_the_sound(tmp_path, interpolate, capsys):
    write_with_sound(tmp_path / "in.mp4", seconds=0.4)
    assert interpolate("in.mp4", "out.mp4", "--multi", "4", "--slow") == 0
    assert "lasts 4 times as long, without the sound" in capsys.readouterr().out
    assert open_clip(tmp_path / "out.mp4").frame_rate == 25
    assert times_of(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(37)]
    assert sound_of(tmp_path / "out.mp4") is None
    assert interpolate("in.mp4", "fps.mp4", "--fps", "100", "--slow") == 0
    assert times_of(tmp_path / "fps.mp4") == times_of(tmp_path / "out.mp4")


def test_sound_is_copied(tmp_path, interpolate):
    write_with_sound(tmp_path / "in.mp4", seconds=0.6)
    before = sound_of(tmp_path / "in.mp4")
    for number, flags in enumerate((["--multi", "2"], ["--fps", "60"])):
        assert interpolate("in.mp4", f"{number}.mp4", *flags) == 0
        assert sound_of(tmp_path / f"{number}.mp4") == before


def test_images_to_a_video(tmp_path, interpolate, capsys):
    write_folder(tmp_path / "in", pictures(3))
    assert interpolate("in", "out.mp4", "--multi", "2") == 1
    assert "frame rate" in capsys.readouterr().err
    assert interpolate("in/*.png", "out.mp4", "--multi", "2", "--fps", "48000/1001") == 0
    assert open_clip(tmp_path / "out.mp4").frame_rate == 2 * NTSC
    assert times_of(tmp_path / "out.mp4") == [n / (2 * NTSC) for n in range(5)]


# What lies between two frames


def test_results_are_made_one_at_a_time():
    frames = pictures(200, 16, 16)
    alive = []

    def copies():
        for frame in frames:
            copy = frame.copy()
            alive.append(weakref.ref(copy))
            yield copy, None

    most = 0
    fill = lambda *pair: between(*pair, blend)  # noqa: E731
    for image, _ in retimed(copies(), Timing(Fraction(25), 8, None, False), fill):
        alive.append(weakref.ref(image))
        alive[:] = {id(ref()): ref for ref in alive if ref() is not None}.values()
        most = max(most, len(alive))
    assert 2 <= most <= 4


def test_halves_ask_only_for_what_they_need():
    asked = []
    middle = lambda a, b: [asked.append((a, b)), (a + b) / 2][1]  # noqa: E731
    eighths = [Fraction(n, 8) for n in range(1, 8)]
    assert list(halves(middle, Fraction(0), Fraction(1), eighths)) == eighths
    assert len(asked) == 7
    asked.clear()
    assert list(halves(middle, Fraction(0), Fraction(1), [Fraction(3, 4)])) == [Fraction(3, 4)]
    assert asked == [(0, 1), (HALF, 1)]
    with pytest.raises(ValueError, match="times 1/2, 1/3: expected multiples of 1/2"):
        halves(middle, 0, 1, [HALF, Fraction(1, 3)])


def test_the_times_of_halves_are_checked_before_anything_is_made(tmp_path):
    gap = write_video(tmp_path / "gap.mp4", pictures(3, 16, 16), [0, Fraction(1, 24), Fraction(4, 24)], frame_rate=24)
    for multi, fps, most in ((2, None, 2), (8, None, 8), (None, 24, None), (None, 48, None), (3, None, None)):
        timing = Timing(Fraction(24), multi, fps and Fraction(fps), False)
        if most:
            assert check_halves(timing, open_clip(gap), "It") == most
            continue
        asked = f"--multi {multi}" if multi else f"--fps {fps} of 24 Hz"
        with pytest.raises(cli.UsageError, match=f"It, and {asked} needs other times: expected --multi 2, 4 or 8, too"):
            check_halves(timing, open_clip(gap), "It", ", too")


# Cuts


def test_a_cut_is_not_blended(tmp_path, interpolate, capsys):
    frames = pictures(3, 96, 128, seed=1) + pictures(3, 96, 128, seed=2)
    write_folder(tmp_path / "in", frames)
    assert interpolate("in", "out", "--multi", "4") == 0
    assert "21 frames" in (out := capsys.readouterr().out)
    assert out.endswith(", 1 cut not blended\n")
    result = read_folder(tmp_path / "out")
    assert all(np.array_equal(frame, frames[2]) for frame in result[8:12])
    assert np.array_equal(result[12], frames[3])
    assert not np.array_equal(result[7], frames[1])
    assert interpolate("in", "blended", "--multi", "4", "--scene", "1") == 0
    assert "not blended" not in capsys.readouterr().out
    assert not np.array_equal(read_folder(tmp_path / "blended")[10], frames[2])


@pytest.mark.parametrize("ticks", [[0, 1, 2, 302, 303, 304], [0, 100, 101, 102, 103], [0, 2, 4, 6, 90, 92]])
def test_a_long_still_is_held_and_not_blended(tmp_path, interpolate, ticks):
    frames = [np.full((32, 48, 3), 40 * number, np.uint8) for number in range(len(ticks))]
    times = [Fraction(tick, 30) for tick in ticks]
    write_video(tmp_path / "in.mp4", frames, times, frame_rate=30)
    assert interpolate("in.mp4", "out.mp4", "--multi", "2") == 0
    assert interpolate("in.mp4", "out", "--multi", "2") == 0
    usual = min(b - a for a, b in pairwise(times))
    levels = [round(float(frame.mean()) / 20) for frame in read_folder(tmp_path / "out")]
    middles = [2 * n + (b - a == usual) for n, (a, b) in enumerate(pairwise(times))]
    assert levels[1::2] == middles
    assert levels[::2] == [2 * n for n in range(len(ticks))]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert Fraction(container.duration, av.time_base) == pytest.approx(times[-1] + usual / 2, abs=1e-3)


# What goes wrong


def test_refusals_in_one_line(tmp_path, interpolate, capsys):
    write_folder(tmp_path / "in", pictures(2))
    write_folder(tmp_path / "single", pictures(1))
    write_video(tmp_path / "in.mp4", pictures(2))
    write_video(tmp_path / "single.mp4", pictures(1))
    write_folder(tmp_path / "unequal", [*pictures(3), pictures(1, 40, 70)[0]])
    (tmp_path / "there.mp4").write_bytes(b"mine")
    for source, target, flags, code, line in (
        ("single", "out", ["--multi", "2"], 1, "one frame: expected at least two"),
        ("single.mp4", "out.mp4", ["--fps", "60"], 1, "one frame: expected at least two"),
        ("in.mp4", "out.mp4", ["--multi", "2", "--fps", "60"], 2, "--fps"),
        ("in", "out", ["--fps", "60"], 2, "expected --multi"),
        ("in", "out", ["--multi", "2", "--slow"], 2, "instead of --slow choose --fps"),
        ("in.mp4", "there.mp4", ["--multi", "2"], 1, "exists"),
        ("unequal", "some", ["--multi", "2"], 1, "shot_3.png is 70x40: expected 70x50"),
    ):
        assert interpolate(source, target, *flags) == code, line
        captured = capsys.readouterr()
        assert line in captured.err
        assert captured.err.count("\n") == 1
        assert (tmp_path / target).exists() == (target in ("there.mp4", "some"))
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_a_broken_frame_leaves_what_was_done(tmp_path, interpolate, capsys):
    write_folder(tmp_path / "in", pictures(6))
    broken = tmp_path / "in/shot_4.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert interpolate("in", "out.mp4", "--multi", "2", "--fps", "50") == 1
    assert "shot_4.png" in capsys.readouterr().err
    assert times_of(tmp_path / "out.mp4") == [Fraction(n, 50) for n in range(6)]  # the fourth was waiting for the fifth
    assert sorted(os.listdir(tmp_path)) == ["in", "out.mp4", "out.mp4.segments"]  # for --resume


def test_sixteen_bits_and_alpha(tmp_path, interpolate):
    a, b = pictures(2)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/0.png"), a[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "in/1.png"), np.dstack([b[..., ::-1], np.full(b.shape[:2], 9, np.uint8)]))
    assert interpolate("in", "out", "--multi", "2") == 0
    result = read_folder(tmp_path / "out")
    assert np.array_equal(result[0], a)
    assert np.array_equal(result[2], b)
