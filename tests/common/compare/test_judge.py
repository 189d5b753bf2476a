"""Two clips judged: alignment by time, what is better, constant memory, errors."""

import math

import cv2
import numpy as np
import pytest

from common.compare.judge import METRICS, compare, moments, worst
from common.scoring.metrics import psnr
from tests.helpers.clips import write_video

SIZE = (48, 64)


def scene(count=12):
    """A textured picture that moves by 2 pixels a frame."""
    rng = np.random.default_rng(3)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], SIZE[1] + 2 * count, 3)).astype(np.uint8), (0, 0), 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    return [np.ascontiguousarray(wide[:, 2 * k : 2 * k + SIZE[1]]) for k in range(count)]


def folder(path, frames):
    path.mkdir()
    for k, frame in enumerate(frames):
        cv2.imwrite(str(path / f"{k:03d}.png"), frame[..., ::-1])
    return path


def test_identical_clips(tmp_path):
    clip = folder(tmp_path / "a", scene())
    found = compare(clip, folder(tmp_path / "b", scene()), clip)
    for means in found.means:
        assert means["PSNR"] == math.inf
        assert means["SSIM"] == pytest.approx(1)
        assert means["tOF_l1"] == means["tOF_l2"] == means["flicker"] == 0
    assert (len(found.rows), found.unmatched, found.names) == (12, 0, ("a", "b"))


def test_what_flickers_or_jumps_ranks_below_what_is_blurred(tmp_path):
    """At the same PSNR, by every measure along time."""
    frames = scene()
    blurred = [cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in frames]
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(frames, blurred, strict=True)])
    step = error**0.5
    steps = [step * (-1) ** k for k in range(len(frames))]
    flickering = [np.clip(f + up, 0, 255).round().astype(np.uint8) for f, up in zip(frames, steps, strict=True)]
    order = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]
    shuffled = [frames[k] for k in order]
    truth = folder(tmp_path / "truth", frames)
    made = {"blurred": blurred, "flickering": flickering, "shuffled": shuffled}
    clips = {name: folder(tmp_path / name, clip) for name, clip in made.items()}
    found = compare(clips["blurred"], clips["flickering"], truth)
    soft, flicker = found.means
    assert abs(soft["PSNR"] - flicker["PSNR"]) < 1.5
    for metric in ("Ewarp", "Ewarp_whole", "flicker"):
        assert flicker[metric] > 2 * soft[metric]
    soft, jumps = compare(clips["blurred"], clips["shuffled"], truth).means
    for metric in ("tOF_l1", "tOF_l2", "Ewarp_whole"):
        assert jumps[metric] > 2 * soft[metric]


def test_scores_are_those_of_the_frames_and_the_worst_come_first(tmp_path):
    frames = scene(5)
    noisy = [frame if k != 3 else 255 - frame for k, frame in enumerate(frames)]
    found = compare(folder(tmp_path / "a", frames), folder(tmp_path / "b", noisy))
    assert found.names == ("b",)
    values = [row.values[0]["PSNR"] for row in found.rows]
    assert values[3] == pytest.approx(psnr(frames[3], noisy[3], peak=255))
    assert worst(found, 0, 2)[0].number == 3
    assert set(found.rows[0].values[0]) == set(METRICS)
    assert math.isnan(found.rows[0].values[0]["Ewarp"])


def test_clips_of_two_rates_meet_where_their_times_agree(tmp_path):
    frames = scene(12)
    slow = write_video(tmp_path / "slow.mkv", frames[::2], frame_rate=15)
    fast = write_video(tmp_path / "fast.mkv", frames, frame_rate=30)
    assert [number for number, _, _ in moments([slow, fast])] == list(range(6))
    found = compare(slow, fast)
    assert (len(found.rows), found.unmatched) == (6, 0)
    assert found.means[0]["PSNR"] > 30
    assert compare(fast, slow).unmatched == 6


def test_errors(tmp_path):
    small = folder(tmp_path / "small", [frame[:40] for frame in scene(2)])
    clip = folder(tmp_path / "clip", scene(2))
    with pytest.raises(ValueError, match=r"small is 64x40, .*clip 64x48: expected one size"):
        compare(clip, small)
    with pytest.raises(ValueError, match="flow best: expected one of dis, farneback, or a function"):
        compare(clip, clip, flow="best")
    assert compare(clip, clip, flow=lambda a, b: np.zeros((*SIZE, 2), np.float32)).flow == "its own"
