"""Windows of frames at the ends of a clip and along it."""

import weakref

import numpy as np
import pytest

from common.media.frame_windows import PADDINGS, neighbour_indices, windows


def test_windows():
    expected = {
        "replicate": [0, 0, 0, 1, 2],
        "reflection": [2, 1, 0, 1, 2],
        "reflection_circle": [4, 3, 0, 1, 2],
        "circle": [3, 4, 0, 1, 2],
        "tdan_eval": [2, 1, 0, 1, 2],
    }
    for padding, window in expected.items():
        assert neighbour_indices(0, 5, 9, padding=padding) == window
        assert neighbour_indices(4, 5, 9, padding=padding) == [2, 3, 4, 5, 6]
        mirrored = [8 - i for i in window[::-1]]
        end = neighbour_indices(8, 5, 9, padding=padding)
        assert end == ([6, 7, 8, 6, 6] if padding == "tdan_eval" else mirrored)
    assert neighbour_indices(0, 3, 1, padding="replicate") == [0, 0, 0]
    for arguments in ((0, 4, 9, "replicate"), (9, 5, 9, "replicate"), (-1, 5, 9, "replicate"), (0, 5, 9, "wrap")):
        with pytest.raises(ValueError, match=r"window|frame|padding"):
            neighbour_indices(*arguments[:3], padding=arguments[3])
    for padding in ("reflection", "reflection_circle", "circle", "tdan_eval"):
        with pytest.raises(ValueError, match="too short"):
            neighbour_indices(0, 5, 2, padding=padding)


def test_windows_along_a_clip_at_both_ends():
    assert [window for n, window in enumerate(windows(range(9), 7, padding="replicate")) if n in (0, 4, 7, 8)] == [
        [0, 0, 0, 0, 1, 2, 3], [1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 8, 8], [5, 6, 7, 8, 8, 8, 8],
    ]  # fmt: skip
    around = list(windows(range(9), 7, padding="reflection_circle"))
    assert [around[n] for n in (0, 1, 8)] == [[6, 5, 4, 0, 1, 2, 3], [6, 5, 0, 1, 2, 3, 4], [5, 6, 7, 8, 4, 3, 2]]
    assert list(windows([], 5, padding="replicate")) == []
    with pytest.raises(ValueError, match="odd"):
        list(windows(range(9), 4, padding="replicate"))


@pytest.mark.parametrize("count", [5, 7])
@pytest.mark.parametrize("padding", PADDINGS)
def test_windows_along_a_clip_are_those_of_the_whole_clip(padding, count):
    for length in range(1, 20):
        try:
            expected = [neighbour_indices(n, count, length, padding=padding) for n in range(length)]
        except ValueError:
            with pytest.raises(ValueError, match="use 'replicate'"):
                next(windows(range(length), count, padding=padding))  # at once
            continue
        assert list(windows(iter(range(length)), count, padding=padding)) == expected


@pytest.mark.parametrize("count", [5, 7])
@pytest.mark.parametrize("padding", PADDINGS)
def test_windows_along_a_clip_hold_few_frames(padding, count):
    alive, read = [], []

    def frames():
        for number in range(60):
            frame = np.zeros(1)
            alive.append(weakref.ref(frame))
            read.append(number)
            yield frame

    for number, _ in enumerate(windows(frames(), count, padding=padding)):
        assert len(read) == min(max(number + count // 2 + 1, count), 60)
        assert sum(ref() is not None for ref in alive) <= 3 * count // 2
    assert number == 59
