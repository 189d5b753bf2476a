"""PSNR, SSIM, interpolation and flow errors: definitions written out with loops, edge cases, real rows."""

import itertools

import numpy as np
import pytest

from common.media.image import read_image
from common.scoring.metrics import (
    end_point_error,
    flow_metrics_dense,
    flow_metrics_kitti,
    flow_metrics_per_image,
    interpolation_error,
    psnr,
    ssim,
)


def pair(shape=(15, 14, 3), seed=0):
    draw = np.random.default_rng(seed)
    a = draw.random(shape)
    return a, np.clip(a + draw.normal(0, 0.1, shape), 0, 1)


def window(kind):
    """Weights over rows, columns, channels."""
    if kind == "uniform7":
        return np.full((7, 7, 1), 1 / 49)
    tap = np.array([np.exp(-((i - 5) ** 2) / 4.5) for i in range(11)])
    tap /= tap.sum()
    plane = tap[:, None, None] * tap[None, :, None]
    return plane * tap[None, None, :] if kind == "volume" else plane


def slow_ssim(a, b, kind, peak):
    weights = window(kind)
    reach = [size // 2 for size in weights.shape]
    if kind in ("volume", "same-replicate", "same-zero"):
        border = [(r, r) for r in reach]
        a, b = (np.pad(x, border, mode="constant" if kind == "same-zero" else "edge") for x in (a, b))
    values = []
    for start in itertools.product(*(range(n - w + 1) for n, w in zip(a.shape, weights.shape, strict=True))):
        here = tuple(slice(s, s + w) for s, w in zip(start, weights.shape, strict=True))
        x, y = a[here], b[here]
        mx, my = (weights * x).sum(), (weights * y).sum()
        correct = 49 / 48 if kind == "uniform7" else 1
        vx, vy = correct * (weights * (x - mx) ** 2).sum(), correct * (weights * (y - my) ** 2).sum()
        cov = correct * (weights * (x - mx) * (y - my)).sum()
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


KINDS = ("wang", "volume", "uniform7", "same-replicate", "same-zero")


@pytest.mark.parametrize("kind", KINDS)
def test_ssim_equals_the_definition(kind):
    a, b = pair()
    assert ssim(a, b, kind=kind, peak=1) == pytest.approx(slow_ssim(a, b, kind, 1), abs=1e-12)
    levels = [np.round(x * 255).astype(np.uint8) for x in (a, b)]
    expected = slow_ssim(*(x.astype(float) for x in levels), kind, 255)
    assert ssim(*levels, kind=kind, peak=255) == pytest.approx(expected, abs=1e-12)
    assert ssim(levels[0] / 255, levels[1] / 255, kind=kind, peak=1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ssim_edge_cases(kind):
    a, b = pair()
    assert ssim(a, a, kind=kind, peak=1) == pytest.approx(1, abs=1e-12)
    assert ssim(a, b, kind=kind, peak=1) == pytest.approx(ssim(b, a, kind=kind, peak=1), abs=1e-14)
    assert ssim(a[..., 0], b[..., 0], kind=kind, peak=1) == ssim(a[..., :1], b[..., :1], kind=kind, peak=1)
    black, white = np.zeros((12, 12), np.uint8), np.full((12, 12), 255, np.uint8)
    assert 0 < ssim(black, white, kind=kind, peak=255) < 0.1
    smallest = 7 if kind == "uniform7" else 11
    ssim(a[:smallest, :smallest], b[:smallest, :smallest], kind=kind, peak=1)
    with pytest.raises(ValueError, match=f"at least {smallest} x {smallest}"):
        ssim(a[: smallest - 1], b[: smallest - 1], kind=kind, peak=1)
    with pytest.raises(ValueError, match="different shapes"):
        ssim(a, b[1:], kind=kind, peak=1)


def test_unknown_ssim():
    with pytest.raises(ValueError, match="wang"):
        ssim(*pair(), kind="gauss", peak=1)


def test_psnr():
    a, b = pair()
    assert psnr(a, b, peak=1) == pytest.approx(10 * np.log10(1 / np.mean((a - b) ** 2)))
    levels = np.full((4, 4, 3), 7, np.uint8)
    assert psnr(levels, levels + np.uint8(1), peak=255) == pytest.approx(20 * np.log10(255))
    assert psnr(levels, levels - np.uint8(1), peak=255) == pytest.approx(20 * np.log10(255))  # uint8 must not wrap
    assert psnr(a, a, peak=1) == float("inf")
    with pytest.raises(ValueError, match="different shapes"):
        psnr(a, b[..., 0], peak=1)
    with pytest.raises(ValueError, match="non-empty"):
        psnr(a[:0], b[:0], peak=1)


def test_interpolation_error():
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    a[0, 0, 0], b[1, 1, 1] = 12, 24
    assert interpolation_error(a, b) == 3


MIDDLEBURY_AVERAGE = {  # (a + b) / 2: PSNR, SSIM "volume", IE; then rounded to levels: PSNR, SSIM "wang"
    "Beanbags": (26.6378, 0.9548, 3.9557, 26.6347, 0.9067),
    "DogDance": (28.4093, 0.9285, 4.5028, 28.4043, 0.8908),
    "Grove2": (23.2791, 0.7095, 10.9583, 23.2776, 0.5435),
    "RubberWhale": (38.6980, 0.9926, 1.7613, 38.6369, 0.9647),
    "Urban2": (26.6775, 0.7316, 6.2256, 26.6737, 0.7176),
    "Venus": (25.0705, 0.9209, 7.4250, 25.0679, 0.7212),
}


@pytest.mark.parametrize("scene", MIDDLEBURY_AVERAGE)
def test_middlebury_averaging_rows(real_data, scene):
    folder = real_data / "Middlebury_other" / scene
    first, second, truth = (read_image(folder / f"{name}.png") for name in ("frame10", "frame11", "frame10i11"))
    average = (first / 255 + second / 255) / 2
    levels = np.round((first.astype(float) + second) / 2)  # halves to even, as the papers' code
    row = (
        psnr(average, truth / 255, peak=1),
        ssim(average, truth / 255, kind="volume", peak=1),
        interpolation_error(levels, truth),
        psnr(levels, truth, peak=255),
        ssim(levels, truth, kind="wang", peak=255),
    )
    assert np.allclose(row, MIDDLEBURY_AVERAGE[scene], rtol=0, atol=6e-5)


def test_flow_metrics_by_hand():
    truth = np.zeros((1, 4, 2))
    truth[..., 0] = 100
    prediction = truth + np.array([[0, 0], [1.2, 1.6], [0, 4], [0, 6]])  # errors 0, 2, 4, 6; 5 % of the length is 5
    assert np.allclose(end_point_error(prediction, truth), [[0, 2, 4, 6]])
    dense = flow_metrics_dense([(prediction, truth)])
    assert dense == pytest.approx({"epe": 3, "px1": 0.25, "px3": 0.5, "px5": 0.75})
    valid = np.array([[1, 0, 1, 1]])
    assert flow_metrics_kitti([(prediction, truth, valid)]) == pytest.approx({"epe": 10 / 3, "fl_all": 100 / 3})
    row = flow_metrics_per_image([(prediction, truth, valid)])
    assert row["epe"] == pytest.approx(10 / 3)
    assert row["fl_all"] == pytest.approx(100 / 3)
    weights = [1 - (i - 1) / 100 for i in range(1, 101)]
    counts = [sum(e <= i / 20 for e in (0, 4, 6)) / 3 for i in range(1, 101)]
    expected = 100 * sum(w * c for w, c in zip(weights, counts, strict=True)) / sum(weights)
    assert row["wauc"] == pytest.approx(expected)


def test_flow_metrics_pool_or_average():
    """RAFT pools KITTI's outliers over all valid pixels, ptlflow averages each image's share."""
    truth = np.zeros((1, 4, 2))
    good, bad = (truth, truth, np.ones((1, 4))), (truth + 10, truth, np.array([[1, 0, 0, 0]]))
    assert flow_metrics_kitti([good, bad])["fl_all"] == pytest.approx(20)
    assert flow_metrics_per_image([good, bad])["fl_all"] == pytest.approx(50)
    still = (truth + 3, truth, np.ones((1, 4)))  # no true motion: any error above 3 pixels is an outlier
    assert flow_metrics_kitti([still])["fl_all"] == 100
    with pytest.raises(ValueError, match="valid pixel"):
        flow_metrics_kitti([(truth, truth, np.zeros((1, 4)))])
    with pytest.raises(ValueError, match="empty"):
        flow_metrics_dense([])
    with pytest.raises(ValueError, match="HxWx2"):
        end_point_error(truth, truth[:, :3])
