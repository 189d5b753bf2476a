"""Textures with the statistics of photographs."""

import numpy as np
import pytest

from common.sets.synthetic_scene import Scene
from common.sets.synthetic_textures import (
    CORNERS,
    backdrop,
    colours,
    cut_out,
    dead_leaves,
    one_over_f,
    outlines,
    random_mood,
    surface,
)


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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0, 3.0])
def test_noise_has_the_power_spectrum_that_is_asked_for(rng, slope):
    noise = np.stack([one_over_f(rng, 128, 128, slope) for _ in range(8)])
    assert noise.dtype == np.float32
    assert np.abs(noise.mean((1, 2))).max() < 1e-5
    assert noise.std((1, 2)) == pytest.approx(1, abs=1e-4)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2))
    band = (frequency > 0.03) & (frequency < 0.4)
    fitted = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.1)


def test_stretched_noise_changes_slowly_along_one_direction(rng):
    grain = one_over_f(rng, 128, 128, 2, stretch=6)
    steps = [np.abs(np.diff(grain, axis=axis)).mean() for axis in (0, 1)]
    assert max(steps) > 2 * min(steps)


def test_outlines_close_around_the_origin_and_grow_with_their_radius(rng):
    radius = np.repeat([5.0, 50.0], 200)
    shapes = outlines(rng, radius, stretch=0.5, order=0)
    assert shapes.shape == (400, CORNERS, 2)
    x, y = shapes[..., 0], shapes[..., 1]
    area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1))
    assert area.min() > 0
    assert np.median(area[200:]) == pytest.approx(100 * np.median(area[:200]), rel=0.3)
    angle = np.unwrap(np.arctan2(y, x))  # once around the origin
    assert np.abs(angle[:, -1] - angle[:, 0]).min() > np.pi


def test_leaves_cover_the_plane_and_go_on_over_its_border(rng):
    labels, centre, radius = dead_leaves(rng, 90, 120, 3, 20, layers=2)
    assert labels.shape == (90, 120)
    assert 0 <= labels.min()
    assert labels.max() < len(centre) == len(radius)
    assert (labels == 0).mean() < 0.5  # two layers leave little of what is behind them
    assert 3 <= radius[1:].min() <= radius[1:].max() <= 20
    assert (radius[1:] < 6).mean() > 0.6  # r^-3: small ones are the most
    same = labels == np.roll(labels, 1, 1)
    assert same[:, 0].mean() > 0.5 * same[:, 1:].mean()  # no edge where the columns meet again


def test_colours_are_nearly_gray_and_a_few_vivid(rng):
    rgb = colours(rng, np.ones(20_000), np.zeros(3))
    assert 0.01 <= rgb.min() <= rgb.max() <= 0.99
    chroma = np.ptp(rgb, 1) / rgb.max(1)
    assert np.median(chroma) < 0.2
    assert np.percentile(chroma, 99) > 0.4


def test_objects_are_cut_out_and_backdrops_are_not(rng):
    mood = random_mood(rng)
    for texture in (cut_out(rng, 12, mood), backdrop(rng, 32, 48, mood)):
        assert texture.dtype == np.float32
        assert texture.shape[2] == 4
        assert np.isfinite(texture).all()
        assert texture.min() >= 0
        assert texture[..., 3].max() <= 1 + 1e-6
    thing, behind = cut_out(rng, 12, mood), backdrop(rng, 32, 48, mood)
    alpha = thing[..., 3]
    assert max(alpha[[0, -1]].max(), alpha[:, [0, -1]].max()) < 1e-3
    assert alpha.max() > 0.99
    assert (thing[..., :3] <= alpha[..., None] + 1e-3).all()  # times alpha
    assert (behind[..., 3] == 1).all()
    assert behind.shape[0] >= 1.25 * 2 * 32
    assert behind.shape[1] >= 1.25 * 2 * 48


def test_a_surface_has_no_seam(rng):
    texture = surface(rng, 96, 96, random_mood(rng), 0.8)
    steps = np.abs(texture - np.roll(texture, 1, 1)).mean((0, 2))
    assert steps[0] < 3 * np.median(steps) + 0.01
