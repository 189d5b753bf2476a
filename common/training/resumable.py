"""A training that may be stopped at any step and gone on with: its run folder, its log, its signals, its errors.

What is its place, and what is saved of it, tells a subclass: `Training` of common/training/loop.py counts samples,
PVDNet's counts epochs, batches and frames.
"""

import dataclasses
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from common import settings
from common.cli import OneProcessError
from common.stop_request import StopRequest
from common.training import distributed, run_log, sample_pictures
from common.training.run_folder import RunFolder, next_run


class Resumable(ABC):
    """One training; use it in a `with` block.

    Args:
        options: of the command line: dist, device, log_root, resume and delete_log are read.
        config: the settings; a run whose `mode` is empty takes the next number for its name.
        picture: how a sample picture is called in the log.
        digits: of the step in the names of sample pictures.

    Attributes:
        processes: this process among all.
        step: optimiser steps that are done.
        last: step that ends the training; a subclass sets it before the loop.
        stopped: the signal that ended the training before its last step.
        means: of the losses of the steps since it was made.
        unit: how a step is called in what is printed.
    """

    unit = "step"

    def __init__(self, options, config, *, picture: str = "sample/{key}", digits: int = 6):
        self.options, self.config, self.picture, self.digits = options, config, picture, digits
        self.step = 0
        self.stopped: int | None = None
        self.means = run_log.Means()
        self._saved_at = None  # step of the newest state on the disk
        self._trained = self._in_loop = False

    def __enter__(self):
        options, config = self.options, self.config
        with ExitStack() as stack:
            self.processes = stack.enter_context(distributed.joined(options))
            if not config.mode:
                number = next_run(Path(options.log_root, config.project)) if self.processes.is_main else None
                config = self.config = dataclasses.replace(config, mode=self.processes.broadcast(number))
            path = Path(options.log_root, config.project, config.mode)
            self.folder = RunFolder(path, config.mode, config.max_ckpt_num)
            stack.enter_context(self.folder.claimed(options, self.processes))
            self.log = run_log.RunLog(path, self.processes.is_main)
            stack.callback(self.log.close)
            torch.manual_seed(config.manual_seed)
            torch.backends.cudnn.benchmark = True
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace):
        self._stack.__exit__(kind, error, trace)
        if isinstance(error, FloatingPointError):
            good = self.folder.last_good()
            raise FloatingPointError(f"step {self.step + 1}: {error}; last good checkpoint: {good}") from None
        if self.processes.world_size > 1 and self._in_loop and isinstance(error, ValueError | OSError):
            raise OneProcessError(f"process {self.processes.rank}: {error}") from error

    # Before the first step

    def share(self, samples: list, count: int = 0) -> list:
        """This process's part of the samples; of `count` of them, evenly spread, if it is given."""
        count = min(count or len(samples), len(samples))
        chosen = [samples[k * len(samples) // count] for k in range(count)]
        return chosen[self.processes.rank :: self.processes.world_size]

    def find_saved(self) -> bool:
        """Whether there is a state to go on from."""
        self._saved = self.folder.find_saved(self.options.resume, self.processes)
        return self._saved is not None

    def write_description(self, cost: Callable[[], tuple[int, int]], files: Iterable[Path]) -> None:
        """Write settings, cost and copies of the network's files; tell the cost.

        Args:
            cost: counts multiply-accumulates for one 1280x720 frame, and parameters.
            files: of the network.
        """
        if self.processes.is_main:
            text = settings.to_json(self.config)
            self.log.text("config", text)
            self.log.say(self.folder.describe(text, cost(), self.step).rstrip())
            for file in files:
                shutil.copy(file, self.folder.path / file.name)

    # The loop

    @contextmanager
    def loop(self, label: str = "") -> Iterator[None]:
        """What is around a loop: a progress bar, and signals that wait for the end of a step.

        Args:
            label: of the progress bar, beside the mode.
        """
        self._in_loop = True
        self._bar = self.log.progress(self.last, f"{self.config.mode} {label}".strip(), self.unit)
        self._bar.update(self.step)
        with self._bar, StopRequest() as self._request:
            yield
        self._in_loop = False

    def count(self, values: dict[str, float], weight: int) -> None:
        """A step is done, and `values` are its losses, means of `weight` samples."""
        self.step += 1
        self._trained = True
        self._values = values
        self.means.add(values, weight)
        self._bar.update()
        self._bar.set_postfix(values, refresh=False)

    def stop_if_asked(self) -> bool:
        """If a signal came to any process, save where it is and tell how to go on; whether one came."""
        asked = self.processes.any(self._request.signal is not None)[0]
        if asked:
            self._stop(self._request.signal or signal.SIGTERM)
        return asked

    # What it shows and keeps

    def show(self, split: str, pictures: dict, number: int = 0, where: str = "") -> None:
        """Save sample pictures of a step: of "train", or of "valid" with a number from 1; `where` begins the names."""
        if self.processes.is_main:
            prefix = f"{where}I{self.step:0{self.digits}}" + (f"_V{number:02}" if number else "")
            sample_pictures.save(self.folder.path / "sample" / split, prefix, pictures)
            if number in (0, 1):  # one sample is enough for TensorBoard
                for key, picture in pictures.items():
                    self.log.picture(split, self.picture.format(key=key), picture, self.step)

    def keep(self, score: float | None) -> None:
        """Keep a checkpoint with its score, the higher the better; None: save only the newest state."""
        if score is not None:
            self.rank([score])
        self._save_last()
        self.log.flush()

    def rank(self, scores: list[float]) -> None:
        """Keep a checkpoint by the first of its scores."""
        state = self._state()
        if self.processes.is_main:
            self.folder.manager.save(self._weights(), state, state["epoch"], scores)

    @abstractmethod
    def _weights(self) -> dict[str, Tensor]:
        """The network's, as they are saved."""

    @abstractmethod
    def _state(self) -> dict:
        """What a resume needs besides, `epoch` among it; every process takes part."""

    def _save_last(self) -> None:
        if self._saved_at != self.step:
            state = self._state()
            if self.processes.is_main:
                self.folder.save_last(self._weights(), state)
            self._saved_at, self._trained = self.step, True

    def _stop(self, number: int) -> None:
        """Save where it is and tell how to go on."""
        self.stopped = number
        self._save_last()
        self.log.say(
            f"stopped after {self.unit} {self.step} and saved {self.folder.last_file}; "
            "go on with the same command and -r auto"
        )

    def end(self) -> int:
        """Tell that the training is done, if it is; returns the exit code."""
        if self.stopped:
            return 128 + self.stopped
        if not self._trained:
            self.log.say(f"nothing to do: {self.unit} {self.last} was the last")
        else:
            self.log.say(f"done: {self.step} {self.unit}s; checkpoints in {self.folder.manager.folder}")
        return 0
