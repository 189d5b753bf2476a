"""Two clips judged: aligned by time, scored frame by frame and along time, in constant memory."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.compare import temporal
from common.compare.temporal import PROTOCOLS, Flow
from common.media.classical_flow import FLOWS
from common.media.video_reader import open_clip
from common.scoring.protocols import Protocol
from common.scoring.score_frames import score

SPATIAL = Protocol(
    "frames_rgb", "PSNR and SSIM (Wang et al. 2004) of 8-bit RGB frames, mean over the frames", "rgb", "uint8", 1, 0, 0,
    "none", "wang", 255.0, "frames",
)  # fmt: skip
FLICKER = "flicker"  # mean absolute difference, in levels, of the change of mean luma and the reference's
METRICS = (*SPATIAL.metrics, *(protocol.name for protocol in PROTOCOLS), FLICKER)
HIGHER = SPATIAL.metrics  # is better; of all others lower


class Row(NamedTuple):
    """A frame of the reference, and how the clips do there; what needs the frame before is NaN at the first."""

    number: int
    time: float
    values: tuple[dict[str, float], ...]  # of each clip


class Comparison(NamedTuple):
    """What `compare` found.

    Attributes:
        names: of the clips that were judged.
        rows: one of each frame of the reference that every clip has.
        unmatched: frames of the reference that a clip lacks.
        means: of each clip, metric -> mean over the frames.
        flow: which flow the temporal measures are by.
    """

    names: tuple[str, ...]
    rows: list[Row]
    unmatched: int
    means: tuple[dict[str, float], ...]
    flow: str


def compare(
    first: str | os.PathLike, second: str | os.PathLike, truth: str | os.PathLike | None = None, *,
    flow: str | Flow = "dis", show: Callable[[list[np.ndarray]], None] = lambda frames: None,
) -> Comparison:  # fmt: skip
    """Judge two clips by the truth, or the second by the first.

    Args:
        first: a video file, a folder of frames, or a pattern of frames.
        second: likewise.
        truth: likewise; None: `first` is the reference.
        flow: "dis" or "farneback" (OpenCV's), or a function of two frames, HxWx3 uint8, that gives their flow, HxWx2.
        show: gets the frames of every moment: the truth's, if there is one, then the clips'.

    Raises:
        ValueError: sizes differ, clips have no moment in common, or one cannot be read.
    """
    function = flow if callable(flow) else FLOWS.get(flow)
    if function is None:
        raise ValueError(f"flow {flow}: expected one of {', '.join(FLOWS)}, or a function of two frames")
    paths = [truth, first, second] if truth is not None else [first, second]
    rows, unmatched, before = [], 0, None
    for number, time, frames in moments(paths):
        if any(frame is None for frame in frames):
            unmatched, before = unmatched + 1, None
            continue
        _check_sizes(frames, paths)
        show(frames)
        values = tuple(dict(score(SPATIAL, frame / 255, frames[0])) for frame in frames[1:])
        for value, along in zip(values, _along_time(before, frames, function), strict=True):
            value.update(along)
        rows.append(Row(number, float(time), values))
        before = frames
    if not rows:
        raise ValueError(f"{paths[0]} and {paths[-1]} have no frame at the same time: expected clips of the same scene")
    count = len(paths) - 1
    means = tuple({name: _mean([row.values[k][name] for row in rows]) for name in METRICS} for k in range(count))
    names = tuple(Path(path).name for path in paths[1:])
    return Comparison(names, rows, unmatched, means, flow if isinstance(flow, str) else "its own")


def _along_time(before: list[np.ndarray] | None, frames: list[np.ndarray], flow: Flow) -> Iterator[dict[str, float]]:
    """The temporal measures of each clip, from the frames before to these; the first frames are the reference's."""
    if before is None:
        yield from [dict.fromkeys((*(protocol.name for protocol in PROTOCOLS), FLICKER), math.nan)] * (len(frames) - 1)
        return
    forward, backward = flow(before[0], frames[0]), flow(frames[0], before[0])
    seen = temporal.seen_in_both(forward, backward)
    change = temporal.brightness(frames[0]) - temporal.brightness(before[0])
    for old, new in zip(before[1:], frames[1:], strict=True):
        own = forward if np.array_equal(old, before[0]) and np.array_equal(new, frames[0]) else flow(old, new)
        values, moved = {}, temporal.warped(new, forward)
        for protocol in PROTOCOLS:
            if protocol.kind == "tof":
                values[protocol.name] = temporal.flow_difference(own, forward, protocol.norm)
            else:
                values[protocol.name] = temporal.warping_error(old, *moved, seen, protocol)
        values[FLICKER] = abs(temporal.brightness(new) - temporal.brightness(old) - change)
        yield values


def moments(paths: Sequence[str | os.PathLike]) -> Iterator[tuple[int, Fraction | int, list[np.ndarray | None]]]:
    """Number, time in seconds, and the frames of every clip at each frame of the first.

    A clip that has none within half a frame gives None. Images have no times: then all clips go by number.

    Raises:
        ValueError: one of them is no clip.
    """
    readers = [open_clip(path) for path in paths]
    timed = all(reader.frame_rate for reader in readers)
    streams = [
        ((time if timed else number, frame) for number, (frame, time) in enumerate(reader.timed()))
        for reader in readers
    ]
    half = Fraction(1, 2) / (Fraction(readers[0].frame_rate) if timed else 1)
    held = [deque(islice(stream, 2)) for stream in streams[1:]]  # two frames of each clip: the second may be nearer
    for number, (time, frame) in enumerate(streams[0]):
        frames = [frame]
        for two, stream in zip(held, streams[1:], strict=True):
            while len(two) == 2 and abs(two[1][0] - time) < abs(two[0][0] - time):
                two.popleft()
                two.extend(islice(stream, 1))
            frames.append(two[0][1] if two and abs(two[0][0] - time) < half else None)
        yield number, time, frames


def _check_sizes(frames: list[np.ndarray], paths: list) -> None:
    for frame, path in zip(frames[1:], paths[1:], strict=True):
        if frame.shape != frames[0].shape:
            sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (frame, frames[0])]
            raise ValueError(f"{path} is {sizes[0]}, {paths[0]} {sizes[1]}: expected one size; resize one of them")


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def worst(comparison: Comparison, clip: int, count: int) -> list[Row]:
    """The frames of a clip with the lowest PSNR, the worst first."""
    return sorted(comparison.rows, key=lambda row: row.values[clip]["PSNR"])[:count]
