"""What a run tells: scalars to TensorBoard and metrics.jsonl, pictures, lines beside a progress bar; means of them."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.training.distributed import Processes


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
        self._metrics = None

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
            if not self._metrics:
                self._metrics = open(self.folder / "metrics.jsonl", "a")
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
        if self._metrics:
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
