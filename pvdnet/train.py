"""Training: the run folder, the loop over epochs, batches and frames, saving and exact resume.

A run's place is (epoch, batch, frame). It is saved with the weights after every epoch and when the run is stopped, and
nothing else decides what comes next, so a resumed run computes what an undisturbed one would.
"""

import importlib
import math
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from common import checkpoint, distributed, runlog
from common.cli import UsageError
from common.interrupt import StopRequest, start_worker
from pvdnet.ckpt_manager import CheckpointManager
from pvdnet.config import HERE, Config
from pvdnet.data import EpochBatches, TrainingClips, find_videos, validation_videos


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    processes = distributed.start(options.dist, options.device)
    try:
        return Run(options, config, processes).train()
    finally:
        distributed.stop()


class Means:
    """Sums of the frames' values since the epoch began."""

    def __init__(self):
        self.count, self.sums = 0, {}

    def add(self, values: dict[str, float], weight: int) -> None:
        """Count `values` for `weight` frames."""
        self.count += weight
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value * weight

    def over(self, processes: distributed.Processes, keys) -> dict[str, float]:
        """Means over all processes."""
        count, *sums = processes.sum([float(self.count)] + [self.sums.get(key, 0.0) for key in keys])
        return {key: total / max(count, 1) for key, total in zip(keys, sums, strict=True)}


class Run:
    """One run of training in its folder."""

    def __init__(self, options, config: Config, processes: distributed.Processes):
        self.options, self.config, self.processes = options, config, processes
        self.folder = Path(options.log_root, config.project, config.mode)
        self.manager = CheckpointManager(self.folder / "checkpoint/train/epoch", config.mode, config.max_ckpt_num)
        self.last_file = self.folder / "checkpoint/train/last.pytorch"  # the newest state, between checkpoints too

    def train(self) -> int:
        """Run from where the options say to the last epoch, or until stopped."""
        lock = self._claim() if self.processes.is_main else None
        self.processes.wait()
        try:
            self._prepare()
            with StopRequest() as stop:
                return self._loop(stop)
        finally:
            if hasattr(self, "log"):
                self.log.close()
            if lock:
                lock.close()

    def _claim(self):
        """Take the folder; delete it if told to; refuse to start over a run that is there."""
        lock = runlog.lock(self.folder)
        if self.options.delete_log and not self.options.resume:
            there = [path for path in self.folder.iterdir() if path.name != ".lock"]
            asked = there and sys.stdin.isatty()
            if asked and input(f"Delete {self.folder}? [Y/n] ").strip().lower() not in ("", "y", "yes"):
                raise UsageError("not deleted; choose another --mode, or -r to go on")
            runlog.clear(self.folder)
        elif not self.options.resume and (self.manager.lines() or self.last_file.is_file()):
            epoch = self.manager.recent_epoch()
            raise UsageError(
                f"{self.folder} holds a run (epoch {epoch}): go on with -r auto or -r {epoch}, "
                "delete it with -dl, or choose another --mode"
            )
        return lock

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

        saved = self._find_saved()
        Trainer = importlib.import_module(f"pvdnet.models.trainers.{config.trainer}").Trainer
        self.trainer = Trainer(config, processes, fresh=saved is None)
        self.epoch, self.batch, self.frame, self.memory, self.means = 1, 0, 0, None, Means()
        self.log = runlog.RunLog(self.folder, processes.is_main)
        if saved is not None:
            self._restore(*saved)
        self._write_description()
        if saved is None:
            self._save_epoch(0, [1e-08, 100000000.0])
        self.save_first = saved is not None

    def _find_saved(self) -> tuple[dict, dict, Path] | None:
        """Weights, state and source to go on from; rank 0 decides for all."""
        wanted = self.options.resume
        if wanted is None:
            return None
        plan = None
        if self.processes.is_main:
            recent = self.manager.recent_epoch()
            last = checkpoint.load(self.last_file) if self.last_file.is_file() else None
            if wanted != "auto":
                plan = self.manager.resume(int(wanted))
                if last and last["state"]["epoch"] > int(wanted):
                    target = self.manager.folder / "superseded"
                    target.mkdir(exist_ok=True)
                    self.last_file.replace(target / f"last_{time.strftime('%Y%m%d_%H%M%S')}.pytorch")
            elif last and (recent is None or last["state"]["epoch"] >= recent):
                plan = (self.last_file, None)
            elif recent is not None:
                plan = self.manager.resume(recent)
        plan = self.processes.broadcast(plan)
        if plan is None:
            return None
        if plan[1] is None:
            last = checkpoint.load(plan[0])
            return last["weights"], last["state"], plan[0]
        return checkpoint.load(plan[0]), checkpoint.load(plan[1]), plan[0]

    def _restore(self, weights: dict, state: dict, source: Path) -> None:
        rank, world_size = self.processes.rank, self.processes.world_size
        self.trainer.restore(weights, state, source)
        self.epoch, self.batch, self.frame = state["place"]
        if len(state["processes"]) == world_size:
            mine = state["processes"][rank]
            checkpoint.set_random_states(mine["random"])
            self.memory = None if mine["memory"] is None else mine["memory"].to(self.processes.device)
            self.means.count, self.means.sums = mine["means"]
        elif self.batch or self.frame:
            raise UsageError(
                f"{source}: saved within an epoch by {len(state['processes'])} processes, now there are {world_size}; "
                f"start as many, or resume from an epoch: -r {self.manager.recent_epoch()}"
            )
        else:
            self.log.say(f"note: saved by {len(state['processes'])} processes, now {world_size}: the batches change")
        self.log.say(f"resumed from {source}: epoch {self.epoch}, batch {self.batch}, frame {self.frame}")

    # The loop

    def _loader(self):
        """Batches from the present place on, for ever."""
        config, cuda = self.config, self.processes.device.type == "cuda"
        self.batches.epoch, self.batches.batch = self.epoch, self.batch
        return DataLoader(
            self.dataset,
            batch_sampler=self.batches,
            num_workers=config.batch_size if config.thread_num < 0 else config.thread_num,
            pin_memory=cuda,
            worker_init_fn=start_worker,
            generator=torch.Generator().manual_seed(0),  # else starting a loader would use up the global one
        )

    def _next_batch(self, iterator) -> dict[str, torch.Tensor]:
        try:
            return distributed.to_device(next(iterator), self.processes.device)
        except ValueError as error:  # a worker hands on its traceback: the last line is the error itself
            raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from None

    def _loop(self, stop: StopRequest) -> int:
        log = self.log
        total = self.max_epoch * self.batches.per_epoch * self.config.frame_itr_num
        log.say(
            f"{len(self.dataset)} samples, {self.batches.per_epoch} batches an epoch, {self.max_epoch} epochs, "
            f"{total} iterations on {self.processes.world_size} x {self.processes.device}; run folder {self.folder}"
        )
        if self.epoch > self.max_epoch:
            log.say(f"nothing to do: epoch {self.max_epoch} was the last")
            return 0
        iterator = iter(self._loader())
        try:
            return self._epochs(iterator, total, stop)
        finally:
            if hasattr(iterator, "_shutdown_workers"):  # PyTorch leaves it to the garbage collector
                iterator._shutdown_workers()

    def _epochs(self, iterator, total: int, stop: StopRequest) -> int:
        config, log, trainer, steps = self.config, self.log, self.trainer, self.config.frame_itr_num
        bar = log.progress(total, config.mode, "frame")
        bar.update(trainer.itr["train"])
        while self.epoch <= self.max_epoch:
            began = time.time()
            while self.batch < self.batches.per_epoch:
                try:
                    batch = self._next_batch(iterator)
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
                        raise FloatingPointError(f"{error}; last good checkpoint: {self._last_good()}") from None
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
        log.say(f"done: {trainer.itr['train']} iterations; checkpoints in {self.manager.folder}")
        return 0

    def _end_epoch(self, seconds: float, total: int) -> None:
        """Log, validate, save; then go to the next epoch."""
        config, log, epoch = self.config, self.log, self.epoch
        means = self.means.over(self.processes, self.trainer.keys)
        self._report("train", epoch, means, seconds, total)
        self.epoch, self.batch, self.means = epoch + 1, 0, Means()
        due = epoch == 1 or epoch % config.write_ckpt_every_epoch == 0 or epoch > self.max_epoch - 10
        if due or self.save_first:
            began, valid, shown = time.time(), Means(), 0
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
            shutil.rmtree(self.folder / "sample", ignore_errors=True)
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
            runlog.save_samples(self.folder / "sample" / split, prefix, pictures)
            if number in (0, 1):  # one sample an epoch is enough for TensorBoard
                for key, picture in pictures.items():
                    self.log.picture(split, f"sample/{key}", picture, itr)

    # Saving

    def _state(self) -> dict:
        """What a resume needs besides the weights; every process takes part."""
        memory = None if self.memory is None else self.memory.cpu()
        mine = {"random": checkpoint.random_states(), "memory": memory, "means": (self.means.count, self.means.sums)}
        everyone = self.processes.gather(mine)
        place = (self.epoch, self.batch, self.frame)
        return {"epoch": self.epoch - 1, **self.trainer.state(), "place": place, "processes": everyone}

    def _save_epoch(self, epoch: int, scores: list[float]) -> None:
        state = self._state()
        if self.processes.is_main:
            self.manager.save(self.trainer.weights(), state, epoch, scores)

    def _save_last(self) -> None:
        state = self._state()
        if self.processes.is_main:
            checkpoint.save({"weights": self.trainer.weights(), "state": state}, self.last_file)

    def _stop(self, stop: StopRequest) -> int:
        """Save in the middle of an epoch and tell how to go on."""
        if self.frame == self.config.frame_itr_num:
            self.batch, self.frame, self.memory = self.batch + 1, 0, None
        self._save_last()
        self.log.say(
            f"stopped after iteration {self.trainer.itr['train']} and saved {self.last_file}; "
            "go on with the same command and -r auto"
        )
        return 128 + (stop.signal or signal.SIGTERM)

    def _last_good(self) -> Path | str:
        recent = self.manager.recent_epoch()
        return self.last_file if self.last_file.is_file() else self.manager.select() if recent is not None else "none"

    def _write_description(self) -> None:
        """Settings, cost and a copy of the network's files."""
        if not self.processes.is_main:
            return
        text, file = self.config.to_json(), self.folder / "config/config.txt"
        if file.is_file() and file.read_text() != text:
            file.replace(file.with_name(f"config_until_itr_{self.trainer.itr['train']}.txt"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.log.text("config", text)
        macs, parameters = self.trainer.cost()
        cost = (
            f"{'Computational complexity (Macs): ':<30}{macs / 1e9:.2f} B\n"
            f"{'Number of parameters: ':<30}{parameters / 1e6:.2f} M\n"
        )
        (self.folder / "cost.txt").write_text(cost)
        self.log.say(cost.rstrip())
        for file in (HERE / f"models/archs/{self.config.network}.py", HERE.parent / "common/liteflownet.py"):
            shutil.copy(file, self.folder / file.name)
