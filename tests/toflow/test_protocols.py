"""The protocols that score TOFlow: which set has which, and their numbers by formula."""

import numpy as np
import pytest

from common.scoring import score_frames
from common.scoring.metrics import ssim
from common.scoring.score_frames import Score
from toflow import sets
from toflow.classical import classical
from toflow.protocols import PROTOCOLS as TOFLOW


def test_every_set_has_its_protocols():
    names = {data: [name for name, protocol in TOFLOW.items() if data in protocol.sets] for data in sets.SETS}
    assert names["vimeo90k"] == ["toflow", "mmagic"]
    assert names["vid4"] == ["toflow", "mmagic", "basicsr", "basicsr_y"]
    assert {data for protocol in TOFLOW.values() for data in protocol.sets} == set(sets.SETS)
    assert all(values == ["toflow"] for data, values in names.items() if data not in ("vimeo90k", "vid4"))
    assert all(protocol.name == name for name, protocol in TOFLOW.items())


def test_scores_by_formula():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 256, (20, 24, 3), np.uint8)
    out = (truth / 255 + draw.normal(0, 0.1, truth.shape)).astype(np.float32)  # beyond [0, 1] here and there
    found = {name: score_frames.score(protocol, out, truth) for name, protocol in TOFLOW.items()}
    clamped = np.minimum(np.maximum(255 * out.astype(np.float64), 0), 255)
    saved = np.floor(clamped + 0.5)
    weights = np.array([65.481, 128.553, 24.966]) / 255
    luma, truth_luma = saved @ weights + 16, truth @ weights + 16

    def decibel(a, b):
        return 20 * np.log10(255 / np.sqrt(np.mean((a - b) ** 2)))

    expected = {
        "toflow": {
            "PSNR": decibel(saved, truth),
            "SSIM": ssim(saved / 255, truth / 255, kind="volume", peak=1),
            "MAE": np.abs(saved - truth).mean() / 255,
        },
        "mmagic": {
            "PSNR": decibel(clamped, truth),
            "SSIM": np.mean([ssim(clamped[..., c], truth[..., c], kind="wang", peak=255) for c in range(3)]),
            "MAE": np.abs(clamped - truth).mean() / 255,
        },
        "basicsr": {"PSNR": decibel(saved, truth), "SSIM": ssim(saved, truth, kind="wang", peak=255)},
        "basicsr_y": {"PSNR": decibel(luma, truth_luma), "SSIM": ssim(luma, truth_luma, kind="wang", peak=255)},
    }
    assert {name: list(values) for name, values in found.items()} == {n: list(v) for n, v in expected.items()}
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6)


def test_ties_are_rounded_up_whatever_float32_says():
    levels = np.arange(0, 255, dtype=np.uint8).repeat(16 * 3).reshape(-1, 16, 3)
    mean = classical([levels, levels + 1])  # n + 1/2 each
    assert score_frames.score(TOFLOW["toflow"], mean, levels + 1)["PSNR"] == np.inf
    assert score_frames.score(TOFLOW["mmagic"], mean, levels)["MAE"] == pytest.approx(0.5 / 255, abs=1e-7)


def test_a_result_that_is_no_number():
    truth = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="NaN values: the network diverged or its checkpoint is damaged"):
        score_frames.score(TOFLOW["mmagic"], np.full(truth.shape, np.nan, np.float32), truth)


def test_means_of_frames_and_of_clips():
    given = [
        Score(n, clip, {"PSNR": v, "SSIM": 0.5, "MAE": 0.0})
        for n, (clip, v) in enumerate(zip("aab", (10, 20, 60), strict=True))
    ]
    assert score_frames.mean(TOFLOW["toflow"], given) == {"PSNR": 30, "SSIM": 0.5, "MAE": 0.0}
    assert score_frames.mean(TOFLOW["basicsr"], given) == {"PSNR": 37.5, "SSIM": 0.5}
