"""Training: the loss, the loop over steps, validation, exact resume.

A run's place is its step and how many samples it has consumed. Both are saved with the weights, nothing is drawn from
global generators, and nothing else decides what comes next: a resumed run computes what an undisturbed one would, with
any number of processes.
"""

import math
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.checkpoints.safe_unpickle import load_any
from common.cli import UsageError
from common.media.frame_windows import neighbour_indices
from common.ops import complexity
from common.ops.autocast import autocast
from common.ops.deform_conv import BORDERS
from common.scoring import score_frames
from common.scoring.protocols import TDAN as PROTOCOLS
from common.stop_request import StopRequest
from common.training import distributed, run_log
from common.training.run_folder import RunFolder
from common.training.sampling import Batches, Positions, to_tensor
from tdan.checkpoints import convert
from tdan.config import Config
from tdan.losses import tdan_loss
from tdan.model import TDAN, WINDOW
from tdan.pictures import pictures
from tdan.samples import TrainingSamples
from tdan.sets import Clip, find_clips, read_low, read_truth

WORKERS = 16  # at most, where thread_num does not tell
SHOWN = 4  # frames whose pictures a validation saves
PROTOCOL = PROTOCOLS["tdan"]  # of the validation
LOSSES = ("total", "sr", "align")


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
        where = {"scale": config.scale, "prepared": config.prepared}
        self.dataset = TrainingSamples(find_clips(options.data_root, config.data, "train", **where), config)
        test = find_clips(options.data_root, config.valid_data, "test", scale=config.scale)
        frames = [(clip, middle) for clip in test for middle in clip.middles]
        count = min(config.valid_samples or len(frames), len(frames))
        self.test = [frames[k * len(frames) // count] for k in range(count)][processes.rank :: processes.world_size]
        self.size = self._batch_size()
        self.planned = config.steps or config.epochs * max(len(self.dataset) // config.total_batch, 1)
        self.steps = min(self.planned, config.max_steps or self.planned)
        saved = self.folder.find_saved(options.resume, processes)
        weights, source = saved[::2] if saved else self._start()
        network = self._network(weights, source)
        self.network = network.to(processes.device)
        self.optimizer = torch.optim.Adam(
            network.parameters(), config.learning_rate, config.betas, weight_decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.amp == "fp16")
        self.step, self.position = 0, 0
        self.log = run_log.RunLog(self.folder.path, processes.is_main)
        if saved:
            state = saved[1]
            self.step, self.position = state["step"], state["position"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.log.say(f"resumed from {source}: step {self.step}")
        elif weights:
            self.log.say(f"starts from the weights of {source}, border rule {self.border}")
        self.model = network
        if config.compile:
            network.compile()
        if processes.world_size > 1:
            self.model = DistributedDataParallel(network)
        self._describe()

    def _batch_size(self) -> int:
        """Samples of a step for this process."""
        total, parts = self.config.total_batch, self.processes.world_size
        if not self.config.batch_size and total % parts:
            raise UsageError(
                f"a batch of {total} does not divide among {parts} processes: give -b, or --set total_batch="
            )
        return self.config.batch_size or total // parts

    def _start(self) -> tuple[dict | None, Path | None]:
        """Weights to start from, with our names, and their file; None: no weights."""
        options, config = self.options, self.config
        if options.ckpt_abs_name:
            path = Path(options.ckpt_abs_name)
        elif config.start_from:
            folder = Path(options.log_root, config.project, config.start_from, "checkpoint/train/epoch")
            manager = CheckpointManager(folder, config.start_from, config.max_ckpt_num)
            if not manager.lines():
                raise UsageError(
                    f"{folder}: no weights to start from: train them (--is_train --config {config.start_from}), name "
                    "others with --ckpt_abs_name, or start anew with --set start_from="
                )
            path = manager.select()
        else:
            return None, None
        return convert(load_any(path), path), path

    def _network(self, weights: dict | None, source: Path | None) -> TDAN:
        """The network of the settings, with the weights if there are any; these bring their border rule."""
        config = self.config
        self.border = BORDERS[int(weights["border"])] if weights and "border" in weights else config.border
        network = TDAN(
            config.channels, config.blocks_before, config.blocks_after,
            scale=config.scale, border=self.border, init=config.init,
        )  # fmt: skip
        if weights:
            checkpoint_file.load_strict(network, weights, source)
        return network

    def _describe(self) -> None:
        """Say what will be done; write settings, cost and a copy of the network's file."""
        config, processes, log = self.config, self.processes, self.log
        together = self.size * processes.world_size
        log.say(
            f"{len(self.dataset)} clips; {self.steps} steps; {processes.world_size} x {self.size} samples a step on "
            f"{processes.device}; run folder {self.folder.path}"
        )
        if together != config.total_batch:
            log.say(
                f"warning: {together} samples a step instead of the preset's {config.total_batch}; the number of steps "
                "stays, but published scores are those of the preset's"
            )
        if processes.is_main:
            log.text("config", config.to_json())
            # For a 1280x720 result; the work is that of a part of it, times how many there are.
            part, parts = (1, WINDOW, 3, 45, 80), (16 // config.scale) ** 2
            macs = parts * complexity.macs(lambda: self._network(None, None), part)
            text = self.folder.describe(config.to_json(), (macs, complexity.parameters(self.network)), self.step)
            log.say(text.rstrip())
            shutil.copy(Path(__file__).with_name("model.py"), self.folder.path / "model.py")

    # The loop

    def _loop(self, stop: StopRequest) -> int:
        if self.step >= self.steps:
            self.log.say(f"nothing to do: step {self.steps} was the last")
            return 0
        config, processes = self.config, self.processes
        keys = Positions(self.size, first=self.position, rank=processes.rank, world_size=processes.world_size)
        workers = min(self.size, WORKERS) if config.thread_num < 0 else config.thread_num
        with Batches(self.dataset, keys, workers=workers, device=processes.device) as batches:
            return self._steps(batches, stop)

    def _steps(self, batches: Batches, stop: StopRequest) -> int:
        config, log = self.config, self.log
        bar = log.progress(self.steps, config.mode, "step")
        bar.update(self.step)
        means, began = run_log.Means(), time.time()
        while self.step < self.steps:
            try:
                batch = next(batches)
            except RuntimeError:  # its workers got the SIGTERM before we did
                if stop.signal is None or self.processes.world_size > 1:
                    raise
                return self._stop(stop)
            losses, outputs = self._update(batch)
            means.add(losses, self.size)
            bar.update()
            bar.set_postfix(loss=losses["total"], refresh=False)
            ends = self.step == self.steps
            if self.step % config.write_log_every_step == 0 or ends:
                self._report("train", means.over(self.processes, LOSSES), time.time() - began)
                if config.save_sample:
                    self._save_samples("train", 0, batch["frames"], batch["target"], outputs)
                means, began = run_log.Means(), time.time()
            if self.step % config.valid_every_step == 0 or ends:
                self._end_period()
            elif self.step % config.save_every_step == 0:
                self._save_last()
            if self.processes.any(stop.signal is not None)[0] and self.step < self.steps:
                return self._stop(stop)
        bar.close()
        log.say(f"done: {self.step} steps; checkpoints in {self.folder.manager.folder}")
        return 0

    def _rate(self) -> float:
        passed = sum(self.step >= share * self.planned for share in self.config.milestones)
        return self.config.learning_rate * self.config.gamma**passed

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
            outputs = self.model(batch["frames"])
        losses = tdan_loss(outputs, batch["frames"], batch["target"], config.align_weight)
        values = {name: loss.item() for name, loss in losses.items()}
        self.scaler.scale(losses["total"]).backward()
        broken = not math.isfinite(values["total"])
        if config.amp != "fp16":  # there an overflow is ordinary: the scaler leaves that step out and scales less
            norms = torch._foreach_norm([p.grad for p in self.network.parameters() if p.grad is not None])
            broken = broken or not torch.stack(norms).isfinite().all().item()
        if self.processes.any(broken)[0]:
            raise FloatingPointError(
                f"step {self.step + 1}: loss or gradient is not finite (loss {values['total']:g}); "
                f"last good checkpoint: {self.folder.last_good()}"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += self.size * self.processes.world_size
        return values, outputs

    # Validation, pictures, saving

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean scores of the test frames by the table's protocol, over all processes and all frames."""
        means, scale, device = run_log.Means(), self.config.scale, self.processes.device
        self.network.eval()
        for number, (clip, middle) in enumerate(self.test):
            lows = [to_tensor(low) for low in read_window(clip, middle, scale)]
            truth = read_truth(clip, middle, scale)
            outputs = self.network(torch.stack(lows)[None].to(device))
            prediction = outputs["pred"][0].permute(1, 2, 0).cpu().numpy()  # H W 3
            values = score_frames.score(PROTOCOL, prediction, truth)
            means.add({metric.lower(): value for metric, value in values.items()}, 1)
            if self.config.save_sample and number < SHOWN:
                self._save_samples("valid", number + 1, torch.stack(lows)[None], to_tensor(truth)[None], outputs)
        self.network.train()
        return means.over(self.processes, ("psnr", "ssim"))

    def _end_period(self) -> None:
        """Validate and keep a checkpoint."""
        began = time.time()
        means = self._validate()
        self._report("valid", means, time.time() - began)
        state = self._state()
        if self.processes.is_main:
            self.folder.manager.save(self.network.state_dict(), state, state["epoch"], [means["psnr"]])
        self._save_last()
        self.log.flush()

    def _report(self, split: str, means: dict[str, float], seconds: float) -> None:
        for key, value in means.items():
            self.log.scalar(split, f"loss/itr_{split}_{key}", value, self.step)
        if split == "train":
            self.log.scalar(split, "learning_rate", self._rate(), self.step)
        formats = {"psnr": ".3f", "ssim": ".4f"}
        parts = " ".join(f"{key}:{value:{formats.get(key, '.4e')}}" for key, value in means.items())
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] step:{self.step}/{self.steps} time:{seconds:.1f} s "
            f"lr:{self._rate():.5e} {parts}"
        )

    def _save_samples(self, split: str, number: int, frames: Tensor, target: Tensor, outputs: dict) -> None:
        if self.processes.is_main:
            shown = pictures(frames, target, outputs, self.config.scale)
            prefix = f"I{self.step:07}" + (f"_V{number:02}" if number else "")
            run_log.save_samples(self.folder.path / "sample" / split, prefix, shown)
            if number in (0, 1):  # one sample is enough for TensorBoard
                for key, picture in shown.items():
                    self.log.picture(split, f"sample/{key}", picture, self.step)

    def _state(self) -> dict:
        """What a resume needs besides the weights; an "epoch" is a validation period, as MMagic counts them."""
        return {
            "epoch": math.ceil(self.step / self.config.valid_every_step),
            "step": self.step,
            "position": self.position,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def _save_last(self) -> None:
        if self.processes.is_main:
            self.folder.save_last(self.network.state_dict(), self._state())

    def _stop(self, stop: StopRequest) -> int:
        """Save between two validations and tell how to go on."""
        self._save_last()
        self.log.say(
            f"stopped after step {self.step} and saved {self.folder.last_file}; go on with the same command and -r auto"
        )
        return 128 + (stop.signal or signal.SIGTERM)


def read_window(clip: Clip, middle: int, scale: int) -> list[np.ndarray]:
    """The five low-resolution frames around `middle`, hxwx3 uint8, mirrored at the ends of the clip."""
    indices = neighbour_indices(middle, WINDOW, len(clip.truths), padding="reflection")
    return [read_low(clip, k, scale) for k in indices]
