"""Degradations by name, against formulas of their own."""

import numpy as np
import pytest

from common.degrade.by_name import CLIPWISE, DEGRADATIONS, DRAWN, NOISE, clip_rng, degrade
from common.degrade.codecs import h264, jpeg, jpeg2000
from common.degrade.matlab_imresize import imresize
from tests.helpers.pictures import picture

GREY = np.full((200, 300, 3), 128, np.uint8)


def one(frame, name, seed=0, clip="00001/0001"):
    return degrade([frame], name, clip_rng(seed, clip))[0]


@pytest.fixture(scope="module")
def noisy():
    return {name: one(GREY, name) for name in NOISE}


# Noise


def test_gaussian_noise_has_its_spread_in_every_channel_by_itself(noisy):
    noise = noisy["gaussian"].astype(float) - 128
    assert np.abs(noise.mean((0, 1))).max() < 0.5
    assert noise.std((0, 1)) == pytest.approx(np.sqrt(25.5**2 + 1 / 12), rel=0.01)  # rounded to levels
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_a_tenth_of_the_pixels_gets_a_random_colour(noisy):
    hit = (noisy["salt_pepper"] != GREY).any(2)
    assert hit.mean() == pytest.approx(0.1, abs=0.005)
    colours = noisy["salt_pepper"][hit].astype(float)
    assert colours.mean() == pytest.approx(127.5, abs=3)
    assert colours.std() == pytest.approx(255 / np.sqrt(12), rel=0.02)
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 0.05
    assert set(np.unique(colours)) >= {0, 255}


def test_kinds_of_noise_share_their_random_numbers(noisy):
    hit = (noisy["salt_pepper"] != GREY).any(2)
    for name in ("mixed", "pytoflow_mixed"):
        assert np.array_equal(noisy[name][hit], noisy["salt_pepper"][hit])
    assert np.array_equal(noisy["mixed"][~hit], noisy["gaussian"][~hit])
    assert np.array_equal(noisy["pytoflow_mixed"][~hit], np.maximum(noisy["gaussian"], GREY)[~hit])
    rise = (noisy["pytoflow_mixed"][~hit].astype(float) - 128).mean()
    assert rise == pytest.approx(25.5 / np.sqrt(2 * np.pi), rel=0.02)  # mean of the positive half


def test_mixed_noise_is_the_formula():
    frames = [picture(seed=seed) for seed in (1, 2)]
    draw, expected = clip_rng(7, "00002/0003"), []
    for frame in frames:
        gauss, colour = draw.normal(0, 25.5, frame.shape), draw.random(frame.shape)
        keep = draw.random(frame.shape[:2]) > 0.1
        added = np.clip(frame + np.sign(gauss) * np.floor(np.abs(gauss) + 0.5), 0, 255)
        expected.append(np.where(keep[..., None], added, np.floor(255 * colour + 0.5)).astype(np.uint8))
    found = degrade(frames, "mixed", clip_rng(7, "00002/0003"))
    assert np.array_equal(found, expected)
    assert np.array_equal(frames[0], picture(seed=1))  # not changed


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_the_spread_is_that_of_the_name(noisy, sigma):
    noise = noisy[f"gaussian_{sigma}"].astype(float) - 128
    assert np.median(np.abs(noise)) == pytest.approx(0.6745 * sigma, rel=0.03)  # clipped values do not move it


def test_blind_noise_has_one_spread_for_all_frames_and_sometimes_colours():
    spreads, mixed = [], 0
    for seed in range(40):
        first, second = (frame.astype(float) - 128 for frame in degrade([GREY] * 2, "noise_blind", clip_rng(seed, "a")))
        quarter = [np.median(np.abs(noise)) / 0.6745 for noise in (first, second)]
        assert quarter[0] == pytest.approx(quarter[1], abs=3)
        spreads.append(quarter[0])
        mixed += np.abs(first).max() > 110 and quarter[0] < 15  # noise alone does not reach so far
    assert 4 < min(spreads) < 10
    assert 45 < max(spreads) < 60
    assert 0 < mixed < 15


def test_noise_depends_on_seed_and_clip_alone():
    frame = picture(16, 24)
    first = one(frame, "mixed", 3, "00001/0001")
    one(frame, "mixed", 3, "00009/0009")  # what was done before does not count
    assert np.array_equal(first, one(frame, "mixed", 3, "00001/0001"))
    others = [one(frame, "mixed", 4, "00001/0001"), one(frame, "mixed", 3, "00001/0002")]
    assert all(not np.array_equal(first, other) for other in others)
    several = degrade([frame, frame], "mixed", clip_rng(3, "00001/0001"))
    assert np.array_equal(several[0], first)
    assert not np.array_equal(*several)


# Every degradation


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (30, 45)])
def test_sizes_and_repetition(name, size):
    frames = [picture(*size, seed=seed) for seed in (0, 1)]
    found = [degrade(frames, name, clip_rng(5, "a")) for _ in range(2)]
    assert [frame.shape for frame in found[0]] == [(*size, 3)] * 2
    assert all(frame.dtype == np.uint8 for frame in found[0])
    assert np.array_equal(*found)


def test_only_noise_draws():
    for name in DEGRADATIONS:
        rng = np.random.default_rng(0)
        degrade([picture(8, 8)], name, rng)
        assert (rng.random() == np.random.default_rng(0).random()) == (name not in DRAWN)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="unknown degradation 'fog': expected one of gaussian, mixed"):
        one(GREY, "fog")
    for frame in (GREY / 255, GREY[..., 0], GREY[..., :1]):
        with pytest.raises(ValueError, match="expected HxWx3 uint8"):
            one(frame, "bicubic_x4")


# Codecs


@pytest.mark.parametrize("quality", [20, 40, 60])
def test_codecs_have_the_quality_of_their_name(quality):
    frame = picture()
    assert np.array_equal(one(frame, f"j2k_q{quality}"), jpeg2000(frame, quality))
    assert np.array_equal(one(frame, f"jpeg_q{quality}"), jpeg(frame, quality))


def test_h264_sees_the_frames_as_a_clip():
    frames = [np.roll(picture(64, 96), 2 * k, 1) for k in range(7)]
    found = degrade(frames, "h264_crf30", clip_rng(0, "a"))
    assert np.array_equal(found, h264(frames, 30))
    assert not np.array_equal(found[3], one(frames[3], "h264_crf30"))
    assert set(CLIPWISE) == {"noise_blind", "h264_crf30", "compression_blind"}


def test_blind_compression_is_jpeg_or_h264_of_one_quality():
    frames = [picture(48, 64, seed=seed) for seed in (0, 1)]
    jpegs = [[jpeg(frame, quality) for frame in frames] for quality in range(8, 61)]
    videos = [h264(frames, crf) for crf in range(23, 41)]
    kinds = [0, 0]
    for seed in range(12):
        found = degrade(frames, "compression_blind", clip_rng(seed, "a"))
        hits = [any(np.array_equal(found, made) for made in all_made) for all_made in (jpegs, videos)]
        assert any(hits)
        kinds[hits[1]] += 1
    assert min(kinds) > 1


# Bicubic


def test_bicubic_rounds_once():
    frame = picture(64, 96)
    low = imresize(frame, scale=1 / 4, rounding=None)
    expected = np.clip(np.floor(255 * imresize(low, size=(64, 96)) + 0.5), 0, 255)
    small = imresize(frame, scale=1 / 4)
    assert small.dtype == np.uint8  # as the files of Vid4
    assert np.array_equal(one(frame, "bi_x4"), imresize(small, scale=4)[: frame.shape[0], : frame.shape[1]])
    found = one(frame, "bicubic_x4")
    assert np.array_equal(found, expected)
    twice = imresize(imresize(frame, scale=1 / 4), scale=4)
    assert 1 <= np.abs(found.astype(int) - twice).max() <= 4


def test_bicubic_moves_nothing_where_sides_are_no_multiples_of_4():
    x, y = np.meshgrid(np.arange(45), np.arange(31))
    ramp = np.stack((5 * x, 8 * y, 2 * x + 3 * y), -1).astype(np.uint8)
    error = np.abs(one(ramp, "bicubic_x4").astype(int) - ramp)
    assert error[8:-8, 8:-8].max() <= 1
