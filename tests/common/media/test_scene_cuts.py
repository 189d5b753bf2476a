"""Cuts told from motion, light and noise."""

import argparse
from itertools import pairwise

import cv2
import numpy as np
import pytest

from common.cli import UsageError
from common.media.image import list_frames, read_image, to_uint8
from common.media.scene_cuts import THRESHOLD, add_argument, change, check_argument, is_cut
from common.media.video_reader import open_clip
from common.sets.synthetic_scene import Scene


def test_motion_light_and_noise_are_no_cuts():
    for seed in range(2):
        scene = Scene(seed, 192, 320, pace=2)  # twice as fast as ordinary video
        frames = [to_uint8(scene.render(float(t))) for t in range(4)]
        assert max(change(*pair) for pair in pairwise(frames)) < 0.4
        other = to_uint8(Scene(seed + 10, 192, 320).render(0.0))
        assert change(frames[3], other) > 0.7
        assert change(frames[0], frames[0] // 2) < 0.1  # a fade
        noise = np.random.default_rng(seed).normal(0, 10, (2, *frames[0].shape))
        assert change(*np.clip(frames[0] + noise, 0, 255).astype(np.uint8)) < 0.2
        black = np.zeros_like(other)
        assert min(change(black, other), change(other, black)) > 0.9
        assert change(black, black) == 0


def test_cuts_of_real_clips(real_data):
    clip = list(open_clip(real_data / "video/car-turn.mp4"))
    assert max(change(*pair) for pair in pairwise(clip)) < 0.3
    assert max(change(*pair) for pair in zip(clip[:-4], clip[4:], strict=True)) < 0.4
    pan = [np.ascontiguousarray(clip[0][:, start : start + 400]) for start in (0, 40)]
    assert change(*pan) < 0.4
    firsts = [clip[0]] + [read_image(list_frames(folder)[0]) for folder in sorted((real_data / "Vid4/GT").iterdir())]
    shots = [cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA) for frame in firsts]
    assert min(change(*pair) for pair in pairwise(shots)) > 0.7


def test_small_and_narrow_pictures_are_compared_too():
    for height, width in ((1, 1), (2, 400), (300, 3)):
        noise = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        assert change(noise[0], noise[0]) < 0.05
        assert 0 <= change(*noise) <= 1


def test_a_threshold_decides_and_at_one_nothing_is_a_cut():
    first, second = (to_uint8(Scene(seed, 96, 128).render(0.0)) for seed in (1, 2))
    assert is_cut(first, second)
    assert not is_cut(first, first)
    assert not is_cut(first, second, 1.0)
    assert is_cut(first, second, change(first, second))
    assert not is_cut(first, second, min(1.0, change(first, second) + 1e-3))


@pytest.mark.parametrize(("given", "goes"), [("0.3", True), ("1", True), ("0", False), ("1.5", False), ("-1", False)])
def test_the_flag_is_a_share(given, goes):
    parser = argparse.ArgumentParser()
    add_argument(parser)
    assert parser.parse_args([]).scene == THRESHOLD
    options = parser.parse_args([f"--scene={given}"])
    if goes:
        check_argument(options)
    else:
        with pytest.raises(UsageError, match=f"^--scene {given}: expected a share from 0 to 1$"):
            check_argument(options)
