"""Evaluation's common parts: frames read ahead, scores by formula, means, and the lines that tell them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.media.color import rgb_to_y
from common.scoring import score_frames
from common.scoring.metrics import ssim
from common.scoring.protocols import InterpolationProtocol, Protocol
from common.scoring.score_frames import Cache, Score
from common.training.distributed import Processes

RGB = Protocol(
    name="rgb", source="a test", space="rgb", prediction="float", mod=1, border=0, first=0, alignment="none",
    ssim="wang", peak=255.0, averaging="frames", metrics=("PSNR", "SSIM", "MAE"),
)  # fmt: skip


def pair(height=20, width=24, seed=0):
    """A prediction that overshoots a little, and a truth of levels."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 256, (height, width, 3), np.uint8)
    return truth / 255 + draw.normal(0, 0.05, truth.shape), truth


def plain_psnr(a, b, peak=255.0):
    return 10 * np.log10(peak**2 / np.mean((a - b) ** 2))


# Frames read ahead


@pytest.mark.parametrize(("count", "processes"), [(0, 1), (1, 3), (7, 2), (8, 3), (100, 7)])
def test_every_sample_belongs_to_one_process_and_neighbours_stay_together(count, processes):
    parts = [score_frames.share(count, Processes(rank, processes, torch.device("cpu"))) for rank in range(processes)]
    assert [number for part in parts for number in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_frames_come_in_order_and_no_more_are_ahead_than_asked():
    read, given = [], []
    with ThreadPoolExecutor(1) as pool:
        for number in score_frames.ahead(pool, lambda n: read.append(n) or n, range(10), 3):
            given.append(number)
            assert len(read) <= len(given) + 3
    assert given == list(range(10))


def test_an_error_comes_in_its_place():
    def read(number):
        if number == 2:
            raise ValueError("frame 2 is broken")
        return number

    with ThreadPoolExecutor(2) as pool:
        frames = score_frames.ahead(pool, read, range(5), 2)
        assert [next(frames), next(frames)] == [0, 1]
        with pytest.raises(ValueError, match="frame 2"):
            next(frames)


def test_a_cache_makes_each_value_once_and_keeps_the_latest():
    made, cache = [], Cache(2)
    for key in "abacbca":
        assert cache.get(key, lambda key=key: made.append(key) or key.upper()) == key.upper()
    assert made == ["a", "b", "c", "b", "a"]


def test_threads_that_want_one_value_wait_for_the_same():
    cache, started, go, made = Cache(1), threading.Event(), threading.Event(), []

    def make():
        started.set()
        assert go.wait(10)
        made.append(1)
        raise ValueError("broken")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", make)
        assert started.wait(10)
        second = pool.submit(cache.get, "a", make)
        go.set()
        for job in (first, second):
            with pytest.raises(ValueError, match="broken"):
                job.result(10)
    assert made == [1]


# Scores


def test_scores_of_floats_are_those_of_plain_formulas():
    prediction, truth = pair()
    values = score_frames.score(RGB, prediction, truth)
    assert list(values) == ["PSNR", "SSIM", "MAE"]
    assert values["PSNR"] == pytest.approx(plain_psnr(255 * prediction, truth))
    assert values["SSIM"] == pytest.approx(ssim(255 * prediction, truth, kind="wang", peak=255))
    assert values["MAE"] == pytest.approx(np.abs(prediction - truth / 255).mean())


def test_rounding_border_space_and_white():
    prediction, truth = pair()
    levels = 255 * prediction
    for kind, shown in (
        ("clamped", levels.clip(0, 255)),
        ("uint8", np.floor(levels + 0.5).clip(0, 255)),
    ):
        found = score_frames.score(replace(RGB, prediction=kind), prediction, truth)["PSNR"]
        assert found == pytest.approx(plain_psnr(shown, truth))
    found = score_frames.score(replace(RGB, border=3), prediction, truth)["PSNR"]
    assert found == pytest.approx(plain_psnr(levels[3:-3, 3:-3], truth[3:-3, 3:-3]))
    found = score_frames.score(replace(RGB, space="y"), prediction, truth)["PSNR"]
    assert found == pytest.approx(plain_psnr(rgb_to_y(prediction), rgb_to_y(truth)))
    white = score_frames.score(replace(RGB, peak=1.0), prediction, truth)
    assert white == pytest.approx(score_frames.score(RGB, prediction, truth))


def test_a_tie_goes_up_whatever_float32_makes_of_it():
    truth = np.zeros((11, 11, 3), np.uint8)
    half = np.full(truth.shape, 0.5 / 255, np.float32)
    for prediction in (half, np.nextafter(half, np.float32(0))):
        assert score_frames.score(replace(RGB, prediction="uint8"), prediction, truth)["MAE"] == pytest.approx(1 / 255)


def test_frames_that_cannot_be_scored():
    prediction, truth = pair()
    with pytest.raises(ValueError, match="NaN values: the network diverged or its checkpoint is damaged"):
        score_frames.score(RGB, np.full(truth.shape, np.nan), truth)
    wide = replace(RGB, border=5)
    assert score_frames.smallest([RGB, wide]) == 21
    with pytest.raises(ValueError, match="a frame of 24x20 pixels: expected 21 or more a side for protocol rgb"):
        score_frames.score(wide, prediction, truth)


def test_scores_between_frames():
    prediction, truth = pair()
    prediction = prediction.clip(0, 1).astype(np.float32)
    protocol = InterpolationProtocol(name="x", source="a test", sets=(), metrics=("PSNR", "SSIM", "IE"))
    values = score_frames.score_between(protocol, prediction, truth)
    assert values["PSNR"] == pytest.approx(plain_psnr(prediction, truth / 255, 1.0), rel=1e-5)
    assert values["IE"] == pytest.approx(np.abs(np.rint(255.0 * prediction) - truth).mean(), abs=1e-3)
    ties = np.full(truth.shape, 2.5 / 255, np.float32)  # half to even
    assert score_frames.score_between(protocol, ties, np.full_like(truth, 2))["IE"] == 0


# Means and lines

SCORES = [
    Score(n, clip, {"PSNR": value, "SSIM": 0.5, "MAE": 0.1})
    for n, (clip, value) in enumerate((("a", 20.0), ("a", 22.0), ("a", 24.0), ("b", 40.0)))
]


def test_means_of_frames_and_of_clips():
    assert score_frames.mean(RGB, SCORES)["PSNR"] == pytest.approx(106 / 4)
    assert score_frames.mean(replace(RGB, averaging="clips"), SCORES)["PSNR"] == pytest.approx((22 + 40) / 2)
    assert score_frames.mean(RGB, [*SCORES, Score(4, "b", SCORES[0].values | {"PSNR": np.inf})])["PSNR"] == np.inf


def test_the_line_of_a_total():
    values = [score.values for score in SCORES] + [{"PSNR": np.inf}]
    line = score_frames.total("net|vid4", "rgb", values, {"PSNR": 26.5, "Fl-all": 3.25})
    assert line == (
        "[TOTAL net|vid4] PSNR: 26.50000 Fl-all: 3.25000 5 frames, protocol rgb, 1 of them equal to the truth"
    )


def test_published_rows_and_how_far_the_means_are_from_them(monkeypatch):
    row = {
        "configuration": "net", "data": "vid4", "protocol": "rgb", "clip": "", "method": "ours", "metric": "PSNR",
        "published": "26.50", "source": "Table 3 of the paper", "checkpoint": "none",
    }  # fmt: skip
    rows = [
        row, row | {"metric": "SSIM", "published": "0.789"}, row | {"clip": "city"}, row | {"method": "theirs"},
        row | {"published": ""}, row | {"data": "spmcs", "source": "this machine"},
    ]  # fmt: skip
    monkeypatch.setattr(score_frames, "read", lambda paper: rows)
    means = {"PSNR": 26.449, "SSIM": 0.7896}
    assert score_frames.published("paper", "net", "vid4", "rgb", means) == (
        "published: PSNR 26.50 SSIM 0.789 (Table 3 of the paper), delta -0.05 / +0.001"
    )
    assert score_frames.published("paper", "net", "spmcs", "rgb", means).startswith("recorded: PSNR 26.50 (this mach")
    assert score_frames.published("paper", "other", "vid4", "rgb", means) == ""
