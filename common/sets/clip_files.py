"""The files of a set of clips: uint8 memory maps, their blurry twins, the manifest; written whole, checked.

    <root>/clips.csv                        a line a clip: COLUMNS
          /{train,test}/<clip>.npy          (T, H, W, 3) uint8 RGB
          /{train,test}/<clip>_blur.npy     the blurry twins of its frames

A memory map needs no decoding, and a crop reads only its pages: see datasets/README.md for what else was measured.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from common import atomic
from common.degrade.motion_blur import blur_clip
from common.sets.clips import SPLITS
from common.sets.resumable_jobs import run_jobs
from common.sets.vimeo90k import read_text
from common.stop_request import StopRequest

MANIFEST = "clips.csv"
COLUMNS = (
    "clip", "split", "source", "sha256", "frames", "first_frame", "last_frame", "width", "height", "licence",
    "sharpness", "blur",
)  # fmt: skip
SHORTEST, LONGEST = 9, 64  # frames of a clip
SHARP = 1.0  # sharpness from which on a clip is the truth of a blurry twin
SOFT = "soft"  # in the column blur: asked for, and left out


def path_of(root: Path, row: dict[str, str], kind: str = "") -> Path:
    """The file of a clip; `kind` is "_blur" for its twin."""
    return root / row["split"] / f"{row['clip']}{kind}.npy"


def write_array(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames HxWx3 uint8, or what else there is one of for each, as one .npy, whole or not at all."""
    with atomic.replacing(path, sync=False) as file:
        np.save(file, np.stack(frames))


def row_of(clip: str, frames: Sequence[np.ndarray], numbers: Sequence[int], **told: str) -> dict[str, str]:
    """The line of the manifest for a clip.

    Args:
        clip: its name.
        frames: HxWx3 uint8 each.
        numbers: of each in its source.
        told: split, source, sha256 and licence.
    """
    height, width = frames[0].shape[:2]
    values = {
        "clip": clip, "frames": len(frames), "first_frame": numbers[0], "last_frame": numbers[-1], "width": width,
        "height": height, "sharpness": f"{sharpness(frames):.3f}", "blur": "",
    }  # fmt: skip
    return {key: str((values | told)[key]) for key in COLUMNS}


def sharpness(frames: Sequence[np.ndarray]) -> float:
    """How much of a clip's detail is as fine as pixels, whatever its contrast: the mean over every fourth frame.

    Of a frame: mean |Laplacian| of grey over mean |grey - grey blurred by a Gaussian of sigma 3|. Measured: 0.8 to 1.1
    for soft sources (phones indoors, films made small by little), 1.2 to 2.0 for sharp ones.

    Args:
        frames: HxWx3 uint8 each.
    """
    values = []
    for frame in frames[::4]:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        coarse = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 3)).mean()
        values.append(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean() / max(coarse, 1))
    return float(np.mean(values))


def read_manifest(root: Path) -> list[dict[str, str]]:
    """The lines of clips.csv; none where there is no such file.

    Raises:
        ValueError: it has other columns.
    """
    path = root / MANIFEST
    if not path.is_file():
        return []
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    if rows and tuple(rows[0]) != COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}; move {root} away to make the set again")
    return rows


def write_manifest(root: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write clips.csv, test behind train, clips in the order of their names."""
    write_csv(root / MANIFEST, COLUMNS, sorted(rows, key=lambda row: (SPLITS.index(row["split"]), row["clip"])))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    """Write a table with a header, whole or not at all."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    atomic.write_text(path, text.getvalue())


def exposure_of(clip: str) -> float:
    """Of a clip's blurry twin, 0.50 to 1.50 frame intervals, drawn by its name."""
    return 0.5 + int(hashlib.sha256(clip.encode()).hexdigest()[:8], 16) % 101 / 100


def add_blur(root: Path, rows: list[dict[str, str]], *, workers: int, stop: StopRequest) -> int:
    """Make the blurry twins that are missing, and tell them in `rows` and in the manifest.

    Returns:
        The number of clips left, because a signal came.
    """

    def work(row):
        if float(row["sharpness"]) < SHARP:
            row["blur"] = SOFT
        elif array_fault(twin := path_of(root, row, "_blur"), row):
            write_array(twin, blur_clip(np.load(path_of(root, row)), exposure_of(row["clip"])))
        if row["blur"] != SOFT:
            row["blur"] = f"{exposure_of(row['clip']):.2f}"

    _, left = run_jobs(work, rows, workers=workers, title="blur", unit="clip", stop=stop)
    write_manifest(root, rows)
    return left


def array_fault(path: Path, row: dict[str, str]) -> str:
    """What is wrong with the .npy file of a clip, by its header and length; empty if nothing is."""
    try:
        found = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        return f"{path}: missing"
    except (ValueError, EOFError, OSError) as error:
        return f"{path}: damaged or cut off ({error})"
    expected = (int(row["frames"]), int(row["height"]), int(row["width"]), 3)
    if found.dtype != np.uint8 or found.shape != expected:
        return f"{path}: {found.dtype} {found.shape}, expected uint8 {expected}"
    return ""


def faults(root: Path) -> list[str]:
    """Everything that is wrong with a set: a line a fault, which names the file. Every value is read."""
    if not (root / MANIFEST).is_file():
        return [f"{root / MANIFEST}: missing"]
    rows, found, known, split_of = read_manifest(root), [], set(), {}
    if not rows:
        found.append(f"{root / MANIFEST}: no clips")
    for row in rows:
        found += _row_faults(root, row)
        name = path_of(root, row)
        if name in known:
            found.append(f"{root / MANIFEST}: {row['clip']} is there twice")
        known |= {name, *((path_of(root, row, "_blur"),) if row["blur"] not in ("", SOFT) else ())}
        if split_of.setdefault(row["sha256"], row["split"]) != row["split"]:
            found.append(f"{root / MANIFEST}: {row['source']} has clips in both splits")
    there = {path for split in SPLITS for path in (root / split).glob("*.npy")}
    found += [f"{path}: not in {MANIFEST}" for path in sorted(there - known) if not path.stem.endswith("_flow")]
    return found


def _row_faults(root, row):
    path, count = path_of(root, row), int(row["frames"])
    if not SHORTEST <= count <= LONGEST:
        yield f"{path}: {count} frames, expected {SHORTEST} to {LONGEST}"
    kinds = ["", *(["_blur"] if row["blur"] not in ("", SOFT) else [])]
    wrong = [fault for kind in kinds if (fault := array_fault(path_of(root, row, kind), row))]
    yield from wrong
    if not wrong:
        arrays = [np.load(path_of(root, row, kind)) for kind in kinds]
        if f"{sharpness(arrays[0]):.3f}" != row["sharpness"]:
            yield f"{path}: not the frames of {MANIFEST}: sharpness {sharpness(arrays[0]):.3f}, not {row['sharpness']}"
        if len(arrays) > 1 and arrays[1].mean() == 0 < arrays[0].mean():
            yield f"{path_of(root, row, '_blur')}: black"
