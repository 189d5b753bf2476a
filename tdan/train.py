"""TDAN's training (paper, section 3.4): windows of five small frames, a true one; MMagic's recipe, or the authors'."""

import time
from functools import partial
from pathlib import Path

import torch

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.checkpoints.safe_unpickle import load_any
from common.cli import UsageError
from common.ops import complexity
from common.ops.deform_conv import BORDERS
from common.scoring import score_frames
from common.sets.mixtures import samples_of
from common.training.loop import Training
from common.training.run_log import Means
from common.training.sampling import to_tensor
from tdan.checkpoints import convert
from tdan.config import Config
from tdan.losses import tdan_loss
from tdan.model import TDAN, WINDOW
from tdan.pictures import pictures
from tdan.protocols import PROTOCOLS
from tdan.samples import Sample, TrainingSamples, Window, scored_samples
from tdan.schedule import learning_rate
from tdan.sets import find_clips

SHOWN = 4  # frames whose pictures a validation saves
PROTOCOL = PROTOCOLS["tdan"]  # of the validation
MODEL = Path(__file__).with_name("model.py")


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    with Training(options, config, digits=7) as run:
        # What is drawn
        root, scale = options.data_root, config.scale
        samples = samples_of(config.data, partial(training_samples, root, config), config.manual_seed)
        test = scored_samples(find_clips(root, config.valid_data, "test", scale=scale))
        test = run.share(test, config.valid_samples)
        size = run.batch_size(config.total_batch, "give -b, or --set total_batch=")
        planned = config.steps or config.epochs * max(len(samples) // config.total_batch, 1)
        steps = min(planned, config.max_steps or planned)

        # What is computed, from which weights
        weights, source = (None, None) if run.find_saved() else first_weights(options, config)
        network = build(config)
        if weights:
            checkpoint_file.load_strict(network, weights, source)
            run.log.say(f"starts from the weights of {source}, border rule {BORDERS[int(network.border)]}")
        run.begin(network, last=steps, epoch=config.valid_every_step)  # an epoch lasts to a validation, as in MMagic

        # What is minimised, by which optimiser and schedule
        start, decay = config.learning_rate, config.weight_decay
        optimizer = torch.optim.Adam(network.parameters(), start, config.betas, weight_decay=decay)
        rate = lambda step: learning_rate(step, planned, start, config.milestones, config.gamma)  # noqa: E731
        run.minimise(network, optimizer, rate)
        run.describe(f"{len(samples)} clips; {steps} steps", lambda: macs(config), MODEL, size)

        for batch in run.steps(samples, size, steps):
            outputs = run.forward(batch["frames"])
            run.update(tdan_loss(outputs, batch["frames"], batch["target"], config.align_weight))
            if run.is_due(config.write_log_every_step):
                run.report_means()
                if config.save_sample:
                    run.show("train", pictures(batch["frames"], batch["target"], outputs, scale))
            if run.is_due(config.valid_every_step):
                began = time.time()
                with run.testing():
                    means = validate(run, test)
                run.report("valid", means, time.time() - began)
                run.keep(means["psnr"])
        return run.end()


def training_samples(data_root: str, config: Config, data: str) -> TrainingSamples:
    """The samples of a set."""
    clips = find_clips(data_root, data, "train", scale=config.scale, prepared=config.prepared)
    return TrainingSamples(clips, config)


def first_weights(options, config: Config) -> tuple[dict | None, Path | None]:
    """Weights of an earlier stage to start from, with our names, and their file; None: there is no such stage."""
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


def build(config: Config) -> TDAN:
    """The network of the settings; weights that are loaded into it bring their border rule."""
    return TDAN(
        config.channels, config.blocks_before, config.blocks_after,
        scale=config.scale, groups=config.groups, border=config.border, init=config.init,
        add_bicubic=config.add_bicubic,
    )  # fmt: skip


def macs(config: Config) -> int:
    """Multiply-accumulates for a 1280x720 result: those of a part of it, times how many there are."""
    return (16 // config.scale) ** 2 * complexity.macs(lambda: build(config), (1, WINDOW, 3, 45, 80))


def validate(run: Training, test: list[Sample]) -> dict[str, float]:
    """Mean scores of the test frames by the table's protocol, over all processes and all frames."""
    means, scale = Means(), run.config.scale
    for number, sample in enumerate(test):
        window = Window(sample.clip, sample.window(), scale)
        frames = torch.stack([to_tensor(low) for low in window.lows()])[None]  # 1 T 3 h w
        outputs = run.network(frames.to(run.processes.device))
        prediction = outputs["pred"][0].permute(1, 2, 0).cpu().numpy()  # H W 3
        values = score_frames.score(PROTOCOL, prediction, window.truth)
        means.add({metric.lower(): value for metric, value in values.items()}, 1)
        if run.config.save_sample and number < SHOWN:
            run.show("valid", pictures(frames, to_tensor(window.truth)[None], outputs, scale), number + 1)
    return means.over(run.processes, ("psnr", "ssim"))
