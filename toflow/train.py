"""Training: the stages, losses of a step, the loop over steps, validation, exact resume.

A run's place is its step and how many samples of the present stage it has consumed. Both are saved with the weights,
nothing is drawn from global generators, and nothing else decides what comes next: a resumed run computes what an
undisturbed one would, with any number of processes.
"""

import math
import shutil
import signal
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.media.flow_color import flow_to_image
from common.media.image import read_image
from common.ops import complexity
from common.ops.autocast import autocast
from common.stop_request import StopRequest
from common.training import distributed, run_log
from common.training.run_folder import RunFolder
from common.training.sampling import Batches, Positions, to_tensor
from toflow.checkpoints import load_network, load_spynet
from toflow.config import Config
from toflow.model import TOFlow, predict
from toflow.samples import FlowSamples, TrainingSamples, stack
from toflow.sets import SETS, evaluation_frames, find_flow_samples, find_samples
from toflow.stages import Objective, Stage, learning_parts, plan

WORKERS = 16  # at most, where thread_num does not tell
SHOWN = 4  # samples whose pictures a validation saves


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
                    return self._stages(stop)
            finally:
                if hasattr(self, "log"):
                    self.log.close()

    def _prepare(self) -> None:
        """Data, network, place, run folder."""
        options, config, processes = self.options, self.config, self.processes
        torch.manual_seed(config.manual_seed)
        torch.backends.cudnn.benchmark = True
        self.samples = find_samples(options.data_root, config.data, "train", prepared=config.prepared)
        test = find_samples(options.data_root, config.data, "test", prepared=config.prepared)
        count = min(config.valid_samples or len(test), len(test))
        test = [test[k * len(test) // count] for k in range(count)]
        self.test = test[processes.rank :: processes.world_size]
        self.stages = plan(config, len(self.samples))
        self.max_steps = self.stages[-1].last
        for stage in self.stages:  # before hours of training
            self._batch_size(stage)
            if stage.name in ("flow", "mask") and stage.last > stage.first:
                self._dataset(stage)
        saved = self.folder.find_saved(options.resume, processes)
        if saved is None and options.ckpt_abs_name:
            network = load_network(options.ckpt_abs_name, config.network, align_corners=config.align_corners)
        else:
            network = TOFlow(config.form)
            for spynet in network.spynets if config.spynet and saved is None else ():
                load_spynet(spynet, config.spynet)
        self.network = network.to(processes.device)
        self.step, self.position, self.saved_optimizer = 0, 0, None
        self.log = run_log.RunLog(self.folder.path, processes.is_main)
        if saved is not None:
            self._restore(*saved)
        self._describe()

    def _restore(self, weights: dict, state: dict, source: Path) -> None:
        checkpoint_file.load_strict(self.network, weights, source)
        self.step, self.position = state["step"], state["position"]
        self.saved_optimizer = state["optimizer"], state["scaler"]
        self.log.say(f"resumed from {source}: step {self.step}")

    def _batch_size(self, stage: Stage) -> int:
        """Samples of a step for this process."""
        if self.config.batch_size:
            return self.config.batch_size
        if stage.total_batch % self.processes.world_size:
            raise UsageError(
                f"a batch of {stage.total_batch} (stage {stage.name}) does not divide among "
                f"{self.processes.world_size} processes: give -b, or --set total_batch= and flow_batch="
            )
        return stage.total_batch // self.processes.world_size

    def _dataset(self, stage: Stage):
        config = self.config
        if stage.name == "flow" and not config.form.from_middle:
            pairs = find_flow_samples(self.options.data_root, config.flow_data)
            return FlowSamples(pairs, config, SETS[config.data].degradation)
        return TrainingSamples(self.samples, config, labels=stage.name in ("flow", "mask"))

    def _describe(self) -> None:
        """Say what will be done; write settings, cost and a copy of the network's file."""
        config, processes, log = self.config, self.processes, self.log
        parts = ", ".join(f"{stage.name} to step {stage.last}" for stage in self.stages)
        log.say(
            f"{len(self.samples)} samples; {parts}; {processes.world_size} x {self._batch_size(self.stages[-1])} "
            f"samples a step on {processes.device}; run folder {self.folder.path}"
        )
        together = self._batch_size(self.stages[-1]) * processes.world_size
        if together != config.total_batch:
            log.say(
                f"warning: {together} samples a step instead of the preset's {config.total_batch}; the number of steps "
                "stays, but published scores are those of the preset's"
            )
        if processes.world_size > 1 and config.form.batch_norm:
            log.say("warning: batch normalisation sees the samples of its own process alone")
        if processes.is_main:
            log.text("config", config.to_json())
            macs = complexity.macs(lambda: TOFlow(config.form), (1, config.form.frames, 3, 720, 1280))
            text = self.folder.describe(config.to_json(), (macs, complexity.parameters(self.network)), self.step)
            log.say(text.rstrip())
            shutil.copy(Path(__file__).with_name("model.py"), self.folder.path / "model.py")

    # The loop

    def _stages(self, stop: StopRequest) -> int:
        if self.step >= self.max_steps:
            self.log.say(f"nothing to do: step {self.max_steps} was the last")
            return 0
        for stage in self.stages:
            if self.step < stage.last:
                self._begin(stage)
                code = self._loop(stop)
                if code:
                    return code
        self.log.say(f"done: {self.step} steps; checkpoints in {self.folder.manager.folder}")
        return 0

    def _begin(self, stage: Stage) -> None:
        """The stage's modules, optimiser and loss; in the middle of a stage with the saved state."""
        config, processes = self.config, self.processes
        self.stage = stage
        self.learning = learning_parts(self.network, stage.name)
        own = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(own, stage.learning_rate, config.betas, weight_decay=config.weight_decay)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=config.amp == "fp16")
        if self.step == stage.first:
            self.position = 0
        elif self.saved_optimizer:
            optimizer, scaler = self.saved_optimizer
            self.optimizer.load_state_dict(optimizer)
            self.scaler.load_state_dict(scaler)
        self.saved_optimizer = None
        self.objective = Objective(self.network, stage.name, config.loss)
        if config.compile:
            self.objective.compile()
        self.model = self.objective
        if processes.world_size > 1:  # a pyramid that goes by size leaves levels out
            unused = config.form.pyramid == "by_size"
            self.model = DistributedDataParallel(self.objective, find_unused_parameters=unused)

    def _loop(self, stop: StopRequest) -> int:
        config, processes, size = self.config, self.processes, self._batch_size(self.stage)
        keys = Positions(size, first=self.position, rank=processes.rank, world_size=processes.world_size)
        workers = min(size, WORKERS) if config.thread_num < 0 else config.thread_num
        with Batches(self._dataset(self.stage), keys, workers=workers, device=processes.device) as batches:
            return self._steps(batches, size, stop)

    def _steps(self, batches: Batches, size: int, stop: StopRequest) -> int:
        config, log, stage = self.config, self.log, self.stage
        bar = log.progress(self.max_steps, f"{config.mode} {stage.name}", "step")
        bar.update(self.step)
        means, began = run_log.Means(), time.time()
        while self.step < stage.last:
            try:
                batch = next(batches)
            except RuntimeError:  # its workers got the SIGTERM before we did
                if stop.signal is None or self.processes.world_size > 1:
                    raise
                return self._stop(stop)
            loss, outputs = self._update(batch, size)
            means.add({"loss": loss}, size)
            bar.update()
            bar.set_postfix(loss=loss, refresh=False)
            ends = self.step == stage.last
            if self.step % config.write_log_every_step == 0 or ends:
                self._report("train", means.over(self.processes, ("loss",)), time.time() - began)
                if config.save_sample:
                    self._save_samples("train", 0, pictures(batch, outputs))
                means, began = run_log.Means(), time.time()
            if self.step % config.valid_every_step == 0 or ends:
                self._end_period()
            elif self.step % config.save_every_step == 0:
                self._save_last()
            if self.processes.any(stop.signal is not None)[0] and self.step < self.max_steps:
                return self._stop(stop)
        bar.close()
        return 0

    def _rate(self) -> float:
        passed = sum(self.step - self.stage.first >= step for step in self.config.milestones)
        return self.stage.learning_rate * (self.config.gamma**passed if self.stage.name == "joint" else 1)

    def _update(self, batch: dict[str, Tensor], size: int) -> tuple[float, dict[str, Tensor]]:
        """One optimiser step; its loss and the network's outputs.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are still those before the step.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.processes.device, config.amp):
            loss, outputs = self.model(batch)
        value = loss.item()
        self.scaler.scale(loss).backward()
        broken = not math.isfinite(value)
        if config.amp != "fp16":  # there an overflow is ordinary: the scaler leaves that step out and scales less
            norms = torch._foreach_norm([p.grad for p in self.network.parameters() if p.grad is not None])
            broken = broken or not torch.stack(norms).isfinite().all().item()
        if self.processes.any(broken)[0]:
            raise FloatingPointError(
                f"step {self.step + 1}: loss or gradient is not finite (loss {value:g}); "
                f"last good checkpoint: {self.folder.last_good()}"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.position += size * self.processes.world_size
        return value, outputs

    # Validation, pictures, saving

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Mean PSNR of the test results, over all processes."""
        means = run_log.Means()
        self.network.eval()
        for number, sample in enumerate(self.test):
            frames = stack(evaluation_frames(sample, self.config.manual_seed))[None].to(self.processes.device)
            target = to_tensor(read_image(sample.target))[None].to(self.processes.device)
            outputs = predict(self.network, frames)
            error = (outputs["pred"].clamp(0, 1) - target).square().mean()
            means.add({"psnr": (-10 * error.log10()).item()}, 1)
            if self.config.save_sample and number < SHOWN:
                self._save_samples("valid", number + 1, pictures({"frames": frames, "target": target}, outputs))
        for part in self.learning:
            part.train()
        return means.over(self.processes, ("psnr",))

    def _end_period(self) -> None:
        """Save; where the stage makes frames, validate first and keep a checkpoint."""
        if self.stage.name in ("processing", "joint"):
            began = time.time()
            means = self._validate()
            self._report("valid", means, time.time() - began)
            state = self._state()
            if self.processes.is_main:
                self.folder.manager.save(self.network.state_dict(), state, state["epoch"], [means["psnr"]])
        self._save_last()
        self.log.flush()

    def _report(self, split: str, means: dict[str, float], seconds: float) -> None:
        tag = f"loss/itr_{split}_" if split == "valid" else f"loss/itr_{split}_{self.stage.name}_"
        for key, value in means.items():
            self.log.scalar(split, f"{tag}{key}", value, self.step)
        if split == "train":
            self.log.scalar(split, "learning_rate", self._rate(), self.step)
        parts = " ".join(f"{key}:{value:{'.3f' if key == 'psnr' else '.4e'}}" for key, value in means.items())
        self.log.say(
            f"[{split.upper()}][{self.config.mode}] stage:{self.stage.name} step:{self.step}/{self.max_steps} "
            f"time:{seconds:.1f} s lr:{self._rate():.5e} {parts}"
        )

    def _save_samples(self, split: str, number: int, shown: dict) -> None:
        if self.processes.is_main:
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
        """Save in the middle of a stage and tell how to go on."""
        self._save_last()
        self.log.say(
            f"stopped after step {self.step} and saved {self.folder.last_file}; go on with the same command and -r auto"
        )
        return 128 + (stop.signal or signal.SIGTERM)


def pictures(batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> dict:
    """Sample pictures of a batch's first clip: frames, result, truth, flows as colours, warped frames, masks."""
    flows = outputs["flows"][0].detach().float().cpu().permute(0, 2, 3, 1).numpy()  # K h w 2
    colours = torch.stack([torch.from_numpy(flow_to_image(flow)).permute(2, 0, 1) / 255 for flow in flows])
    shown = {"frames": batch["frames"][0], "flows": colours}
    if "pred" in outputs:
        shown |= {"pred": outputs["pred"][:1], "target": batch["target"][:1], "warped": outputs["warped"][0]}
    if "masks" in outputs:
        shown["masks"] = outputs["masks"][0].expand(-1, 3, -1, -1)
    return {key: run_log.grid(images) for key, images in shown.items()}
