"""Which frames a result has and when."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import pytest

from common.cli import UsageError
from common.media.frame_rate import Timing, asked_timing, is_power_of_two
from tests.helpers.clips import NTSC


def test_steps_of_multi_divide_every_gap():
    timing = Timing(Fraction(25), 3, None, False)
    assert timing.frame_rate == 75
    assert list(timing.steps(Fraction(1), Fraction(4))) == [(0, 1), (Fraction(1, 3), 2), (Fraction(2, 3), 3)]
    assert list(timing.steps(Fraction(4))) == [(0, 4)]
    assert [timing.total(n) for n in (None, 2, 81)] == [None, 4, 241]
    slow = Timing(Fraction(25), 3, None, True)
    assert (slow.frame_rate, slow.stretch) == (25, 3)
    assert [time for _, time in slow.steps(Fraction(1), Fraction(4))] == [3, 6, 9]


@pytest.mark.parametrize("fps", [Fraction(60), Fraction(10), NTSC, Fraction(30000, 1001), Fraction(1), Fraction(1, 7)])
def test_steps_of_fps_are_where_they_belong(fps):
    times = [n / NTSC for n in range(49)]
    timing = Timing(NTSC, None, fps, False)
    result = [step for pair in pairwise(times) for step in timing.steps(*pair)] + list(timing.steps(times[-1]))
    assert [time for _, time in result] == [n / fps for n in range(len(result))]
    assert result[-1][1] <= times[-1] < result[-1][1] + 1 / fps
    assert timing.total(49) == len(result)
    assert [t for t, _ in result] == [time * NTSC % 1 for _, time in result]


def test_a_time_that_is_nearly_a_frame_is_that_frame():
    for error in (Fraction(-1, 100_000), Fraction(1, 100_000)):
        timing = Timing(Fraction(25), None, Fraction(50), False)
        times = [Fraction(0), Fraction(1, 25) + error, Fraction(2, 25)]
        result = [step for pair in pairwise(times) for step in timing.steps(*pair)] + list(timing.steps(times[-1]))
        assert [time for _, time in result] == [Fraction(n, 50) for n in range(5)]
        assert [t for t, _ in result][::2] == [0, 0, 0]


def test_parts_are_the_denominators_of_all_places():
    times = [Fraction(n, 24) for n in (0, 1, 3)]
    assert Timing(Fraction(24), 4, None, False).parts([]) == {1, 2, 4}
    assert Timing(Fraction(24), None, Fraction(48), False).parts(times) == {1, 2, 4}
    assert Timing(Fraction(24), None, Fraction(60), False).parts(times) == {1, 2, 5, 10}
    assert [number for number in range(1, 20) if is_power_of_two(number)] == [1, 2, 4, 8, 16]


def options(multi=None, fps=None, slow=False):
    return SimpleNamespace(multi=multi, fps=fps and Fraction(fps), slow=slow)


VIDEO = SimpleNamespace(path="in.mp4", frame_rate=NTSC)
IMAGES = SimpleNamespace(path="in", frame_rate=None)


def test_flags_decide_what_the_result_is():
    assert asked_timing(VIDEO, options(multi=2)) == Timing(NTSC, 2, None, False)
    assert asked_timing(VIDEO, options(fps=60, slow=True)) == Timing(NTSC, None, Fraction(60), True)
    assert asked_timing(IMAGES, options(multi=2)) == Timing(Fraction(1), 2, None, False)
    assert asked_timing(IMAGES, options(multi=2, fps=50)).frame_rate == 50


@pytest.mark.parametrize(
    ("reader", "asked", "message"),
    [
        (VIDEO, options(multi=2, fps=60), "--multi and --fps do not go together for in.mp4"),
        (
            IMAGES,
            options(fps=60),
            "in holds images, which have no frame rate that --fps could change: expected --multi",
        ),
        (IMAGES, options(multi=2, slow=True), "in holds images, .* instead of --slow choose --fps"),
    ],
)
def test_flags_that_do_not_go_together(reader, asked, message):
    with pytest.raises(UsageError, match=message):
        asked_timing(reader, asked)
