"""Textures with the statistics of photographs."""

import numpy as np

from common.sets.synthetic_scene import Scene


def spectrum_slope(gray):
    size = min(gray.shape)
    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.abs(np.fft.fftshift(np.fft.fft2((gray[:size, :size] - gray[:size, :size].mean()) * window))) ** 2
    radius = np.hypot(*(np.indices((size, size)) - size // 2)).astype(int)
    mean = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
    band = slice(4, size // 3)
    return np.polyfit(np.log(np.arange(len(mean))[band]), np.log(mean[band]), 1)[0]


def test_statistics_are_those_of_photographs():
    """Bounds around real frames (Middlebury, Vid4, DAVIS): slope -2.6, mean 0.43, contrast 0.20, median step 3."""
    frames = np.stack([Scene(seed, 128, 160).render(0) for seed in range(100, 116)])
    gray = frames @ np.array([0.299, 0.587, 0.114], np.float32)
    steps = np.abs(np.diff(gray, axis=2)) * 255
    assert -3.4 < np.mean([spectrum_slope(image) for image in gray]) < -2.2
    assert 0.3 < gray.mean() < 0.6
    assert 0.12 < gray.std((1, 2)).mean() < 0.28
    assert 1 < np.median(steps) < 6
    assert 25 < np.percentile(steps, 99) < 90  # edges, but not harsh ones
    assert 0.04 < np.ptp(frames, axis=-1).mean() < 0.25  # saturation
    assert (frames > 0.996).mean() < 0.08
