"""Evaluation, what is the same in several papers: frames read ahead, scores, and the lines that tell them."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np

from common.media.color import rgb_to_y
from common.scoring.metrics import interpolation_error, psnr, ssim
from common.scoring.protocols import InterpolationProtocol, Protocol
from common.tables.results_csv import read
from common.training.distributed import Processes

SMALLEST = 11  # pixels a side: the window of most SSIM
T = TypeVar("T")


class Score(NamedTuple):
    """A frame's scores: the number of its sample, its clip, metric -> value."""

    sample: int
    clip: str
    values: dict[str, float]


class Cache:
    """The last `size` values that were asked for; several threads that want one wait for the same."""

    def __init__(self, size: int):
        self.size, self._lock = size, Lock()
        self._jobs: OrderedDict[Hashable, Future] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not here; an error of `make` goes to all who wait for it."""
        with self._lock:
            known = self._jobs.pop(key, None)
            job = self._jobs[key] = known or Future()
            if len(self._jobs) > self.size:
                self._jobs.popitem(last=False)
        if not known:
            try:
                job.set_result(make())
            except BaseException as error:  # for those who wait
                job.set_exception(error)
        return job.result()


def share(count: int, processes: Processes) -> range:
    """Numbers of the samples that this process scores: neighbours, which may share frames."""
    rank, world_size = processes.rank, processes.world_size
    return range(rank * count // world_size, (rank + 1) * count // world_size)


def smallest(protocols: Iterable[Protocol]) -> int:
    """Pixels a side that a frame needs for all of these."""
    return max(SMALLEST + 2 * protocol.border for protocol in protocols)


def ahead(pool: ThreadPoolExecutor, read: Callable[[int], T], numbers: Iterable[int], depth: int) -> Iterator[T]:
    """What `read` gives for each number, in order, `depth` of them read ahead."""
    waiting: deque = deque()
    for number in numbers:
        waiting.append(pool.submit(read, number))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def score(protocol: Protocol, prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The protocol's metrics of one frame, inside the protocol's border; for protocols on RGB or Y, without alignment.

    Args:
        protocol: how to score.
        prediction: HxWx3 float, nominally in [0, 1].
        truth: HxWx3 uint8.

    Returns:
        Metric -> value; PSNR is inf for equal images.

    Raises:
        ValueError: different shapes, fewer than 11 pixels a side inside the border, or NaN.
    """
    if np.isnan(prediction).any():
        raise ValueError("the result holds NaN values: the network diverged or its checkpoint is damaged")
    (height, width), least = truth.shape[:2], smallest([protocol])
    if min(height, width) < least:
        raise ValueError(
            f"a frame of {width}x{height} pixels: expected {least} or more a side for protocol {protocol.name}, "
            f"which cuts {protocol.border} on every side"
        )
    levels = 255 * prediction.astype(np.float64)
    if protocol.prediction == "uint8":
        # Every second value of a mean of two frames is a tie, which the noise of float32 must not decide.
        levels = np.floor(levels + (0.5 + 5e-5))
    if protocol.prediction != "float":
        levels = levels.clip(0, 255)
    shown, gt = (rgb_to_y(levels / 255), rgb_to_y(truth)) if protocol.space == "y" else (levels, truth)
    shown, gt = (_inside(image, protocol.border) for image in (shown, gt))
    peak = protocol.peak
    if peak != 255:
        shown, gt = shown * (peak / 255), gt * (peak / 255)
    functions = {
        "PSNR": lambda: psnr(shown, gt, peak=peak),
        "SSIM": lambda: ssim(shown, gt, kind=protocol.ssim, peak=peak),
        "MAE": lambda: interpolation_error(shown, gt) / peak,
    }
    return {metric: functions[metric]() for metric in protocol.metrics}


def score_between(protocol: InterpolationProtocol, prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The protocol's metrics of one frame between two others.

    Args:
        protocol: how to score; what it says of crops and padding is done before.
        prediction: HxWx3 float in [0, 1].
        truth: HxWx3 uint8.

    Returns:
        Of "PSNR" (dB, inf for equal images), "SSIM", "IE" (levels) what the protocol has.

    Raises:
        ValueError: different shapes, or fewer than 11 pixels a side.
    """
    peak = protocol.peak
    shown, gt = (prediction, truth / np.float32(255)) if peak == 1 else (prediction * np.float32(peak), truth)
    values = {}
    for metric in protocol.metrics:
        if metric == "PSNR":
            values[metric] = psnr(shown, gt, peak=peak)
        elif metric == "SSIM":
            values[metric] = ssim(shown, gt, kind=protocol.ssim, peak=peak)
        else:
            # Every second value of a mean of two frames is a tie, which the noise of float32 must not decide.
            levels = np.round(255 * prediction.astype(np.float64), 4)
            values[metric] = interpolation_error(np.rint(levels), truth)
    return values


def _inside(image: np.ndarray, border: int) -> np.ndarray:
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def mean(protocol: Protocol, scores: list[Score]) -> dict[str, float]:
    """Mean of each metric, weighted as the protocol says; inf where one frame has it.

    Args:
        protocol: how to score.
        scores: at least one; a clip's follow each other.
    """
    groups = groupby(scores, key=lambda score: protocol.averaging == "frames" or score.clip)
    means = [np.mean([[score.values[metric] for metric in protocol.metrics] for score in own], 0) for _, own in groups]
    return dict(zip(protocol.metrics, np.mean(means, 0).tolist(), strict=True))


def text(values: dict[str, float]) -> str:
    """Metrics as an evaluation's lines have them."""
    return " ".join(f"{metric}: {value:.5f}" for metric, value in values.items())


def total(label: str, protocol: str, values: list[dict[str, float]], means: dict[str, float]) -> str:
    """The line that ends an evaluation, which `common/tables/score_lines.py` reads.

    Args:
        label: what was scored on what.
        protocol: its name.
        values: of each frame, metric -> value.
        means: metric -> value.
    """
    equal = sum(value.get("PSNR") == np.inf for value in values)
    more = f", {equal} of them equal to the truth" if equal else ""
    return f"[TOTAL {label}] {text(means)} {len(values)} frames, protocol {protocol}{more}"


def published(paper: str, config: str, data: str, protocol: str, means: dict[str, float]) -> str:
    """The row of a paper's results.csv that these means (metric -> value) stand for, and how far they are from it.

    Empty if there is none. Where several methods share config, set and protocol, the first one counts.
    """
    key = (config, data, protocol)
    rows = [row for row in read(paper) if not row["clip"] and row["published"]]
    rows = [row for row in rows if (row["configuration"], row["data"], row["protocol"]) == key]
    rows = [row for row in rows if row["method"] == rows[0]["method"]]
    if not rows:
        return ""
    values = " ".join(f"{row['metric']} {row['published']}" for row in rows)
    deltas = []
    for row in rows:
        digits = len(row["published"].partition(".")[2])
        deltas.append(f"{means[row['metric']] - float(row['published']):+.{digits}f}")
    source = rows[0]["source"]
    kind = "recorded" if rows[0]["checkpoint"] == "none" and "paper" not in source else "published"
    return f"{kind}: {values} ({source}), delta {' / '.join(deltas)}"
