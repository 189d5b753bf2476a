"""Cutting videos: cuts, and what must be told from one."""

import cv2
import numpy as np
import pytest

from common.sets.clip_cutting import Reduction, cut
from tests.helpers.sharp_clips import shot

A, B, C = (shot(seed, 30) for seed in (1, 2, 3))


def spans(frames):
    """First and last number, and count, of the pieces."""
    pieces = list(cut(frames))
    for piece in pieces:
        assert len(piece.images) == len(piece.numbers)
        assert all(np.array_equal(image, frames[k]) for image, k in zip(piece.images, piece.numbers, strict=True))
    return [(piece.numbers[0], piece.numbers[-1], len(piece.numbers)) for piece in pieces]


def faded(frames, start, end, towards=0.0):
    """From a share of the picture to another, the rest black or white."""
    shares = np.linspace(start, end, len(frames))
    return [np.uint8(frame * share + towards * (1 - share)) for frame, share in zip(frames, shares, strict=True)]


def test_pieces_end_at_cuts_and_short_ones_are_left_out():
    assert spans(A[:12] + B[:8] + C[:9]) == [(0, 11, 12), (20, 28, 9)]
    assert spans(A[:8]) == spans([]) == []


def test_long_shots_are_divided():
    long = shot(4, 100, step=2)
    assert spans(long) == [(0, 63, 64), (64, 99, 36)]
    assert spans(long[:70]) == [(0, 34, 35), (35, 69, 35)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_flash_is_no_cut_and_is_dropped(count):
    white = [np.full_like(A[0], 250)] * count
    assert spans(A[:12] + white + A[12:20]) == [(0, 19 + count, 20)]
    bright = [np.uint8(np.minimum(frame + 70.0, 255)) for frame in A[12 : 12 + count]]
    assert spans(A[:12] + bright + A[12 + count : 20]) == [(0, 19, 20 - count)]


def test_a_flash_on_a_cut_is_a_cut():
    assert spans([*A[:12], np.full_like(A[0], 250), *B[:12]]) == [(0, 11, 12), (13, 24, 12)]


@pytest.mark.parametrize("towards", [0.0, 255.0])
def test_a_fade_is_no_cut_but_a_shot_ends_where_no_picture_is_left(towards):
    assert spans(faded(A[:20], 0.3, 1, towards) + A[20:]) == [(0, 29, 30)]
    out, into = faded(A[15:], 1, 0, towards), faded(B[:15], 0, 1, towards)
    first, second = spans(A[:15] + out + into + B[15:])
    assert first[0] == 0
    assert 24 < first[1] < 30 < second[0] < 36
    assert second[1] == 59


@pytest.mark.parametrize("length", [6, 12, 20])
def test_a_dissolve_parts_two_shots(length):
    shares = np.linspace(0, 1, length + 2)[1:-1]
    first, second = shot(1, 50, step=1), shot(2, 50, step=1)
    both = zip(first[25 : 25 + length], second[:length], shares, strict=True)
    mixed = [np.uint8(a * (1 - s) + b * s) for a, b, s in both]
    pieces = spans(first[:25] + mixed + second[length:])
    middle = 25 + length / 2
    assert pieces
    assert all(last < middle or start > middle for start, last, _ in pieces)
    assert pieces[-1][1] == 74


def test_doubled_frames_are_dropped_and_stills_end_a_piece():
    noise = np.random.default_rng(0).integers(-2, 3, A[0].shape)
    again = [np.uint8(np.clip(frame + noise, 0, 255)) for frame in A]  # compression makes them differ a little
    doubled = [frame for pair in zip(A, again, strict=True) for frame in pair]
    assert spans(doubled) == [(0, 58, 30)]
    assert spans(A[:12] + [again[11]] * 4 + A[12:20]) == [(0, 23, 20)]
    assert spans(A[:12] + [again[11]] * 9 + A[12:24]) == [(0, 11, 12), (21, 32, 12)]
    assert spans([A[0]] * 40) == []


def test_frames_are_made_small_by_the_mean_of_areas():
    image = np.random.default_rng(0).integers(0, 256, (240, 1280, 3), np.uint8)
    half = image.reshape(120, 2, 640, 2, 3).mean((1, 3))
    assert np.abs(Reduction()(image) - half).max() <= 0.5
    assert Reduction()(image[:, :300]).shape == (160, 200, 3)  # by 1.5 at least
    assert Reduction(widest=320)(image).shape == (60, 320, 3)
    assert Reduction()(image[:, :301]).shape == (160, 200, 3)  # 201 is odd
    assert np.array_equal(Reduction(keep=True)(image[:101, :99]), image[:100, :98])


def test_an_exact_size_is_cut_out_of_the_middle():
    image = np.random.default_rng(0).integers(0, 256, (128, 300, 3), np.uint8)
    small = Reduction(size=(64, 64))(image)
    assert np.abs(small - cv2.resize(image[:, 86:214], (64, 64), interpolation=cv2.INTER_AREA)).max() == 0
    for reduction in (Reduction(size=(310, 64)), Reduction(widest=64)):
        with pytest.raises(ValueError, match=r"300x128 pixels are too small: expected at least"):
            reduction(image)
