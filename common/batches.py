"""Batches for a training loop: on the device, without end, errors in one line, workers that end with the loop."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.distributed import to_device
from common.interrupt import start_worker


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
            RuntimeError: a worker died, as of a SIGTERM to all processes.
        """
        try:
            return to_device(next(self._iterator), self.device)
        except ValueError as error:  # a worker hands on its traceback: the last line is the error itself
            raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None
