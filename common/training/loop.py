"""A training in its run folder: what is the same in every paper, whatever is drawn, computed and minimised.

    with Training(options, config) as run:
        samples, test = ...                                  # what is drawn
        network = ... if run.find_saved() else ...           # what is computed
        run.begin(network, last=..., epoch=...)
        run.minimise(objective, optimizer, rate)             # by which optimiser and schedule
        run.describe(...)
        for batch in run.steps(samples, size, last):
            losses, outputs = run.forward(batch)
            run.update(losses)
            if run.is_due(config.write_log_every_step):
                run.report_means()
            if run.is_due(config.valid_every_step):
                run.keep(validate(...))
        return run.end()

A run's place is its step and how many samples it has consumed. Both are saved with the weights, nothing is drawn from
global generators, and nothing else decides what comes next: a resumed run computes what an undisturbed one would, with
any number of processes.
"""

import dataclasses
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from common import settings
from common.checkpoints import checkpoint_file
from common.cli import OneProcessError, UsageError
from common.ops import complexity
from common.ops.autocast import autocast
from common.stop_request import StopRequest
from common.training import distributed, sample_pictures
from common.training.minimiser import Minimiser
from common.training.run_folder import RunFolder, next_run
from common.training.run_log import Means, RunLog
from common.training.sampling import Batches, Positions

WORKERS = 16  # at most, where thread_num does not tell
DIGITS = {"psnr": ".3f", "ssim": ".4f", "epe": ".4f"}  # of what is printed; the rest are losses


class Training:
    """One training; use it in a `with` block.

    Args:
        options: of the command line: dist, device, log_root, resume and delete_log are read.
        config: the settings; a run whose `mode` is empty takes the next number for its name.
        scalar: how a value is called in the log.
        picture: how a sample picture is called in the log.
        digits: of the step in the names of sample pictures.

    Attributes:
        processes: this process among all.
        step: optimiser steps that are done.
        position: samples of the present data set that were consumed by all processes.
        stopped: the signal that ended the training before its last step.
    """

    def __init__(
        self, options, config, *, scalar: str = "loss/itr_{split}_{key}", picture: str = "sample/{key}", digits: int = 6
    ):
        self.options, self.config = options, config
        self.scalar, self.picture, self.digits = scalar, picture, digits
        self.step = self.position = 0
        self.stopped: int | None = None
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
            self.log = RunLog(path, self.processes.is_main)
            stack.callback(self.log.close)
            torch.manual_seed(config.manual_seed)
            torch.backends.cudnn.benchmark = True
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace):
        self._stack.__exit__(kind, error, trace)
        alone = self.processes.world_size == 1
        if alone or not self._in_loop:
            return
        if isinstance(error, ValueError | OSError):
            raise OneProcessError(f"process {self.processes.rank}: {error}") from error
        if distributed.is_lost(error):
            raise ValueError("another process has ended, and its line tells why") from error

    # Before the first step

    def share(self, samples: list, count: int = 0) -> list:
        """This process's part of the samples; of `count` of them, evenly spread, if it is given."""
        count = min(count or len(samples), len(samples))
        chosen = [samples[k * len(samples) // count] for k in range(count)]
        return chosen[self.processes.rank :: self.processes.world_size]

    def batch_size(self, total: int, remedy: str = "give -b") -> int:
        """Samples of a step for this process.

        Raises:
            UsageError: `total` does not divide among the processes, and -b was not given.
        """
        parts = self.processes.world_size
        if not self.config.batch_size and total % parts:
            raise UsageError(f"a batch of {total} does not divide among {parts} processes: {remedy}")
        return self.config.batch_size or total // parts

    def find_saved(self) -> bool:
        """Whether there is a state to go on from."""
        self._saved = self.folder.find_saved(self.options.resume, self.processes)
        return self._saved is not None

    def begin(self, network: nn.Module, *, last: int, epoch: int) -> None:
        """Bring the network to its device, and it and the place back to what was saved, if anything was.

        Args:
            network: what is trained.
            last: step that ends the training.
            epoch: steps of an epoch, by which checkpoints are numbered.
        """
        self.network, self.last, self._epoch = network.to(self.processes.device), last, epoch
        self._saved_minimiser = None
        if self._saved is not None:
            weights, state, source = self._saved
            checkpoint_file.load_strict(network, weights, source)
            self.step, self.position, self._saved_minimiser = state["step"], state["position"], state
            self.log.say(f"resumed from {source}: step {self.step}")
            self._saved = None

    def minimise(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        rate: Callable[[int], float],
        *,
        clip: Callable[[], object] | None = None,
        find_unused: bool = False,
        first: int = 0,
    ) -> None:
        """What is minimised from now on, and how.

        Args:
            objective: what `forward` calls: the network, or a module with its losses.
            optimizer: of what learns.
            rate: the learning rate of a step.
            clip: changes gradients before a step.
            find_unused: whether some parameters may have no gradient in a step.
            first: the step that this begins with; a saved state of an earlier one is of something else.
        """
        self.rate, self._clip = rate, clip
        self._minimiser = Minimiser(optimizer, self.processes, self.config.amp)
        if self.step == first:
            self.position = 0
        elif self._saved_minimiser:
            self._minimiser.restore(self._saved_minimiser)
        self._saved_minimiser = None
        if self.config.compile:
            objective.compile()
        self._model = objective
        if self.processes.world_size > 1:
            self._model = DistributedDataParallel(objective, find_unused_parameters=find_unused)

    def describe(self, text: str, macs: Callable[[], int], model_file: Path, size: int) -> None:
        """Say what will be done; write settings, cost and a copy of the network's file.

        Args:
            text: what is drawn.
            macs: counts multiply-accumulates for one 1280x720 frame.
            model_file: of the network.
            size: samples of a step for this process.
        """
        config, processes = self.config, self.processes
        together = size * processes.world_size
        self.log.say(
            f"{text}; {processes.world_size} x {size} samples a step on {processes.device}; "
            f"run folder {self.folder.path}"
        )
        if together != config.total_batch:
            self.log.say(
                f"warning: {together} samples a step instead of the preset's {config.total_batch}; the number of steps "
                "stays, but published scores are those of the preset's"
            )
        if processes.is_main:
            cost = macs(), complexity.parameters(self.network)
            self.log.text("config", settings.to_json(config))
            self.log.say(self.folder.describe(settings.to_json(config), cost, self.step).rstrip())
            shutil.copy(model_file, self.folder.path / model_file.name)

    # The loop

    def steps(self, samples: Dataset, size: int, last: int, label: str = "") -> Iterator[dict[str, Tensor]]:
        """Batches up to the step `last`, or until a signal comes; after each step the newest state is saved where due.

        Args:
            samples: indexed by the position.
            size: samples of a step for this process.
            last: step that ends the loop.
            label: of the progress bar, beside the mode.
        """
        config, processes = self.config, self.processes
        keys = Positions(size, first=self.position, rank=processes.rank, world_size=processes.world_size)
        workers = min(size, WORKERS) if config.thread_num < 0 else config.thread_num
        self._size, self._ends, self._means, self._began = size, last, Means(), time.time()
        self._in_loop = True
        bar = self.log.progress(self.last, f"{config.mode} {label}".strip(), "step")
        bar.update(self.step)
        with bar, StopRequest() as stop, Batches(samples, keys, workers=workers, device=processes.device) as batches:
            while self.step < last:
                try:
                    batch = next(batches)
                except RuntimeError:  # its workers got the SIGTERM before we did
                    if stop.signal is None or processes.world_size > 1:
                        raise
                    self._stop(stop.signal)
                    return
                yield batch
                bar.update()
                bar.set_postfix(self._values, refresh=False)
                if self.is_due(config.save_every_step):
                    self._save_last()
                if processes.any(stop.signal is not None)[0] and self.step < self.last:
                    self._stop(stop.signal or signal.SIGTERM)
                    return
        self._in_loop = False

    def forward(self, *inputs):
        """The objective under the precision of `--amp`."""
        with autocast(self.processes.device, self.config.amp):
            return self._model(*inputs)

    def update(self, losses: dict[str, Tensor]) -> None:
        """One optimiser step that minimises the first of the losses; the others are its parts, for the log.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        try:
            self._values = self._minimiser.step(losses, self.rate(self.step), self._clip)
        except FloatingPointError as error:
            good = self.folder.last_good()
            raise FloatingPointError(f"step {self.step + 1}: {error}; last good checkpoint: {good}") from None
        self._trained = True
        self.step += 1
        self.position += self._size * self.processes.world_size
        self._means.add(self._values, self._size)

    def is_due(self, every: int) -> bool:
        """Whether something that is done every so many steps, and at the loop's last one, is to be done now."""
        return self.step % every == 0 or self.step == self._ends

    # What it tells and keeps

    def report_means(self, where: str = "", scalar: str = "") -> None:
        """Log the losses' means over all processes since the last call, and the learning rate."""
        means = self._means.over(self.processes, self._values)
        self.report("train", means, time.time() - self._began, where, scalar)
        self.log.scalar("train", "learning_rate", self.rate(self.step), self.step)
        self._means, self._began = Means(), time.time()

    def report(self, split: str, means: dict[str, float], seconds: float, where: str = "", scalar: str = "") -> None:
        """Log means of "train" or "valid" and print them.

        Args:
            split: of the data.
            means: name -> value.
            seconds: that it took.
            where: what else tells the place, such as the epoch.
            scalar: how a value is called in the log, if not as all.
        """
        for key, value in means.items():
            self.log.scalar(split, (scalar or self.scalar).format(split=split, key=key), value, self.step)
        parts = " ".join(f"{key}:{value:{DIGITS.get(key, '.4e')}}" for key, value in means.items())
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] {f'{where} '.lstrip()}step:{self.step}/{self.last} "
            f"time:{seconds:.1f} s lr:{self.rate(self.step):.5e} {parts}"
        )

    def show(self, split: str, pictures: dict, number: int = 0) -> None:
        """Save sample pictures of a step: of "train", or of "valid" with a number from 1."""
        if self.processes.is_main:
            prefix = f"I{self.step:0{self.digits}}" + (f"_V{number:02}" if number else "")
            sample_pictures.save(self.folder.path / "sample" / split, prefix, pictures)
            if number in (0, 1):  # one sample is enough for TensorBoard
                for key, picture in pictures.items():
                    self.log.picture(split, self.picture.format(key=key), picture, self.step)

    def keep(self, score: float | None) -> None:
        """Keep a checkpoint with its score, the higher the better; None: save only the newest state."""
        if self.processes.is_main and score is not None:
            state = self._state()
            self.folder.manager.save(self.network.state_dict(), state, state["epoch"], [score])
        self._save_last()
        self.log.flush()

    def _state(self) -> dict:
        """What a resume needs besides the weights."""
        place = {"epoch": math.ceil(self.step / self._epoch), "step": self.step, "position": self.position}
        return place | self._minimiser.state()

    def _save_last(self) -> None:
        if self.processes.is_main and self._saved_at != self.step:
            self.folder.save_last(self.network.state_dict(), self._state())
        self._saved_at = self.step

    def _stop(self, number: int) -> None:
        """Save where it is and tell how to go on."""
        self.stopped = number
        self._save_last()
        self.log.say(
            f"stopped after step {self.step} and saved {self.folder.last_file}; go on with the same command and -r auto"
        )

    def end(self) -> int:
        """Tell that the training is done, if it is; returns the exit code."""
        if self.stopped:
            return 128 + self.stopped
        if not self._trained:
            self.log.say(f"nothing to do: step {self.last} was the last")
        else:
            self.log.say(f"done: {self.step} steps; checkpoints in {self.folder.manager.folder}")
        return 0
