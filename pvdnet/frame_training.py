"""A training in epochs of batches of clips, one optimiser step a frame: where it is, and how it goes on from there.

The place is (epoch, batch, frame). It is saved with the weights after every epoch and when the run is stopped, and
nothing else decides what comes next, so a resumed run computes what an undisturbed one would.
"""

import shutil
from collections.abc import Iterator

from torch import Tensor

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.training.resumable import Resumable
from common.training.run_log import Means
from common.training.sampling import Batches


class FrameTraining(Resumable):
    """One training; use it in a `with` block.

    Attributes:
        epoch: the next one, from 1.
        batch: the next one in it, from 0.
        frame: the next one of its clips, from 0.
        memory: what the frame before has left for it; None before a batch is drawn.
    """

    unit = "iteration"

    def __init__(self, options, config):
        super().__init__(options, config)
        self.epoch, self.batch, self.frame, self.memory = 1, 0, 0, None

    def begin(self, trainer, epochs: int, per_epoch: int) -> None:
        """Bring the trainer, the place and the random states back to what was saved, if anything was.

        Args:
            trainer: of models/trainers.
            epochs: of the whole training.
            per_epoch: batches of an epoch.

        Raises:
            UsageError: it was saved within an epoch by another number of processes.
        """
        self.trainer, self.epochs, self.per_epoch = trainer, epochs, per_epoch
        self.last = epochs * per_epoch * self.config.frame_itr_num
        if self._saved is None:
            return
        (weights, state, source), self._saved = self._saved, None
        trainer.restore(weights, state, source)
        self.step = trainer.itr["train"]
        self.epoch, self.batch, self.frame = state["place"]
        before, now = len(state["processes"]), self.processes.world_size
        if before == now:
            mine = state["processes"][self.processes.rank]
            checkpoint_file.set_random_states(mine["random"])
            self.memory = None if mine["memory"] is None else mine["memory"].to(self.processes.device)
            self.means.count, self.means.sums = mine["means"]
        elif self.batch or self.frame:
            raise UsageError(
                f"{source}: saved within an epoch by {before} processes, now there are {now}; "
                f"start as many, or resume from an epoch: -r {self.folder.manager.recent_epoch()}"
            )
        else:
            self.log.say(f"note: saved by {before} processes, now {now}: the batches change")
        self.log.say(f"resumed from {source}: epoch {self.epoch}, batch {self.batch}, frame {self.frame}")

    def frames(self, batches: Batches) -> Iterator[tuple[dict[str, Tensor], int]]:
        """A batch and a frame's number for every iteration to the epoch's end, or until a signal comes."""
        count = self.config.frame_itr_num
        while self.batch < self.per_epoch:
            batch = next(batches)
            if self.memory is None:
                self.memory = self.trainer.first_memory(batch)
            for frame in range(self.frame, count):
                yield batch, frame
                self.frame = frame + 1
                if self.frame == count:
                    self.batch, self.frame, self.memory = self.batch + 1, 0, None
                if self.stop_if_asked():
                    return
                if self.config.save_every_itr and self.step % self.config.save_every_itr == 0:
                    self._save_last()

    def report(self, split: str, means: dict[str, float], seconds: float) -> None:
        """Log and print the epoch's means of "train" or "valid"."""
        for key, value in means.items():
            self.log.scalar(split, f"loss/epoch_{split}_{key}", value, self.epoch)
            self.log.scalar(split, f"loss/itr_{split}_{key}", value, self.step)
        parts = ", ".join(f"{key}: {value:{'.4f' if key == 'psnr' else '.4e'}}" for key, value in means.items())
        rate = self.trainer.learning_rate()
        if split == "train":
            self.log.scalar(split, "learning_rate", rate, self.step)
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] EP {self.epoch}/{self.epochs} ({self.step}/{self.last}) "
            f"lr0: {rate:.2e} {seconds:.1f} s, *LOSS->[{parts}]"
        )

    def end_epoch(self, score: float | None) -> None:
        """Go to the next epoch; keep a checkpoint of this one with its score, if there is one."""
        if self.epoch % self.config.refresh_image_log_every_epoch == 0 and self.processes.is_main:
            shutil.rmtree(self.folder.path / "sample", ignore_errors=True)
        self.epoch, self.batch, self.means = self.epoch + 1, 0, Means()
        self.keep(score)

    def _weights(self) -> dict[str, Tensor]:
        return self.trainer.weights()

    def _state(self) -> dict:
        mine = {
            "random": checkpoint_file.random_states(),
            "memory": None if self.memory is None else self.memory.cpu(),
            "means": (self.means.count, self.means.sums),
        }
        place = {"place": (self.epoch, self.batch, self.frame), "processes": self.processes.gather(mine)}
        return {"epoch": self.epoch - 1, **self.trainer.state(), **place}
