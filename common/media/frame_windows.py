"""Windows of consecutive frames, and which frames they hold at the ends of a clip."""

from collections.abc import Iterable, Iterator


def neighbour_indices(index: int, count: int, length: int, *, padding: str) -> list[int]:
    """Indices of `count` consecutive frames around `index`, with those outside the clip replaced.

    Args:
        index: the centre frame, 0 to length - 1.
        count: frames in the window, odd.
        length: frames in the clip.
        padding: for index 0 and 5 frames,
            "replicate": 0 0 0 1 2 (PVDNet, with 3 frames).
            "reflection": 2 1 0 1 2 (TDAN in mmagic).
            "reflection_circle": 4 3 0 1 2 (TOFlow super-resolution in mmagic).
            "circle": 3 4 0 1 2.
            "tdan_eval": starts like "reflection", but every frame past the end is frame length - 3 (TDAN's own eval).

    Returns:
        `count` indices within the clip.

    Raises:
        ValueError: an even count, an index outside the clip, an unknown padding or a clip too short for it.
    """
    if padding not in _OUTSIDE:
        raise ValueError(f"unknown padding {padding!r}: expected one of {', '.join(_OUTSIDE)}")
    if count < 1 or count % 2 == 0:
        raise ValueError(f"a window needs an odd number of frames, got {count}")
    if not 0 <= index < length:
        raise ValueError(f"frame {index} is not in a clip of {length} frames")
    half = count // 2
    replace = _OUTSIDE[padding]
    wanted = range(index - half, index + half + 1)
    window = [i if 0 <= i < length else replace(i, index, half, length) for i in wanted]
    if min(window) < 0 or max(window) >= length:
        raise ValueError(
            f"a clip of {length} frames is too short for a window of {count} with padding {padding!r}: use 'replicate'"
        )
    return window


def windows(frames: Iterable, count: int, *, padding: str) -> Iterator[list]:
    """The `count` frames around every frame of a clip, itself in the middle; holds 3 count // 2 of them.

    Args:
        frames: of the clip; read count // 2 ahead of the middle, at the start to the last of the first `count`.
        count: frames in a window, odd.
        padding: which frames stand for those outside the clip; see `neighbour_indices`.

    Raises:
        ValueError: the clip is too short for that padding, or what `neighbour_indices` refuses.
    """
    held = {}  # number of a frame: the frame
    length = current = 0
    for frame in frames:
        held[length] = frame
        length += 1
        while length >= max(current + count // 2 + 1, count):  # its window is read, whatever stands for what is not
            yield [held[k] for k in neighbour_indices(current, count, length, padding=padding)]
            current += 1
            held.pop(current - count, None)
    for number in range(current, length):
        yield [held[k] for k in neighbour_indices(number, count, length, padding=padding)]


def _replicate(i: int, index: int, half: int, length: int) -> int:
    return 0 if i < 0 else length - 1


def _reflection(i: int, index: int, half: int, length: int) -> int:
    return -i if i < 0 else 2 * (length - 1) - i


def _reflection_circle(i: int, index: int, half: int, length: int) -> int:
    # Goes on, away from the end, behind the far side of the window.
    return index + half - i if i < 0 else index - half + (length - 1 - i)


def _circle(i: int, index: int, half: int, length: int) -> int:
    # The missing frames are those that follow the window on its far side.
    return 2 * half + 1 + i if i < 0 else i - 2 * half - 1


def _tdan_eval(i: int, index: int, half: int, length: int) -> int:
    return -i if i < 0 else length - 3


_OUTSIDE = {
    "replicate": _replicate,
    "reflection": _reflection,
    "reflection_circle": _reflection_circle,
    "circle": _circle,
    "tdan_eval": _tdan_eval,
}
PADDINGS = tuple(_OUTSIDE)
