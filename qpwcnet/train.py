"""Training: losses of a step, the loop over steps, validation, exact resume.

A run's place is its step and how many samples it has consumed. Both are saved with the weights, nothing is drawn from
global generators, and nothing else decides what comes next: a resumed run computes what an undisturbed one would, with
any number of processes.
"""

import dataclasses
import math
import shutil
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.checkpoints.safe_unpickle import load_any
from common.cli import UsageError
from common.ops import complexity
from common.ops.autocast import autocast
from common.stop_request import StopRequest
from common.training import distributed, run_log
from common.training.run_folder import RunFolder
from common.training.sampling import Batches, Positions
from qpwcnet.checkpoints import build, new_network, transfer
from qpwcnet.config import Config, newest_run, next_run
from qpwcnet.deploy import quantize
from qpwcnet.losses import epe
from qpwcnet.objective import Objective, full_size
from qpwcnet.optim import LEARNING_RATES, clip_gradients
from qpwcnet.pictures import flow_pictures, interp_pictures
from qpwcnet.samples import TrainingSamples, read_sample
from qpwcnet.sets import find_pairs, find_triplets
from qpwcnet.start import start_kaiming

WORKERS = 16  # at most, where thread_num does not tell
SHOWN = 4  # samples whose pictures a validation saves
STARTING = 16  # samples that tell the spreads of `start_kaiming`
CALIBRATING = 64  # samples that tell the first ranges of values that are to be rounded


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    processes = distributed.start(options.dist, options.device)
    try:
        if not config.mode:
            number = next_run(Path(options.log_root, config.project)) if processes.is_main else None
            config = dataclasses.replace(config, mode=processes.broadcast(number))
        return Run(options, config, processes).train()
    finally:
        distributed.stop()


class Run:
    """One run of training in its folder."""

    def __init__(self, options, config: Config, processes: distributed.Processes):
        self.options, self.config, self.processes = options, config, processes
        self.folder = RunFolder(Path(options.log_root, config.project, config.mode), config.mode, config.max_ckpt_num)

    def train(self) -> int:
        """Run from where the options say to the last step, or until stopped."""
        with self.folder.claimed(self.options, self.processes):
            try:
                self._prepare()
                with StopRequest() as stop:
                    return self._loop(stop)
            finally:
                if hasattr(self, "log"):
                    self.log.close()

    # Before the first step

    def _prepare(self) -> None:
        """Data, network, place, run folder."""
        options, config, processes = self.options, self.config, self.processes
        torch.manual_seed(config.manual_seed)
        torch.backends.cudnn.benchmark = True
        find = find_pairs if config.task == "flow" else find_triplets
        self.dataset = TrainingSamples(find(options.data_root, config.data, "train"), config)
        test = find(options.data_root, config.valid_data, "test")
        count = min(config.valid_samples or len(test), len(test))
        self.test = [test[k * len(test) // count] for k in range(count)][processes.rank :: processes.world_size]
        self.batch_size = self._batch_size()
        self.steps_per_epoch = max(1, len(self.dataset) // config.total_batch)
        self.max_steps = config.max_steps or config.epochs * self.steps_per_epoch
        self.log = run_log.RunLog(self.folder.path, processes.is_main)
        saved = self.folder.find_saved(options.resume, processes)
        self.network = self._network(fresh=saved is None).to(processes.device).train()
        self.objective = Objective(self.network, config.loss)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), config.learning_rate, eps=config.epsilon, weight_decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.amp == "fp16")
        self.step, self.position = 0, 0
        if saved:
            weights, state, source = saved
            checkpoint_file.load_strict(self.network, weights, source)
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.step, self.position = state["step"], state["position"]
            self.log.say(f"resumed from {source}: step {self.step}")
        if config.compile:
            self.objective.compile()
        self.model = DistributedDataParallel(self.objective) if processes.world_size > 1 else self.objective
        self._describe()

    def _batch_size(self) -> int:
        """Samples of a step for this process."""
        total, parts = self.config.total_batch, self.processes.world_size
        if not self.config.batch_size and total % parts:
            raise UsageError(f"total_batch {total} does not divide among {parts} processes: give -b")
        return self.config.batch_size or total // parts

    def _network(self, fresh: bool) -> nn.Module:
        """The network of the settings, and if it is a fresh one, with the weights that it starts from."""
        config, network = self.config, new_network(self.config)
        if not fresh:
            if config.quantise:
                quantize.prepare(network)
            return network
        start = self._start()
        if start:
            source = build(load_any(start), start)
            transfer(network, source, start)
            self.log.say(f"starts from the weights of {start}")
            for name in ("activation", "scale_size"):
                old, new = getattr(source, name, None), getattr(network, name, None)
                if old != new:
                    self.log.say(f"warning: {name} was {old} there and is {new} here")
        elif config.init == "kaiming":
            start_kaiming(network, *self._first_frames(STARTING))
        if config.quantise:
            quantize.prepare(network)
            prv, nxt = self._first_frames(CALIBRATING)
            quantize.calibrate(network, zip(prv.split(1), nxt.split(1), strict=True))
        return network

    def _first_frames(self, count: int) -> list[Tensor]:
        """`prv` and `nxt` (B, 3, h, w) of the run's first samples, the same in all processes."""
        samples = [self.dataset[position] for position in range(count)]
        return [torch.stack([sample[key] for sample in samples]) for key in ("prv", "nxt")]

    def _start(self) -> Path | None:
        """File of the weights to start from; None: none."""
        options, config = self.options, self.config
        if options.ckpt_abs_name:
            return Path(options.ckpt_abs_name)
        if not config.start_from:
            return None
        runs = Path(options.log_root, config.project)
        run = newest_run(runs, config.start_from)
        manager = CheckpointManager(runs / (run or "") / "checkpoint/train/epoch", run or "", config.max_ckpt_num)
        if not run or not manager.lines():
            raise UsageError(
                f"{runs}: no weights of {config.start_from} to start from: train them (--is_train --config "
                f"{config.start_from}), name others with --ckpt_abs_name, or start anew with --set start_from="
            )
        return manager.select()

    def _describe(self) -> None:
        """Say what will be done; write settings, cost and a copy of the network's file."""
        config, processes, log = self.config, self.processes, self.log
        together = self.batch_size * processes.world_size
        log.say(
            f"{len(self.dataset)} samples, {self.steps_per_epoch} steps an epoch, {self.max_steps} steps of "
            f"{processes.world_size} x {self.batch_size} samples on {processes.device}; run folder {self.folder.path}"
        )
        if together != config.total_batch:
            log.say(
                f"warning: {together} samples a step instead of the preset's {config.total_batch}; the number of steps "
                "stays, but recorded scores are those of the preset's"
            )
        if processes.is_main:
            log.text("config", config.to_json())
            # For 1280x704 pixels, as both networks take: the work of a part of them, times how many there are.
            macs = 110 * complexity.macs(lambda: new_network(config), *[(1, 3, 64, 128)] * 2)
            text = self.folder.describe(config.to_json(), (macs, complexity.parameters(self.network)), self.step)
            log.say(text.rstrip())
            name = "model.py" if config.network == "QPWCNet" else "pwcnet.py"
            shutil.copy(Path(__file__).with_name(name), self.folder.path / name)

    # The loop

    def _loop(self, stop: StopRequest) -> int:
        if self.step >= self.max_steps:
            self.log.say(f"nothing to do: step {self.max_steps} was the last")
            return 0
        config, processes = self.config, self.processes
        keys = Positions(self.batch_size, first=self.position, rank=processes.rank, world_size=processes.world_size)
        workers = min(self.batch_size, WORKERS) if config.thread_num < 0 else config.thread_num
        with Batches(self.dataset, keys, workers=workers, device=processes.device) as batches:
            return self._steps(batches, stop)

    def _steps(self, batches: Batches, stop: StopRequest) -> int:
        config, log = self.config, self.log
        bar = log.progress(self.max_steps, config.mode, "step")
        bar.update(self.step)
        means, began = run_log.Means(), time.time()
        while self.step < self.max_steps:
            try:
                batch = next(batches)
            except RuntimeError:  # its workers got the SIGTERM before we did
                if stop.signal is None or self.processes.world_size > 1:
                    raise
                return self._stop(stop)
            values, outputs = self._update(batch)
            means.add(values, self.batch_size)
            bar.update()
            bar.set_postfix(values, refresh=False)
            ends = self.step == self.max_steps
            if self.step % config.write_log_every_step == 0 or ends:
                self._report("train", means.over(self.processes, values), time.time() - began)
                if config.save_sample:
                    self._save_samples("train", 0, batch, outputs)
                means, began = run_log.Means(), time.time()
            if self.step % (self.steps_per_epoch * config.valid_every_epoch) == 0 or ends:
                self._end_period()
            elif self.step % config.save_every_step == 0:
                self._save_last()
            if self.processes.any(stop.signal is not None)[0] and not ends:
                return self._stop(stop)
        bar.close()
        log.say(f"done: {self.step} steps; checkpoints in {self.folder.manager.folder}")
        return 0

    def _rate(self) -> float:
        config = self.config
        passed = sum(self.step >= share * self.max_steps for share in config.milestones)
        return LEARNING_RATES[config.schedule](self.step, config.total_batch, config.learning_rate) * 0.5**passed

    def _update(self, batch: dict[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        """One optimiser step; its losses and the network's outputs.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.processes.device, config.amp):
            losses, outputs = self.model(batch)
        total = sum(losses.values())
        values = {"loss": total.item()} | {name: loss.item() for name, loss in losses.items()}
        self.scaler.scale(total).backward()
        broken = not math.isfinite(values["loss"])
        if config.amp != "fp16":  # there an overflow is ordinary: the scaler leaves that step out and scales less
            norms = torch._foreach_norm([p.grad for p in self.network.parameters() if p.grad is not None])
            broken = broken or not torch.stack(norms).isfinite().all().item()
        if self.processes.any(broken)[0]:
            parts = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise FloatingPointError(
                f"step {self.step + 1}: loss or gradient is not finite ({parts}); "
                f"last good checkpoint: {self.folder.last_good()}"
            )
        if config.clip_factor:
            self.scaler.unscale_(self.optimizer)
            clip_gradients(self.network.parameters(), config.clip_factor)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += self.batch_size * self.processes.world_size
        return values, outputs

    # Validation, pictures, saving

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean error of the test samples at the training's size, over all processes: EPE, or PSNR of the frames."""
        means = run_log.Means()
        self.network.eval()
        for number, sample in enumerate(self.test):
            batch = {key: x[None].to(self.processes.device) for key, x in read_sample(sample, self.config).items()}
            outputs = self.network(batch["prv"], batch["nxt"])
            result = full_size(outputs)
            if self.config.task == "flow":
                means.add({"epe": epe(result, batch["target"]).item()}, 1)
            else:
                error = (result.clamp(0, 1) - batch["target"]).square().mean()
                means.add({"psnr": (-10 * error.log10()).item()}, 1)
            if self.config.save_sample and number < SHOWN:
                self._save_samples("valid", number + 1, batch, outputs)
        self.network.train()
        return means.over(self.processes, ("epe" if self.config.task == "flow" else "psnr",))

    def _end_period(self) -> None:
        """Validate and save."""
        began = time.time()
        means = self._validate()
        self._report("valid", means, time.time() - began)
        state = self._state()
        if self.processes.is_main:
            score = means["psnr"] if self.config.task == "interp" else -means["epe"]  # the higher, the better
            self.folder.manager.save(self.network.state_dict(), state, state["epoch"], [score])
        self._save_last()
        self.log.flush()

    def _report(self, split: str, means: dict[str, float], seconds: float) -> None:
        for key, value in means.items():
            self.log.scalar(split, key, value, self.step)
        if split == "train":
            self.log.scalar(split, "learning_rate", self._rate(), self.step)
        formats = {"psnr": ".3f", "epe": ".4f"}
        parts = " ".join(f"{key}:{value:{formats.get(key, '.4e')}}" for key, value in means.items())
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] epoch:{self.step / self.steps_per_epoch:.2f} "
            f"step:{self.step}/{self.max_steps} time:{seconds:.1f} s lr:{self._rate():.5e} {parts}"
        )

    def _save_samples(self, split: str, number: int, batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
        if not self.processes.is_main:
            return
        draw = flow_pictures if self.config.task == "flow" else interp_pictures
        shown = draw(batch["prv"], batch["nxt"], full_size(outputs), batch["target"])
        grids = {key: run_log.grid(images[:6]) for key, images in shown.items()}
        prefix = f"I{self.step:06}" + (f"_V{number:02}" if number else "")
        run_log.save_samples(self.folder.path / "sample" / split, prefix, grids)
        if number in (0, 1):  # one sample is enough for TensorBoard
            for key, picture in grids.items():
                self.log.picture(split, key, picture, self.step)

    def _state(self) -> dict:
        """What a resume needs besides the weights."""
        return {
            "epoch": math.ceil(self.step / self.steps_per_epoch),
            "step": self.step,
            "position": self.position,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def _save_last(self) -> None:
        if self.processes.is_main:
            self.folder.save_last(self.network.state_dict(), self._state())

    def _stop(self, stop: StopRequest) -> int:
        """Save in the middle of an epoch and tell how to go on."""
        self._save_last()
        self.log.say(
            f"stopped after step {self.step} and saved {self.folder.last_file}; go on with the same command and -r auto"
        )
        return 128 + (stop.signal or signal.SIGTERM)
