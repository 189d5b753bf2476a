"""Which frames the result has and when, in exact fractions of a second."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from common.cli import UsageError
from common.media.video_reader import FolderReader, VideoReader

NEAR = Fraction(1, 1000)  # of the shorter gap, between two frames of the input or of the result: counts as no gap


@dataclass(frozen=True)
class Timing:
    """What `--multi`, `--fps` and `--slow` make of a clip.

    `rate`: frames a second of the input; `multi`: frames for one, each gap divided evenly; without it `fps`: frames a
    second, whatever the times of the input; `slow`: all of them play at `rate`.
    """

    rate: Fraction
    multi: int | None
    fps: Fraction | None
    slow: bool

    @property
    def frame_rate(self) -> Fraction:
        """Of the result, in Hz."""
        return self.rate if self.slow else self.rate * self.multi if self.multi else self.fps

    @property
    def stretch(self) -> Fraction:
        """How many times as long as the input the result lasts."""
        return Fraction(self.multi or self.fps / self.rate) if self.slow else Fraction(1)

    def steps(self, start: Fraction, end: Fraction | None = None) -> Iterator[tuple[Fraction, Fraction]]:
        """The frames of the result from an input frame to before the next.

        Args:
            start: the time of that input frame, seconds after the first.
            end: that of the next; None: there is none.

        Yields:
            t in [0, 1), the place between the two, 0 the input frame itself; and the result's time in seconds.
        """
        if self.multi:
            parts, gap = (1, 0) if end is None else (self.multi, end - start)
            for part in range(parts):
                t = Fraction(part, self.multi)
                yield t, (start + t * gap) * self.stretch
            return
        near = NEAR * min(self.fps / self.rate, 1)
        last = math.floor(start * self.fps + near)  # that is at the input frame; where none is, the one before
        stop = last + 1 if end is None else math.ceil(end * self.fps - near)
        for number in range(math.ceil(start * self.fps - near), stop):
            t = Fraction(0) if number <= last else (number / self.fps - start) / (end - start)
            yield t, number / self.frame_rate

    def total(self, frames: int | None) -> int | None:
        """How many frames `frames` of the input become; for variable frame rates and `fps` about."""
        if frames is None:
            return None
        gaps = frames - 1
        return gaps * self.multi + 1 if self.multi else math.floor(gaps / self.rate * self.fps) + 1

    def parts(self, times: Iterable[Fraction]) -> set[int]:
        """Into how many parts gaps are divided, the denominators of all t, for input frames at these times."""
        pairs = pairwise((Fraction(0), Fraction(1)) if self.multi else times)
        return {t.denominator for pair in pairs for t, _ in self.steps(*pair)}


def is_power_of_two(number: int) -> bool:
    """1, 2, 4, 8 ..."""
    return number & (number - 1) == 0


def plan(reader: VideoReader | FolderReader, options) -> Timing:
    """What the options ask for.

    Images have no times. `--multi` puts frames between them all the same, and `--fps` then is the rate of a video made
    of the result; without it their times count frames.

    Raises:
        UsageError: flags that do not go together, or not with this input.
    """
    multi, fps, slow = options.multi, options.fps, options.slow
    if reader.frame_rate:
        if multi and fps:
            raise UsageError(
                f"--multi and --fps do not go together for {reader.path}, which has a frame rate: give one"
            )
        return Timing(reader.frame_rate, multi, fps, slow)
    if not multi:
        raise UsageError(
            f"{reader.path} holds images, which have no frame rate that --fps could change: expected --multi; "
            f"with it, --fps is the rate of a video written from them"
        )
    if slow:
        raise UsageError(
            f"{reader.path} holds images, which have no frame rate to keep: instead of --slow choose --fps"
        )
    return Timing(fps / multi if fps else Fraction(1), multi, None, False)
