"""Training: losses of a step, the loop over steps, validation, exact resume.

A run's place is its step and how many samples it has consumed. Both are saved with the weights, nothing is drawn from
global generators, and nothing else decides what comes next: a resumed run computes what an undisturbed one would, with
any number of processes.
"""

import math
import shutil
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.media.flow_color import flow_to_image
from common.ops import complexity
from common.ops.autocast import autocast
from common.stop_request import StopRequest
from common.training import distributed, run_log
from common.training.run_folder import RunFolder
from common.training.sampling import Batches, Positions
from ifrnet.checkpoints import load_network
from ifrnet.config import Config
from ifrnet.losses import training_losses
from ifrnet.model import IFRNet
from ifrnet.samples import TestSamples, TrainingSamples, learning_rate
from ifrnet.sets import find_samples

WORKERS = 16  # at most, where thread_num does not tell


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    processes = distributed.start(options.dist, options.device)
    try:
        return Run(options, config, processes).train()
    finally:
        distributed.stop()


class Objective(nn.Module):
    """The network with its losses, so that gradients of several processes meet in one forward pass."""

    def __init__(self, network: IFRNet):
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses and outputs of `img0`, `img1` (B, 3, h, w), `target` (B, K, 3, h, w), `t` (B, K).

        `labels` (B, 1, 4, h, w), where there are any, are the teacher's flows.
        """
        target = batch["target"].flatten(0, 1)  # BK 3 h w
        labels = batch["labels"].flatten(0, 1) if "labels" in batch else None  # B 4 h w
        outputs, features = self.network.train_outputs(batch["img0"], batch["img1"], batch["t"].flatten(), target)
        features = [x.float() for x in features]
        outputs |= {name: outputs[name].float() for name in ("feat1", "feat2", "feat3")}
        with torch.autocast(target.device.type, enabled=False):
            return training_losses(outputs, target, features, labels), outputs


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

    def _prepare(self) -> None:
        """Data, network, place, run folder."""
        options, config, processes = self.options, self.config, self.processes
        torch.manual_seed(config.manual_seed)
        torch.backends.cudnn.benchmark = True
        self.dataset = TrainingSamples(find_samples(options.data_root, config.data, "train"), config)
        test = find_samples(options.data_root, config.data, "test")
        self.test = TestSamples(test[processes.rank :: processes.world_size], config.distill)
        self.steps_per_epoch = max(1, len(self.dataset) // config.total_batch)
        self.max_steps = config.max_steps or config.epochs * self.steps_per_epoch
        self.batch_size = config.batch_size or config.total_batch // processes.world_size
        if not config.batch_size and config.total_batch % processes.world_size:
            raise UsageError(
                f"total_batch {config.total_batch} does not divide among {processes.world_size} processes: give -b"
            )
        saved = self.folder.find_saved(options.resume, processes)
        if saved is None and options.ckpt_abs_name:
            network = load_network(options.ckpt_abs_name, config.network)
        else:
            network = IFRNet(config.network)
        self.network = network.to(processes.device).train()
        self.objective = Objective(self.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), config.learning_rate, weight_decay=0)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.amp == "fp16")
        self.step, self.position = 0, 0
        self.log = run_log.RunLog(self.folder.path, processes.is_main)
        if saved is not None:
            self._restore(*saved)
        if config.compile:
            self.objective.compile()
        self.model = DistributedDataParallel(self.objective) if processes.world_size > 1 else self.objective
        self._describe()

    def _restore(self, weights: dict, state: dict, source: Path) -> None:
        checkpoint_file.load_strict(self.network, weights, source)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.position = state["step"], state["position"]
        self.log.say(f"resumed from {source}: step {self.step}")

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
                "stays, but published scores are those of the preset's"
            )
        if processes.is_main:
            log.text("config", config.to_json())
            macs = complexity.macs(lambda: IFRNet(config.network), *[(1, 3, 720, 1280)] * 2, (1,))
            text = self.folder.describe(config.to_json(), (macs, complexity.parameters(self.network)), self.step)
            log.say(text.rstrip())
            shutil.copy(Path(__file__).with_name("model.py"), self.folder.path / "model.py")

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
            if self.step % config.write_log_every_step == 0 or self.step == self.max_steps:
                self._report("train", means.over(self.processes, values), time.time() - began)
                if config.save_sample:
                    self._save_samples("train", 0, pictures(batch, outputs))
                means, began = run_log.Means(), time.time()
            if self.step % (self.steps_per_epoch * config.valid_every_epoch) == 0 or self.step == self.max_steps:
                self._end_period()
            elif self.step % config.save_every_step == 0:
                self._save_last()
            if self.processes.any(stop.signal is not None)[0]:
                return self._stop(stop)
        bar.close()
        log.say(f"done: {self.step} steps; checkpoints in {self.folder.manager.folder}")
        return 0

    def _rate(self) -> float:
        return learning_rate(self.step, self.max_steps, self.config.learning_rate, self.config.learning_rate_end)

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
        values = {"total": total.item()} | {key: loss.item() for key, loss in losses.items()}
        self.scaler.scale(total).backward()
        broken = not math.isfinite(values["total"])
        if config.amp != "fp16":  # there an overflow is ordinary: the scaler leaves that step out and scales less
            norms = torch._foreach_norm([p.grad for p in self.network.parameters() if p.grad is not None])
            broken = broken or not torch.stack(norms).isfinite().all().item()
        if self.processes.any(broken)[0]:
            parts = ", ".join(f"{key} {value:g}" for key, value in values.items())
            raise FloatingPointError(
                f"step {self.step + 1}: loss or gradient is not finite ({parts}); "
                f"last good checkpoint: {self.folder.last_good()}"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += self.batch_size * self.processes.world_size
        return values, outputs

    # Validation, pictures, saving

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean losses and PSNR of the test frames over all processes."""
        means, shown = run_log.Means(), 0
        self.network.eval()
        for number in range(len(self.test)):
            batch = {key: value[None].to(self.processes.device) for key, value in self.test[number].items()}
            losses, outputs = self.objective(batch)
            error = (outputs["pred"] - batch["target"][0]).square().mean((1, 2, 3))
            psnr = (-10 * error.log10()).mean().item()
            values = {"total": sum(losses.values()).item()} | {key: loss.item() for key, loss in losses.items()}
            means.add(values | {"psnr": psnr}, len(error))
            if self.config.save_sample and shown < 4:
                shown += 1
                self._save_samples("valid", shown, pictures(batch, outputs))
        self.network.train()
        return means.over(self.processes, ("total", "loss_rec", "loss_geo", "loss_dis", "psnr"))

    def _end_period(self) -> None:
        """Validate and save."""
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
        parts = " ".join(f"{key}:{value:{'.3f' if key == 'psnr' else '.4e'}}" for key, value in means.items())
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] epoch:{self.step / self.steps_per_epoch:.2f} "
            f"step:{self.step}/{self.max_steps} time:{seconds:.1f} s lr:{self._rate():.5e} {parts}"
        )

    def _save_samples(self, split: str, number: int, shown: dict) -> None:
        if self.processes.is_main:
            prefix = f"I{self.step:06}" + (f"_V{number:02}" if number else "")
            run_log.save_samples(self.folder.path / "sample" / split, prefix, shown)
            if number in (0, 1):  # one sample is enough for TensorBoard
                for key, picture in shown.items():
                    self.log.picture(split, f"sample/{key}", picture, self.step)

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


def pictures(batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> dict:
    """Sample pictures: frames, result, truth, flows as colours, mask (white: from frame 0)."""
    count = min(len(outputs["pred"]), 6)
    shown = {"img0": batch["img0"], "img1": batch["img1"], "target": batch["target"].flatten(0, 1)}
    shown |= {"pred": outputs["pred"], "mask": outputs["mask"].expand(-1, 3, -1, -1)}
    for name in ("flow0", "flow1"):
        flows = outputs[f"{name}_1"][:count].detach().float().cpu().permute(0, 2, 3, 1).numpy()
        colours = [torch.from_numpy(flow_to_image(flow)).permute(2, 0, 1) / 255 for flow in flows]
        shown[name] = torch.stack(colours)
    return {key: run_log.grid(images[:count]) for key, images in shown.items()}
