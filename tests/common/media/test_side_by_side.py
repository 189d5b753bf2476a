"""A result and what it was made of, in one picture."""

from fractions import Fraction

import numpy as np
import pytest

from common.media.side_by_side import beside, one_picture


def flat(level, height=4, width=8):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("timed", [True, False])
def test_each_result_with_its_frame(timed):
    times = [Fraction(n, 25) if timed else None for n in range(3)]
    pictures = list(
        beside([(flat(100 + n), times[n]) for n in range(3)], [(flat(n), times[n]) for n in range(3)], "side")
    )
    assert [time for _, time in pictures] == times
    for number, (picture, _) in enumerate(pictures):
        assert picture.shape == (4, 16, 3)
        assert (picture[:, :8] == number).all()
        assert (picture[:, 8:] == 100 + number).all()


def test_frames_put_between_have_the_one_that_the_input_shows():
    originals = [(flat(n), Fraction(n)) for n in range(3)]
    results = [(flat(100), Fraction(n, 2)) for n in range(5)]
    assert [picture[0, 0, 0] for picture, _ in beside(results, originals, "side")] == [0, 0, 1, 1, 2]


def test_split_has_a_white_line_and_the_input_as_large_as_the_result():
    ((picture, _),) = beside([(flat(9, 8, 16), Fraction(0))], [(flat(3), Fraction(0))], "split")
    assert picture[0, :, 0].tolist() == [3] * 7 + [255] * 2 + [9] * 7


def test_what_is_there_already_stays_so_and_counts():
    results = [(None, None), (flat(9), None)]
    pictures = [picture for picture, _ in beside(results, [(flat(1), None), (flat(2), None)], "side")]
    assert pictures[0] is None
    assert pictures[1][0, 0, 0] == 2


def test_pictures_of_sixteen_bits():
    dark, bright = np.full((4, 8, 3), 1, np.uint8), np.full((4, 8, 3), 60_000, np.uint16)
    picture = one_picture(dark, bright, "split")
    assert picture.dtype == np.uint16
    assert picture[0, [0, 4, 7], 0].tolist() == [257, 65535, 60_000]
