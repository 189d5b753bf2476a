"""Frames put into the user's own video, whatever the network that makes them: which ones, when, and from what.

Times are exact fractions of a second; two frames of the input are held.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, repeat

import numpy as np
import torch
from torch import Tensor

from common.cli import UsageError
from common.media import own_video, scene_cuts
from common.media.containers import STILL
from common.media.frame_kinds import as_arrays, as_tensor
from common.media.read_ahead import ahead
from common.media.scene_cuts import is_cut
from common.media.segments import Job
from common.media.video_reader import FolderReader, VideoReader

HALF = Fraction(1, 2)
NEAR = Fraction(1, 1000)  # of the shorter gap, between two frames of the input or of the result: counts as no gap


def add_arguments(group) -> None:
    """The flags of a network that puts frames between frames, beside --fps."""
    group.add_argument("--multi", type=int, help="frames for one: 2, 4 or 8, or any number with weights that know t")
    group.add_argument("--slow", action="store_true", help="keep the frame rate: --multi 2 lasts twice as long")
    scene_cuts.add_argument(group)


def check_arguments(options) -> None:
    """Refuse values of these flags that cannot be.

    Raises:
        UsageError: one of them.
    """
    if options.multi is not None and options.multi < 2:
        raise UsageError(f"--multi {options.multi}: expected 2 or more")
    scene_cuts.check_argument(options)


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


def asked_timing(reader: VideoReader | FolderReader, options) -> Timing:
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


def halves(middle: Callable, first, last, times: list[Fraction]) -> Iterator:
    """What lies at `times`, ascending multiples of 1 / 2^k in (0, 1), by taking the middle of middles.

    Raises:
        ValueError: a time that halving never reaches.
    """
    if not all(is_power_of_two(t.denominator) for t in times):
        raise ValueError(f"times {', '.join(map(str, times))}: expected multiples of 1/2^k from these weights")
    return _halves(middle, first, last, times)


def _halves(middle, first, last, times):
    if not times:
        return
    half = middle(first, last)
    yield from _halves(middle, first, half, [2 * t for t in times if t < HALF])
    if HALF in times:
        yield half
    yield from _halves(middle, half, last, [2 * t - 1 for t in times if t > HALF])


def check_halves(timing: Timing, reader: VideoReader | FolderReader, who: str, remedy: str = "") -> int:
    """Into how many parts the gaps are divided at most, for a network that makes only the middle of two frames.

    Args:
        timing: of the result.
        reader: the input.
        who: the network, and why it is one, for the error.
        remedy: what else would help.

    Raises:
        UsageError: times that halving never reaches.
    """
    parts = timing.parts(reader.times() if timing.fps else ())
    if not all(map(is_power_of_two, parts)):
        asked = f"--multi {timing.multi}" if timing.multi else f"--fps {timing.fps} of {float(timing.rate):g} Hz"
        raise UsageError(f"{who}, and {asked} needs other times: expected --multi 2, 4 or 8{remedy}")
    return max(parts, default=1)


def between(
    first: np.ndarray,
    second: np.ndarray,
    times: list[Fraction],
    predict: Callable[[Tensor, Tensor, list[Fraction]], Iterable[Tensor]],
    device: torch.device | str = "cpu",
) -> Iterator[np.ndarray]:
    """The frames between two, HxWx3 uint8 or uint16 as they are.

    Args:
        first: HxWx3 uint8 or uint16.
        second: the same size and type.
        times: in (0, 1), ascending.
        predict: makes the frames at such times, each (1, 3, H, W), from two of that kind; nominally in [0, 1].
        device: of the two tensors that `predict` takes.
    """
    pair = [as_tensor(x, device) for x in (first, second)]  # 1 3 H W
    return (as_arrays(result, first.dtype)[0] for result in predict(*pair, times))


def retimed(
    frames: Iterable[tuple], timing: Timing, between: Callable, done: int = 0
) -> Iterator[tuple[np.ndarray, Fraction]]:
    """The frames of the result and their times; holds two frames of the input.

    Frames of the input are (image, time or None), and what else `between` is to be told of the second of two. A gap
    that is many times as long as usual is a still: the frame before it stays. Of the first `done` frames only the times
    matter.
    """
    count = 0
    for (first, start, *_), (second, end, *more) in pairwise(_timed(frames, timing)):
        steps = list(timing.steps(start, end))
        count += len(steps)
        is_still = (end - start) * timing.rate > STILL
        is_known = is_still or count <= done
        made = repeat(first) if is_known else between(first, second, [t for t, _ in steps if t], *more)
        for t, time in steps:
            yield (next(made) if t else first), time
    for _, time in timing.steps(end):
        yield second, time


def _timed(frames: Iterable[tuple], timing: Timing) -> Iterator[tuple]:
    return ((x, n / timing.rate if time is None else time, *more) for n, (x, time, *more) in enumerate(frames))


def open_retimed(options, deep: bool = True) -> tuple[VideoReader | FolderReader, Timing]:
    """Open --input, and what --multi, --fps and --slow make of it; `deep` as for `own_video.open_input`.

    Raises:
        ValueError: it is no clip, or of one frame.
        UsageError: flags that do not go together, or not with this input.
    """
    reader = own_video.open_input(options, deep)
    timing = asked_timing(reader, options)
    if reader.at_least(2) < 2:
        raise ValueError(f"{options.input} holds one frame: expected at least two, to put frames between")
    return reader, timing


def write_retimed(
    reader: VideoReader | FolderReader, timing: Timing, predict: Callable, options, device, job: Job | None = None
) -> None:
    """Write --output; `predict` and `device` as for `between`, `job` as for `own_video.write`.

    Nothing is computed between two equal frames (a still), nor across a cut: the earlier frame is repeated up to it.
    """
    cuts = 0

    def looked_at() -> Iterator[tuple]:
        """The frames, their times, and what keeps them apart from those before; in a thread, since it takes a while."""
        previous = None
        for image, time in reader.timed():
            apart = None
            if previous is not None:
                same = np.array_equal(previous, image)
                apart = "still" if same else "cut" if is_cut(previous, image, options.scene) else None
            yield image, time, apart
            previous = image

    def fill(first: np.ndarray, second: np.ndarray, times: list[Fraction], apart: str | None) -> Iterator[np.ndarray]:
        nonlocal cuts
        if times and not apart:
            return between(first, second, times, predict, device)
        cuts += bool(times) and apart == "cut"
        return repeat(first, len(times))

    if options.slow:
        own_video.tell(options, f"--slow: the result lasts {float(timing.stretch):g} times as long, without the sound")
    count = own_video.write(
        retimed(ahead(looked_at()), timing, fill, job.done if job else 0),
        reader,
        options,
        rate=timing.frame_rate if reader.frame_rate or options.fps else None,
        total=timing.total(reader.num_frames),
        sound=not options.slow,
        job=job,
        originals=((image, time * timing.stretch) for image, time in _timed(reader.timed(), timing)),
    )
    told = f", {cuts} cut{'s' * (cuts > 1)} not blended" if cuts else ""
    own_video.tell(options, f"{count} frames -> {options.output}{told}")
