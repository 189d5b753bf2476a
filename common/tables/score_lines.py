"""The lines and files in which an evaluation tells its scores, read back: totals, means of single clips."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

MANY = 64  # samples, from which on their folders are told in their place


def totals(lines: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """{(protocol, metric): (value, frames)} of the lines that an evaluation prints."""
    values = {}
    for line in lines:
        found = re.match(r"\[TOTAL [^]]*\] (.*) (\d+) frames, protocol (\w+)", line)
        for metric, value in re.findall(r"([\w-]+): (\S+)", found[1]) if found else ():
            values[found[3], metric] = (value, found[2])
    return values


def result_folder(lines: list[str]) -> Path:
    """Where an evaluation that printed these lines wrote its score files.

    Raises:
        ValueError: it does not say.
    """
    for line in reversed(lines):
        found = re.match(r"(?:pictures and )?scores[^:]*: (.+)", line)
        if found:
            return Path(found[1])
    raise ValueError("the evaluation wrote no scores")


def clip_means(folder: Path, protocols: Iterable[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Means of single clips, from the score files of an evaluation.

    A file that has no lines of means tells its samples in their place: each, or where they are many, by their folder.

    Args:
        folder: of the score files.
        protocols: by which was scored; a file whose name ends with none of them is of the first one.

    Returns:
        Protocol -> clip -> metric -> value, and "frames" -> how many.
    """
    found = {}
    for path in sorted(folder.glob("score_*.txt")):
        named = [name for name in protocols if path.stem.endswith(f"_{name}")]
        protocol = max(named, key=len) if named else next(iter(protocols))
        clips, samples = {}, {}
        for line in path.read_text().splitlines():
            values = {metric: float(value) for metric, value in re.findall(r"([\w-]+): (-?[\d.]+|inf)", line)}
            mean = re.match(r"\[MEAN (?:EVAL )?(?:[^]|]*\|)*([^]|]*)\]", line)
            frame = re.match(r"(?!\[)(\S+) ", line)
            if mean:
                count = re.search(r" (\d+) frames$", line)
                clips[mean[1]] = values | {"frames": int(count[1]) if count else 0}
            elif frame:
                samples.setdefault(frame[1], []).append(values)
        found[protocol] = clips or _by_clip(samples)
    return found


def _by_clip(samples: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means of each sample's frames, or of those of its folder."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, values in samples.items():
        groups.setdefault(name if len(samples) <= MANY else name.split("/")[0], []).extend(values)
    return {
        name: {metric: float(np.mean([value[metric] for value in values])) for metric in values[0]}
        | {"frames": len(values)}
        for name, values in groups.items()
    }
