"""A run folder: one writer at a time, scalars to TensorBoard and metrics.jsonl, sample pictures, a progress bar."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.cli import UsageError
from common.media.image import to_uint8, write_image
from common.training.distributed import Processes


def lock(folder: Path):
    """Hold the folder's lock until the returned file is closed or the process ends, however it ends.

    Raises:
        UsageError: another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / ".lock", "a+")
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UsageError(f"{folder}: another run is training there; wait for it, or choose another --mode") from None
    return file


def clear(folder: Path) -> None:
    """Delete everything in a run folder but its lock."""
    for path in folder.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def new_folder(parent: Path) -> Path:
    """A folder named by the minute, made; numbered where there is one already."""
    stamp = time.strftime("%Y_%m_%d_%H%M")
    folder, number = parent / stamp, 2
    while folder.exists():
        folder, number = parent / f"{stamp}_{number}", number + 1
    folder.mkdir(parents=True)
    return folder


class RunLog:
    """Scalars, pictures and text of a run; in other processes than the main one it does nothing.

    Args:
        folder: the run folder; TensorBoard reads `log/{train,valid}/{scalar,image}` under it, `metrics.jsonl` repeats
            every scalar as {"time", "tag", "step", "value"}.
        active: whether this process writes.
    """

    def __init__(self, folder: Path, active: bool):
        self.folder, self.active = folder, active
        self._writers = {}
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self._metrics = open(folder / "metrics.jsonl", "a")

    def _writer(self, split: str, kind: str):
        from torch.utils.tensorboard import SummaryWriter  # takes seconds to import: only runs that write pay

        key = (split, kind)
        if key not in self._writers:
            self._writers[key] = SummaryWriter(self.folder / "log" / split / kind)
        return self._writers[key]

    def scalar(self, split: str, tag: str, value: float, step: int) -> None:
        """One number of `split` ("train" or "valid") at a step or an epoch."""
        if self.active:
            self._writer(split, "scalar").add_scalar(tag, value, step)
            line = {"time": round(time.time(), 3), "tag": tag, "step": step, "value": float(value)}
            self._metrics.write(json.dumps(line) + "\n")
            self._metrics.flush()

    def picture(self, split: str, tag: str, image: np.ndarray, step: int) -> None:
        """One HxWx3 uint8 picture."""
        if self.active:
            self._writer(split, "image").add_image(tag, image, step, dataformats="HWC")

    def text(self, tag: str, text: str) -> None:
        """Text, such as the run's settings, shown as it is."""
        if self.active:
            self._writer("train", "scalar").add_text(tag, "```\n" + text + "\n```", 0)

    def say(self, line: str) -> None:
        """Print a line without breaking the progress bar."""
        if self.active:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def progress(self, total: int, label: str, unit: str) -> tqdm:
        """A progress bar on a terminal; silent elsewhere."""
        return tqdm(total=total, desc=label, unit=unit, disable=None if self.active else True, leave=False)

    def flush(self) -> None:
        """Write what TensorBoard still holds back."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Finish every file."""
        for writer in self._writers.values():
            writer.close()
        if self.active:
            self._metrics.close()


class Means:
    """Sums of values since it was made."""

    def __init__(self):
        self.count, self.sums = 0, {}

    def add(self, values: dict[str, float], weight: int) -> None:
        """Count `values` for `weight` samples."""
        self.count += weight
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value * weight

    def over(self, processes: Processes, keys) -> dict[str, float]:
        """Means over all processes."""
        count, *sums = processes.sum([float(self.count)] + [self.sums.get(key, 0.0) for key in keys])
        return {key: total / max(count, 1) for key, total in zip(keys, sums, strict=True)}


def grid(images: Tensor, columns: int = 3) -> np.ndarray:
    """Lay out a batch in rows.

    Args:
        images: (B, 3, H, W) in [0, 1]; values outside are clamped.
        columns: pictures per row.

    Returns:
        uint8 picture, a 2-pixel black line between its parts.
    """
    images = images.detach().float().cpu().nan_to_num(0)
    batch, _, height, width = images.shape
    columns = min(columns, batch)
    rows = -(-batch // columns)
    canvas = torch.zeros(3, rows * (height + 2) + 2, columns * (width + 2) + 2)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + 2) + 2, (number % columns) * (width + 2) + 2
        canvas[:, top : top + height, left : left + width] = image
    return to_uint8(canvas.permute(1, 2, 0).numpy())


def save_samples(folder: Path, prefix: str, pictures: dict[str, np.ndarray]) -> None:
    """Write `{prefix}_{n:02}_{key}.jpg` for every picture."""
    for number, (key, picture) in enumerate(pictures.items(), 1):
        write_image(folder / f"{prefix}_{number:02}_{key}.jpg", picture)
