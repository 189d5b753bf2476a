"""Evaluation, what is the same in several papers: frames read ahead, scores, and the lines that tell them."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np

from common.color import rgb_to_y
from common.metrics import interpolation_error, psnr, ssim
from common.protocols import Protocol
from common.tables import read

SMALLEST = 11  # pixels a side: the window of most SSIM
T = TypeVar("T")


class Score(NamedTuple):
    """A frame's scores: the number of its sample, its clip, metric -> value."""

    sample: int
    clip: str
    values: dict[str, float]


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
    """The protocol's metrics of one frame; for protocols on RGB or Y, without border or alignment.

    Args:
        protocol: how to score.
        prediction: HxWx3 float, nominally in [0, 1].
        truth: HxWx3 uint8.

    Returns:
        Metric -> value; PSNR is inf for equal images.

    Raises:
        ValueError: different shapes, fewer than 11 pixels a side, or NaN.
    """
    if np.isnan(prediction).any():
        raise ValueError("the result holds NaN values: the network diverged or its checkpoint is damaged")
    levels = 255 * prediction.astype(np.float64)
    if protocol.prediction == "uint8":
        # Every second value of a mean of two frames is a tie, which the noise of float32 must not decide.
        levels = np.floor(levels + (0.5 + 5e-5))
    if protocol.prediction != "float":
        levels = levels.clip(0, 255)
    shown, gt = (rgb_to_y(levels / 255), rgb_to_y(truth)) if protocol.space == "y" else (levels, truth)
    peak = protocol.peak
    if peak != 255:
        shown, gt = shown * (peak / 255), gt * (peak / 255)
    functions = {
        "PSNR": lambda: psnr(shown, gt, peak=peak),
        "SSIM": lambda: ssim(shown, gt, kind=protocol.ssim, peak=peak),
        "MAE": lambda: interpolation_error(shown, gt) / peak,
    }
    return {metric: functions[metric]() for metric in protocol.metrics}


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
    """The line that ends an evaluation, which `totals` reads.

    Args:
        label: what was scored on what.
        protocol: its name.
        values: of each frame, metric -> value.
        means: metric -> value.
    """
    equal = sum(value.get("PSNR") == np.inf for value in values)
    more = f", {equal} of them equal to the truth" if equal else ""
    return f"[TOTAL {label}] {text(means)} {len(values)} frames, protocol {protocol}{more}"


def totals(lines: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """{(protocol, metric): (value, frames)} of the lines that an evaluation prints."""
    values = {}
    for line in lines:
        found = re.match(r"\[TOTAL [^]]*\] (.*) (\d+) frames, protocol (\w+)", line)
        for metric, value in re.findall(r"(\w+): (\S+)", found[1]) if found else ():
            values[found[3], metric] = (value, found[2])
    return values


def published(paper: str, config: str, data: str, protocol: str, means: dict[str, float]) -> str:
    """The row of a paper's results.csv that these means (metric -> value) stand for, and how far they are from it.

    Empty if there is none. Where several methods share config, set and protocol, the first one counts.
    """
    key = (config, data, protocol)
    rows = [row for row in read(paper) if (row["config"], row["data"], row["protocol"]) == key and row["expected"]]
    rows = [row for row in rows if row["method"] == rows[0]["method"]]
    if not rows:
        return ""
    values = " ".join(f"{row['metric']} {row['expected']}" for row in rows)
    deltas = []
    for row in rows:
        digits = len(row["expected"].partition(".")[2])
        deltas.append(f"{means[row['metric']] - float(row['expected']):+.{digits}f}")
    source = rows[0]["source"]
    kind = "recorded" if rows[0]["checkpoint"] == "none" and "paper" not in source else "published"
    return f"{kind}: {values} ({source}), delta {' / '.join(deltas)}"
