"""QPWCNet's training (its published code) and PWC-Net's (paper, section 4): pairs with flow, or frames with the middle.

Training by interpolation, without a flow, comes first: its weights are what the flow's training starts from.
"""

import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from common.ops import complexity
from common.sets.clips import find_clips, is_clip_set
from common.sets.mixtures import samples_of, validation_set
from common.training.loop import Training
from common.training.run_log import Means
from common.training.sample_pictures import grid
from common.training.sampling import to_device
from qpwcnet.checkpoints import new_network
from qpwcnet.config import Config
from qpwcnet.deploy import quantize
from qpwcnet.gradient_clipping import clip_gradients
from qpwcnet.initialise import initialise
from qpwcnet.losses import FLOW_LOSSES, epe, image_mse, l2_penalty, pwc_multiscale
from qpwcnet.model import LEVELS, Interpolator
from qpwcnet.pictures import flow_pictures, interp_pictures
from qpwcnet.pwcnet import PWCNet
from qpwcnet.samples import ClipSamples, TrainingSamples, read_sample
from qpwcnet.schedule import learning_rate
from qpwcnet.sets import find_pairs, find_triplets

FIND = {"flow": find_pairs, "interp": find_triplets}
SHOWN = 4  # samples whose pictures a validation saves


class Objective(nn.Module):
    """The network with its losses, so that gradients of several processes meet in one forward pass."""

    def __init__(self, network: nn.Module, loss: str):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses, their sum first, by their names in the original, and outputs, of `prv`, `nxt` (B, 3, h, w), `target`.

        Interpolation has a loss for each of its six frames; flow for each level but the full-size one.
        """
        target = batch["target"]
        outputs = {name: x.float() for name, x in self.network(batch["prv"], batch["nxt"]).items()}
        if isinstance(self.network, PWCNet):
            flows = [outputs[f"flow_{level}"] for level in range(2, 7)]
            losses = {"flow_loss": pwc_multiscale(flows, target, robust=self.loss == "pwc_robust")}
        else:
            if isinstance(self.network, Interpolator):
                losses = {f"img_{k}_loss": image_mse(outputs[f"img_{k}"], target) for k in range(LEVELS + 1)}
            else:
                loss = FLOW_LOSSES[self.loss]
                losses = {f"flow_{k}_loss": loss(outputs[f"flow_{k}"], target) for k in range(LEVELS)}
            losses["regularization"] = l2_penalty(self.network.kernels())
        return {"loss": sum(losses.values())} | losses, outputs


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    with Training(options, config, scalar="{key}", picture="{key}") as run:
        # What is drawn
        samples = samples_of(config.data, partial(training_samples, options.data_root, config), config.manual_seed)
        test = run.share(validation_samples(options.data_root, config), config.valid_samples)
        epoch = max(1, len(samples) // config.total_batch)  # steps
        steps = config.max_steps or config.epochs * epoch
        size = run.batch_size(config.total_batch)

        # What is computed, from which weights
        network = new_network(config).to(run.processes.device)  # where the start is measured
        if not run.find_saved():
            initialise(network, options, config, samples, run.log.say)
        elif config.quantise:
            quantize.prepare(network)  # the ranges lie with the saved weights
        run.begin(network.train(), last=steps, epoch=epoch)

        # What is minimised, by which optimiser and schedule
        optimizer = torch.optim.Adam(
            network.parameters(), config.learning_rate, eps=config.epsilon, weight_decay=config.weight_decay
        )
        run.minimise(
            Objective(network, config.loss),
            optimizer,
            lambda step: learning_rate(step, steps, config),
            clip=(lambda: clip_gradients(network.parameters(), config.clip_factor)) if config.clip_factor else None,
        )
        # For 1280x704 pixels, as both networks take: the work of a part of them, times how many there are.
        macs = lambda: 110 * complexity.macs(lambda: new_network(config), *[(1, 3, 64, 128)] * 2)  # noqa: E731
        model_file = Path(__file__).with_name("model.py" if config.network == "QPWCNet" else "pwcnet.py")
        run.describe(f"{len(samples)} samples, {epoch} steps an epoch, {steps} steps", macs, model_file, size)

        for batch in run.steps(samples, size, steps):
            losses, outputs = run.forward(batch)
            run.update(losses)
            where = f"epoch:{run.step / epoch:.2f}"
            if run.is_due(config.write_log_every_step):
                run.report_means(where)
                if config.save_sample:
                    run.show("train", pictures(batch, outputs, config.task))
            if run.is_due(epoch * config.valid_every_epoch):
                began = time.time()
                with run.testing():
                    means = validate(run, test)
                run.report("valid", means, time.time() - began, where)
                run.keep(means["psnr"] if config.task == "interp" else -means["epe"])  # the higher, the better
        return run.end()


def training_samples(data_root: str, config: Config, data: str) -> Dataset:
    """The samples of a set."""
    if is_clip_set(data):
        needed = {"least": 2, "twin": "flow"} if config.task == "flow" else {"least": 3}
        return ClipSamples(find_clips(data_root, data, "train", **needed), config)
    return TrainingSamples(FIND[config.task](data_root, data, "train"), config)


def validation_samples(data_root: str, config: Config) -> list:
    """All samples of the set that validates.

    Raises:
        ValueError: it is not there, or nobody knows its flow.
    """
    samples = FIND[config.task](data_root, validation_set(config.data, config.valid_data), "test")
    if config.task == "flow" and samples[0].flow is None:
        raise ValueError(f"{samples[0].first}: no flow beside it; validate on another set: --set valid_data=...")
    return samples


def validate(run: Training, test: list) -> dict[str, float]:
    """Mean error of the test samples at the training's size, over all processes: EPE, or PSNR of the frames."""
    config, means = run.config, Means()
    for number, sample in enumerate(test):
        batch = to_device({key: x[None] for key, x in read_sample(sample, config).items()}, run.processes.device)
        outputs = run.network(batch["prv"], batch["nxt"])
        result = full_size(outputs)
        if config.task == "flow":
            means.add({"epe": epe(result, batch["target"]).item()}, 1)
        else:
            error = (result.clamp(0, 1) - batch["target"]).square().mean()
            means.add({"psnr": (-10 * error.log10()).item()}, 1)
        if config.save_sample and number < SHOWN:
            run.show("valid", pictures(batch, outputs, config.task), number + 1)
    return means.over(run.processes, ("epe" if config.task == "flow" else "psnr",))


def full_size(outputs: dict[str, Tensor]) -> Tensor:
    """The flow or the frame of the input's size among a network's outputs."""
    if "flow" in outputs:  # PWC-Net's, at a quarter of the size but in its pixels
        return F.interpolate(outputs["flow"], scale_factor=4, mode="bilinear", align_corners=False)
    return outputs.get(f"img_{LEVELS}", outputs.get(f"flow_{LEVELS}"))


def pictures(batch: dict[str, Tensor], outputs: dict[str, Tensor], task: str) -> dict:
    """Sample pictures of a batch of the task: frames, result, truth."""
    draw = flow_pictures if task == "flow" else interp_pictures
    shown = draw(batch["prv"], batch["nxt"], full_size(outputs), batch["target"])
    return {key: grid(images[:6]) for key, images in shown.items()}
