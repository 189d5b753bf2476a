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

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.ops import complexity
from common.ops.autocast import autocast
from common.training.minimiser import Minimiser
from common.training.resumable import Resumable
from common.training.run_log import Means
from common.training.sampling import Batches, Positions, usual_workers
from common.training.weight_average import WeightAverage

DIGITS = {"psnr": ".3f", "ssim": ".4f", "epe": ".4f"}  # of what is printed; the rest are losses


class Training(Resumable):
    """A training whose place is its step and how many samples it has consumed; use it in a `with` block.

    Args:
        options: of the command line: dist, device, log_root, resume and delete_log are read.
        config: the settings.
        scalar: how a value is called in the log.
        names: `picture` and `digits` of `Resumable`.

    Attributes:
        position: samples of the present data set that were consumed by all processes.
    """

    def __init__(self, options, config, *, scalar: str = "loss/itr_{split}_{key}", **names):
        super().__init__(options, config, **names)
        self.scalar, self.position = scalar, 0

    # Before the first step

    def batch_size(self, total: int, remedy: str = "give -b") -> int:
        """Samples of a step for this process.

        Raises:
            UsageError: `total` does not divide among the processes, and -b was not given.
        """
        parts = self.processes.world_size
        if not self.config.batch_size and total % parts:
            raise UsageError(f"a batch of {total} does not divide among {parts} processes: {remedy}")
        return self.config.batch_size or total // parts

    def begin(self, network: nn.Module, *, last: int, epoch: int) -> None:
        """Bring the network to its device, and it and the place back to what was saved, if anything was.

        Args:
            network: what is trained.
            last: step that ends the training.
            epoch: steps of an epoch, by which checkpoints are numbered.
        """
        self.network, self.last, self._epoch = network.to(self.processes.device), last, epoch
        self._saved_minimiser = None
        self.average = WeightAverage(self.network, self.config.ema)
        if self._saved is not None:
            weights, state, source = self._saved
            checkpoint_file.load_strict(network, weights, source)
            self.average.restore(state)
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
        processes, total = self.processes, self.config.total_batch
        together = size * processes.world_size
        self.log.say(
            f"{text}; {processes.world_size} x {size} samples a step on {processes.device}; "
            f"run folder {self.folder.path}"
        )
        if together != total:
            self.log.say(
                f"warning: {together} samples a step instead of the preset's {total}; the number of steps "
                "stays, but published scores are those of the preset's"
            )
        self.write_description(lambda: (macs(), complexity.parameters(self.network)), [model_file])

    # The loop

    def steps(self, samples: Dataset, size: int, last: int, label: str = "") -> Iterator[dict[str, Tensor]]:
        """Batches up to the step `last`, or until a signal comes; after each step the newest state is saved where due.

        Args:
            samples: indexed by the position.
            size: samples of a step for this process.
            last: step that ends the loop.
            label: of the progress bar, beside the mode.
        """
        if self.step >= last:  # no workers for nothing
            return
        config, processes = self.config, self.processes
        keys = Positions(size, first=self.position, rank=processes.rank, world_size=processes.world_size)
        workers = usual_workers() if config.thread_num < 0 else config.thread_num
        self._size, self._ends, self.means, self._began = size, last, Means(), time.time()
        with self.loop(label), Batches(samples, keys, workers=workers, device=processes.device) as batches:
            while self.step < last:
                yield next(batches)
                if self.is_due(config.save_every_step):
                    self._save_last()
                if self.step < self.last and self.stop_if_asked():
                    return

    def forward(self, *inputs):
        """The objective under the precision of `--amp`."""
        with autocast(self.processes.device, self.config.amp):
            return self._model(*inputs)

    def update(self, losses: dict[str, Tensor]) -> None:
        """One optimiser step that minimises the first of the losses; the others are its parts, for the log.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        values = self._minimiser.step(losses, self.rate(self.step), self._clip)
        self.position += self._size * self.processes.world_size
        self.count(values, self._size)
        self.average.update(self.step)

    def is_due(self, every: int) -> bool:
        """Whether something that is done every so many steps, and at the loop's last one, is to be done now."""
        return self.step % every == 0 or self.step == self._ends

    # What it tells and saves

    @contextmanager
    def testing(self) -> Iterator[None]:
        """The network as it is tested, in a `with` block: in evaluation mode, with its average weights."""
        training = [module for module in self.network.modules() if module.training]
        self.network.eval()
        with torch.no_grad(), self.average.applied():
            yield
        for module in training:
            module.training = True

    def report_means(self, where: str = "", scalar: str = "") -> None:
        """Log the losses' means over all processes since the last call, and the learning rate."""
        means = self.means.over(self.processes, self._values)
        self.report("train", means, time.time() - self._began, where, scalar)
        self.log.scalar("train", "learning_rate", self.rate(self.step), self.step)
        self.means, self._began = Means(), time.time()

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
        place = f"{where} step" if where else "step"
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] {place}:{self.step}/{self.last} "
            f"time:{seconds:.1f} s lr:{self.rate(self.step):.5e} {parts}"
        )

    def _weights(self) -> dict[str, Tensor]:
        return self.average.weights()

    def _state(self) -> dict:
        place = {"epoch": math.ceil(self.step / self._epoch), "step": self.step, "position": self.position}
        return place | self._minimiser.state() | self.average.state()
