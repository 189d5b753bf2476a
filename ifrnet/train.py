"""IFRNet's training (paper, section 3.3 and 4.1): pairs of frames, the frames between, flows of a teacher as labels."""

import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from common.media.flow_color import flow_to_image
from common.ops import complexity
from common.sets.clips import find_clips, is_clip_set
from common.sets.mixtures import samples_of, validation_set
from common.training.loop import Training
from common.training.run_log import Means
from common.training.sample_pictures import grid
from common.training.sampling import to_device
from ifrnet.checkpoints import load_network
from ifrnet.config import Config
from ifrnet.losses import training_losses
from ifrnet.model import IFRNet, initialise
from ifrnet.samples import ClipSamples, TestSamples, TrainingSamples
from ifrnet.schedule import learning_rate
from ifrnet.sets import find_samples

SHOWN = 4  # samples whose pictures a validation saves
MODEL = Path(__file__).with_name("model.py")


class Objective(nn.Module):
    """The network with its losses, so that gradients of several processes meet in one forward pass."""

    believes = False  # that labels are right, see `training_losses`

    def __init__(self, network: IFRNet):
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses, their sum first, and outputs of `img0`, `img1` (B, 3, h, w), `target` (B, K, 3, h, w), `t` (B, K).

        `labels` (B, 1, 4, h, w), where there are any, are the teacher's flows.
        """
        target = batch["target"].flatten(0, 1)  # BK 3 h w
        labels = batch["labels"].flatten(0, 1) if "labels" in batch else None  # B 4 h w
        outputs, features = self.network.train_outputs(batch["img0"], batch["img1"], batch["t"].flatten(), target)
        features = [x.float() for x in features]
        outputs |= {name: outputs[name].float() for name in ("feat1", "feat2", "feat3")}
        with torch.autocast(target.device.type, enabled=False):
            losses = training_losses(outputs, target, features, labels, believed=self.believes)
        return {"total": sum(losses.values())} | losses, outputs


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    with Training(options, config) as run:
        # What is drawn
        samples = samples_of(config.data, partial(training_samples, options.data_root, config), config.manual_seed)
        valid_data = validation_set(config.data, config.valid_data)
        test = TestSamples(
            run.share(find_samples(options.data_root, valid_data, "test"), config.valid_samples), config.distill
        )
        epoch = max(1, len(samples) // config.total_batch)  # steps
        steps = config.max_steps or config.epochs * epoch
        size = run.batch_size(config.total_batch)

        # What is computed, from which weights
        if not run.find_saved() and options.ckpt_abs_name:
            network = load_network(options.ckpt_abs_name, config.network)
        else:
            network = IFRNet(config.network)
            if config.init == "kaiming":
                initialise(network)
        run.begin(network.train(), last=steps, epoch=epoch)

        # What is minimised, by which optimiser and schedule
        objective = Objective(network)
        optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=0)
        run.minimise(
            objective,
            optimizer,
            lambda step: learning_rate(step, steps, config.learning_rate, config.learning_rate_end, config.warmup),
        )
        macs = lambda: complexity.macs(lambda: IFRNet(config.network), *[(1, 3, 720, 1280)] * 2, (1,))  # noqa: E731
        run.describe(f"{len(samples)} samples, {epoch} steps an epoch, {steps} steps", macs, MODEL, size)

        for batch in run.steps(samples, size, steps):
            objective.believes = run.step < config.believe_labels
            losses, outputs = run.forward(batch)
            run.update(losses)
            where = f"epoch:{run.step / epoch:.2f}"
            if run.is_due(config.write_log_every_step):
                run.report_means(where)
                if config.save_sample:
                    run.show("train", pictures(batch, outputs))
            if run.is_due(epoch * config.valid_every_epoch):
                began = time.time()
                with run.testing():
                    means = validate(run, objective, test)
                run.report("valid", means, time.time() - began, where)
                run.keep(means["psnr"])
        return run.end()


def training_samples(data_root: str, config: Config, data: str) -> Dataset:
    """The samples of a set."""
    if is_clip_set(data):
        return ClipSamples(find_clips(data_root, data, "train", least=3), config)
    return TrainingSamples(find_samples(data_root, data, "train"), config)


def validate(run: Training, objective: Objective, test: TestSamples) -> dict[str, float]:
    """Mean losses and PSNR of the test frames over all processes."""
    means = Means()
    for number in range(len(test)):
        batch = to_device({key: value[None] for key, value in test[number].items()}, run.processes.device)
        losses, outputs = objective(batch)
        error = (outputs["pred"] - batch["target"][0]).square().mean((1, 2, 3))
        psnr = (-10 * error.log10()).mean().item()
        means.add({key: loss.item() for key, loss in losses.items()} | {"psnr": psnr}, len(error))
        if run.config.save_sample and number < SHOWN:
            run.show("valid", pictures(batch, outputs), number + 1)
    return means.over(run.processes, ("total", "loss_rec", "loss_geo", "loss_dis", "psnr"))


def pictures(batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> dict:
    """Sample pictures: frames, result, truth, flows as colours, mask (white: from frame 0)."""
    count = min(len(outputs["pred"]), 6)
    shown = {"img0": batch["img0"], "img1": batch["img1"], "target": batch["target"].flatten(0, 1)}
    shown |= {"pred": outputs["pred"], "mask": outputs["mask"].expand(-1, 3, -1, -1)}
    for name in ("flow0", "flow1"):
        flows = outputs[f"{name}_1"][:count].detach().float().cpu().permute(0, 2, 3, 1).numpy()
        colours = [torch.from_numpy(flow_to_image(flow)).permute(2, 0, 1) / 255 for flow in flows]
        shown[name] = torch.stack(colours)
    return {key: grid(images[:count]) for key, images in shown.items()}
