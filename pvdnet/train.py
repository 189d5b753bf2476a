"""Training: the run folder, the loop over epochs, batches and frames, saving and exact resume.

A run's place is (epoch, batch, frame). It is saved with the weights after every epoch and when the run is stopped, and
nothing else decides what comes next, so a resumed run computes what an undisturbed one would.
"""

import importlib
import math
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import torch

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.stop_request import StopRequest
from common.training import distributed, run_log
from common.training.run_folder import RunFolder
from common.training.sampling import Batches
from pvdnet.config import HERE, Config
from pvdnet.samples import EpochBatches, TrainingClips, find_videos, validation_videos


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    processes = distributed.start(options.dist, options.device)
    try:
        return Run(options, config, processes).train()
    finally:
        distributed.stop()


class Run:
    """One run of training in its folder."""

    def __init__(self, options, config: Config, processes: distributed.Processes):
        self.options, self.config, self.processes = options, config, processes
        self.folder = RunFolder(Path(options.log_root, config.project, config.mode), config.mode, config.max_ckpt_num)

    def train(self) -> int:
        """Run from where the options say to the last epoch, or until stopped."""
        with self.folder.claimed(self.options, self.processes):
            try:
                self._prepare()
                with StopRequest() as stop:
                    return self._loop(stop)
            finally:
                if hasattr(self, "log"):
                    self.log.close()

    def _prepare(self) -> None:
        """Data, network, place, run folder."""
        options, config, processes = self.options, self.config, self.processes
        torch.manual_seed(config.manual_seed)
        np.random.seed(config.manual_seed)
        torch.backends.cudnn.benchmark = True
        self.dataset = TrainingClips(find_videos(options.data_root, config.data, "train"), config)
        videos = find_videos(options.data_root, config.data, "test")
        self.videos = [videos[n] for n in validation_videos(len(videos), processes.rank, processes.world_size)]
        self.batches = EpochBatches(
            len(self.dataset),
            config.batch_size,
            rank=processes.rank,
            world_size=processes.world_size,
            seed=config.manual_seed,
        )
        self.max_epoch = math.ceil(config.total_itr / (self.batches.per_epoch * config.frame_itr_num))

        saved = self.folder.find_saved(options.resume, processes)
        Trainer = importlib.import_module(f"pvdnet.models.trainers.{config.trainer}").Trainer
        self.trainer = Trainer(config, processes, fresh=saved is None)
        self.epoch, self.batch, self.frame, self.memory, self.means = 1, 0, 0, None, run_log.Means()
        self.log = run_log.RunLog(self.folder.path, processes.is_main)
        if saved is not None:
            self._restore(*saved)
        self._write_description()
        if saved is None:
            self._save_epoch(0, [1e-08, 100000000.0])
        self.save_first = saved is not None

    def _restore(self, weights: dict, state: dict, source: Path) -> None:
        rank, world_size = self.processes.rank, self.processes.world_size
        self.trainer.restore(weights, state, source)
        self.epoch, self.batch, self.frame = state["place"]
        if len(state["processes"]) == world_size:
            mine = state["processes"][rank]
            checkpoint_file.set_random_states(mine["random"])
            self.memory = None if mine["memory"] is None else mine["memory"].to(self.processes.device)
            self.means.count, self.means.sums = mine["means"]
        elif self.batch or self.frame:
            raise UsageError(
                f"{source}: saved within an epoch by {len(state['processes'])} processes, now there are {world_size}; "
                f"start as many, or resume from an epoch: -r {self.folder.manager.recent_epoch()}"
            )
        else:
            self.log.say(f"note: saved by {len(state['processes'])} processes, now {world_size}: the batches change")
        self.log.say(f"resumed from {source}: epoch {self.epoch}, batch {self.batch}, frame {self.frame}")

    # The loop

    def _batches(self) -> Batches:
        """Batches from the present place on, for ever."""
        config = self.config
        self.batches.epoch, self.batches.batch = self.epoch, self.batch
        workers = config.batch_size if config.thread_num < 0 else config.thread_num
        return Batches(self.dataset, self.batches, workers=workers, device=self.processes.device)

    def _loop(self, stop: StopRequest) -> int:
        log = self.log
        total = self.max_epoch * self.batches.per_epoch * self.config.frame_itr_num
        log.say(
            f"{len(self.dataset)} samples, {self.batches.per_epoch} batches an epoch, {self.max_epoch} epochs, "
            f"{total} iterations on {self.processes.world_size} x {self.processes.device}; "
            f"run folder {self.folder.path}"
        )
        if self.epoch > self.max_epoch:
            log.say(f"nothing to do: epoch {self.max_epoch} was the last")
            return 0
        with self._batches() as batches:
            return self._epochs(batches, total, stop)

    def _epochs(self, batches: Batches, total: int, stop: StopRequest) -> int:
        config, log, trainer, steps = self.config, self.log, self.trainer, self.config.frame_itr_num
        bar = log.progress(total, config.mode, "frame")
        bar.update(trainer.itr["train"])
        while self.epoch <= self.max_epoch:
            began = time.time()
            while self.batch < self.batches.per_epoch:
                try:
                    batch = next(batches)
                except RuntimeError:  # its workers got the SIGTERM before we did
                    if stop.signal is None or self.processes.world_size > 1:
                        raise
                    return self._stop(stop)
                weight = len(batch["input"])
                if self.memory is None:
                    self.memory = trainer.first_memory(batch)
                while self.frame < steps:
                    try:
                        values, self.memory, outputs, _ = trainer.iteration(batch, self.frame, self.memory)
                    except FloatingPointError as error:
                        raise FloatingPointError(f"{error}; last good checkpoint: {self.folder.last_good()}") from None
                    self.means.add(values, weight)
                    bar.update()
                    bar.set_postfix(values, refresh=False)
                    if config.is_verbose:
                        parts = ", ".join(f"{key}: {value:.4e}" for key, value in values.items())
                        log.say(f"[TRAIN][{config.mode}] itr {trainer.itr['train']} {parts}")
                    self.frame += 1
                    if self.processes.any(stop.signal is not None)[0]:
                        return self._stop(stop)
                if config.save_sample and self.batch % config.write_log_every_itr == 0:
                    self._save_samples("train", self.batch, trainer.pictures(batch, steps - 1, outputs))
                self.batch, self.frame, self.memory = self.batch + 1, 0, None
            self._end_epoch(time.time() - began, total)
        bar.close()
        log.say(f"done: {trainer.itr['train']} iterations; checkpoints in {self.folder.manager.folder}")
        return 0

    def _end_epoch(self, seconds: float, total: int) -> None:
        """Log, validate, save; then go to the next epoch."""
        config, log, epoch = self.config, self.log, self.epoch
        means = self.means.over(self.processes, self.trainer.keys)
        self._report("train", epoch, means, seconds, total)
        self.epoch, self.batch, self.means = epoch + 1, 0, run_log.Means()
        due = epoch == 1 or epoch % config.write_ckpt_every_epoch == 0 or epoch > self.max_epoch - 10
        if due or self.save_first:
            began, valid, shown = time.time(), run_log.Means(), 0
            for values, pictures in self.trainer.validate(self.videos, with_pictures=config.save_sample):
                valid.add(values, 1)
                if pictures:
                    shown += 1
                    self._save_samples("valid", shown, pictures)
            means = valid.over(self.processes, (*self.trainer.keys, "psnr"))
            self._report("valid", epoch, means, time.time() - began, total)
            if not math.isnan(means["psnr"]):
                self._save_epoch(epoch, [means["psnr"]])
            self.save_first = False
        self._save_last()
        if epoch % config.refresh_image_log_every_epoch == 0 and self.processes.is_main:
            shutil.rmtree(self.folder.path / "sample", ignore_errors=True)
        log.flush()

    def _report(self, split: str, epoch: int, means: dict[str, float], seconds: float, total: int) -> None:
        itr = self.trainer.itr["train"]
        for key, value in means.items():
            self.log.scalar(split, f"loss/epoch_{split}_{key}", value, epoch)
            self.log.scalar(split, f"loss/itr_{split}_{key}", value, itr)
        parts = ", ".join(f"{key}: {value:{'.4f' if key == 'psnr' else '.4e'}}" for key, value in means.items())
        rate = self.trainer.learning_rate()
        if split == "train":
            self.log.scalar(split, "learning_rate", rate, itr)
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] EP {epoch}/{self.max_epoch} ({itr}/{total}) "
            f"lr0: {rate:.2e} {seconds:.1f} s, *LOSS->[{parts}]"
        )

    def _save_samples(self, split: str, number: int, pictures: dict[str, np.ndarray]) -> None:
        if self.processes.is_main:
            itr = self.trainer.itr["train"]
            prefix = f"E{self.epoch - (split == 'valid'):02}_I{itr:06}" + (f"_V{number:02}" if split == "valid" else "")
            run_log.save_samples(self.folder.path / "sample" / split, prefix, pictures)
            if number in (0, 1):  # one sample an epoch is enough for TensorBoard
                for key, picture in pictures.items():
                    self.log.picture(split, f"sample/{key}", picture, itr)

    # Saving

    def _state(self) -> dict:
        """What a resume needs besides the weights; every process takes part."""
        memory = None if self.memory is None else self.memory.cpu()
        mine = {
            "random": checkpoint_file.random_states(),
            "memory": memory,
            "means": (self.means.count, self.means.sums),
        }
        everyone = self.processes.gather(mine)
        place = (self.epoch, self.batch, self.frame)
        return {"epoch": self.epoch - 1, **self.trainer.state(), "place": place, "processes": everyone}

    def _save_epoch(self, epoch: int, scores: list[float]) -> None:
        state = self._state()
        if self.processes.is_main:
            self.folder.manager.save(self.trainer.weights(), state, epoch, scores)

    def _save_last(self) -> None:
        state = self._state()
        if self.processes.is_main:
            self.folder.save_last(self.trainer.weights(), state)

    def _stop(self, stop: StopRequest) -> int:
        """Save in the middle of an epoch and tell how to go on."""
        if self.frame == self.config.frame_itr_num:
            self.batch, self.frame, self.memory = self.batch + 1, 0, None
        self._save_last()
        self.log.say(
            f"stopped after iteration {self.trainer.itr['train']} and saved {self.folder.last_file}; "
            "go on with the same command and -r auto"
        )
        return 128 + (stop.signal or signal.SIGTERM)

    def _write_description(self) -> None:
        """Settings, cost and a copy of the network's files."""
        if not self.processes.is_main:
            return
        text = self.config.to_json()
        self.log.text("config", text)
        self.log.say(self.folder.describe(text, self.trainer.cost(), self.trainer.itr["train"]).rstrip())
        for file in (HERE / f"models/archs/{self.config.network}.py", HERE.parent / "common/ops/liteflownet.py"):
            shutil.copy(file, self.folder.path / file.name)
