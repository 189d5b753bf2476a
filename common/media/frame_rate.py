"""Put frames into the user's own video, whatever the network that makes them; holds two frames of the input."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise, repeat

import numpy as np
import torch
from torch import Tensor

from common.cli import UsageError
from common.media import own_video, scene_cuts
from common.media.frame_times import Timing, is_power_of_two, plan
from common.media.image import to_uint8
from common.media.scene_cuts import is_cut
from common.media.video_reader import FolderReader, VideoReader

HALF = Fraction(1, 2)


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
    """The frames between two, HxWx3 uint8 as they are.

    Args:
        first: HxWx3 uint8.
        second: the same size.
        times: in (0, 1), ascending.
        predict: makes the frames at such times, each (1, 3, H, W), from two of that kind; nominally in [0, 1].
        device: of the two tensors that `predict` takes.
    """
    pair = [torch.from_numpy(x).to(device).permute(2, 0, 1)[None].float() / 255 for x in (first, second)]  # 1 3 H W
    return (to_uint8(result[0].permute(1, 2, 0).cpu().numpy()) for result in predict(*pair, times))


def retimed(frames: Iterable[tuple], timing: Timing, between: Callable) -> Iterator[tuple[np.ndarray, Fraction]]:
    """The frames of the result and their times; holds two frames of the input, which are (image, time or None)."""
    timed = ((image, number / timing.rate if time is None else time) for number, (image, time) in enumerate(frames))
    for (first, start), (second, end) in pairwise(timed):
        steps = list(timing.steps(start, end))
        made = between(first, second, [t for t, _ in steps if t])
        for t, time in steps:
            yield (next(made) if t else first), time
    for _, time in timing.steps(end):
        yield second, time


def open_retimed(options) -> tuple[VideoReader | FolderReader, Timing]:
    """Open --input, and what --multi, --fps and --slow make of it.

    Raises:
        ValueError: it is no clip, or of one frame.
        UsageError: flags that do not go together, or not with this input.
    """
    reader = own_video.open_input(options)
    timing = plan(reader, options)
    if len(list(islice(reader, 2))) < 2:
        raise ValueError(f"{options.input} holds one frame: expected at least two, to put frames between")
    return reader, timing


def write_retimed(reader: VideoReader | FolderReader, timing: Timing, predict: Callable, options, device) -> None:
    """Write --output; `predict` and `device` as for `between`.

    Nothing is computed between two equal frames (a still), nor across a cut: the earlier frame is repeated up to it.
    """
    cuts = 0

    def fill(first: np.ndarray, second: np.ndarray, times: list[Fraction]) -> Iterator[np.ndarray]:
        nonlocal cuts
        if not times or np.array_equal(first, second):
            return repeat(first, len(times))
        if is_cut(first, second, options.scene):
            cuts += 1
            return repeat(first, len(times))
        return between(first, second, times, predict, device)

    if options.slow:
        print(f"--slow: the result lasts {float(timing.stretch):g} times as long, without the sound")
    count = own_video.write(
        retimed(reader.timed(), timing, fill),
        reader,
        options,
        rate=timing.frame_rate if reader.frame_rate or options.fps else None,
        total=timing.total(reader.num_frames),
        sound=not options.slow,
    )
    told = f", {cuts} cut{'s' * (cuts > 1)} not blended" if cuts else ""
    print(f"{count} frames -> {options.output}{told}")
