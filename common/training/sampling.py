"""Batches for a training loop: on the device, without end, errors in one line, workers that end with the loop.

A run's place is its position: how many samples it has consumed. Which sample stands at a position depends on the seed
alone, so any number of processes, and any resume, sees the same ones.
"""

import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.stop_request import start_worker

WORKERS = 16  # of a training, at most, where nobody tells


def usual_workers() -> int:
    """How many processes read ahead for a training, where nobody tells: as many as it has cores to itself, up to 16."""
    trainings = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(WORKERS, len(os.sched_getaffinity(0)) // trainings))


class Batches:
    """What a DataLoader gives; use it in a `with` block.

    Args:
        dataset: of dictionaries of tensors.
        batch_sampler: lists of the dataset's keys.
        workers: processes that read ahead.
        device: where the batches go.
    """

    def __init__(self, dataset: Dataset, batch_sampler: Iterable[list], *, workers: int, device: torch.device):
        self.device = device
        loader = DataLoader(
            dataset,
            batch_sampler=batch_sampler,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=start_worker,
            generator=torch.Generator().manual_seed(0),  # else starting a loader would use up the global one
        )
        self._iterator = iter(loader)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if hasattr(self._iterator, "_shutdown_workers"):  # PyTorch leaves it to the garbage collector
            self._iterator._shutdown_workers()

    def __iter__(self):
        return self

    def __next__(self) -> dict[str, Tensor]:
        """The next batch.

        Raises:
            ValueError: a sample cannot be read.
            RuntimeError: a worker was killed.
        """
        try:
            return to_device(next(self._iterator), self.device)
        except ValueError as error:  # a worker hands on its traceback: the last line is the error itself
            raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None


class Positions:
    """Positions of one process's samples, a list a step, from the run's position `first` on without end."""

    def __init__(self, batch_size: int, *, first: int = 0, rank: int = 0, world_size: int = 1):
        self.batch_size, self.first, self.rank, self.world_size = batch_size, first, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first + self.rank * self.batch_size
        while True:
            yield list(range(start, start + self.batch_size))
            start += self.world_size * self.batch_size


class ShuffledOrder:
    """Which of `count` samples stands at a position: all of them in a new order, again and again."""

    def __init__(self, count: int, seed: int):
        self.count, self.seed = count, seed
        self._turn, self._order = -1, []

    def __call__(self, position: int) -> int:
        turn = position // self.count
        if self._turn != turn:  # a permutation is kept until it is used up
            draw = torch.Generator().manual_seed(1_000_003 * self.seed + turn)
            self._order, self._turn = torch.randperm(self.count, generator=draw).tolist(), turn
        return self._order[position % self.count]


def to_tensor(frame: np.ndarray) -> Tensor:
    """HxWxC uint8 in [0, 255] -> (C, H, W) float32 in [0, 1]; float stays as it is."""
    tensor = as_tensor(frame)
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


def as_tensor(frame: np.ndarray) -> Tensor:
    """HxWxC -> (C, H, W); uint8 stays so until `to_device`: batches travel in a quarter of the bytes."""
    tensor = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))
    return tensor if tensor.dtype == torch.uint8 else tensor.float()


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Move every tensor of a batch; there uint8 in [0, 255] becomes float32 in [0, 1]."""
    moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
    return {key: value.float() / 255 if value.dtype == torch.uint8 else value for key, value in moved.items()}
