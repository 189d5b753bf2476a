"""TOFlow's training: in stages the flow network, the mask, the processing network, and at last all together."""

import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from common.media.flow_color import flow_to_image
from common.media.image import read_image
from common.ops import complexity
from common.sets.mixtures import validation_set
from common.training.loop import Training
from common.training.run_log import Means
from common.training.sample_pictures import grid
from common.training.sampling import as_tensor, to_device
from toflow.checkpoints import load_network, load_spynet
from toflow.config import Config
from toflow.model import TOFlow, predict
from toflow.samples import evaluation_frames, stack
from toflow.schedule import learning_rate
from toflow.sets import SETS, Sample, find_samples
from toflow.stages import Objective, learning_parts, plan, training_samples

SHOWN = 4  # samples whose pictures a validation saves
REMEDY = "give -b, or --set total_batch= and flow_batch="
MODEL = Path(__file__).with_name("model.py")


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    with Training(options, config, digits=7) as run:
        # What is drawn in which stage; all is looked at now, not after hours of training
        samples = training_samples("joint", options.data_root, config)
        valid_data = validation_set(config.data, config.valid_data)
        prepared = config.prepared and valid_data in SETS
        test = run.share(find_samples(options.data_root, valid_data, "test", prepared=prepared), config.valid_samples)
        stages = plan(config, len(samples))
        sizes = [run.batch_size(stage.total_batch, f"{REMEDY} (stage {stage.name})") for stage in stages]
        drawn = [training_samples(stage.name, options.data_root, config) for stage in stages]

        # What is computed, from which weights
        goes_on = run.find_saved()
        if not goes_on and options.ckpt_abs_name:
            network = load_network(options.ckpt_abs_name, config.network, align_corners=config.align_corners)
        else:
            network = TOFlow(config.form)
            for spynet in network.spynets if config.spynet and not goes_on else ():
                load_spynet(spynet, config.spynet)
        run.begin(network, last=stages[-1].last, epoch=config.valid_every_step)  # MMagic's epochs are such periods
        macs = lambda: complexity.macs(lambda: TOFlow(config.form), (1, config.form.frames, 3, 720, 1280))  # noqa: E731
        told = ", ".join(f"{stage.name} to step {stage.last}" for stage in stages)
        run.describe(f"{len(samples)} samples; {told}", macs, MODEL, sizes[-1])
        if run.processes.world_size > 1 and config.form.batch_norm:
            run.log.say("warning: batch normalisation sees the samples of its own process alone")

        for stage, dataset, size in zip(stages, drawn, sizes, strict=True):
            if run.stopped or run.step >= stage.last:  # not to be begun, or done before
                continue
            # What learns, by which loss, optimiser and schedule
            learning_parts(network, stage.name)
            own = [parameter for parameter in network.parameters() if parameter.requires_grad]
            run.minimise(
                Objective(network, stage.name, config.loss),
                torch.optim.Adam(own, stage.learning_rate, config.betas, weight_decay=config.weight_decay),
                partial(learning_rate, stage=stage, config=config),
                find_unused=config.form.pyramid == "by_size",  # which leaves levels out
                first=stage.first,
            )
            where = f"stage:{stage.name}"
            for batch in run.steps(dataset, size, stage.last, stage.name):
                loss, outputs = run.forward(batch)
                run.update({"loss": loss})
                if run.is_due(config.write_log_every_step):
                    run.report_means(where, f"loss/itr_train_{stage.name}_{{key}}")
                    if config.save_sample:
                        run.show("train", pictures(batch, outputs))
                if run.is_due(config.valid_every_step):
                    makes_frames = stage.name in ("processing", "joint")
                    with run.testing():
                        score = validate(run, test, where) if makes_frames else None
                    run.keep(score)
        return run.end()


def validate(run: Training, test: list[Sample], where: str) -> float:
    """Mean PSNR of the test results over all processes, told."""
    began, means = time.time(), Means()
    for number, sample in enumerate(test):
        item = {"frames": stack(evaluation_frames(sample, run.config.manual_seed))[None]}
        item |= {"target": as_tensor(read_image(sample.target))[None]}
        frames, target = to_device(item, run.processes.device).values()
        outputs = predict(run.network, frames)
        error = (outputs["pred"].clamp(0, 1) - target).square().mean()
        means.add({"psnr": (-10 * error.log10()).item()}, 1)
        if run.config.save_sample and number < SHOWN:
            run.show("valid", pictures({"frames": frames, "target": target}, outputs), number + 1)
    scores = means.over(run.processes, ("psnr",))
    run.report("valid", scores, time.time() - began, where)
    return scores["psnr"]


def pictures(batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> dict:
    """Sample pictures of a batch's first clip: frames, result, truth, flows as colours, warped frames, masks."""
    flows = outputs["flows"][0].detach().float().cpu().permute(0, 2, 3, 1).numpy()  # K h w 2
    colours = torch.stack([torch.from_numpy(flow_to_image(flow)).permute(2, 0, 1) / 255 for flow in flows])
    shown = {"frames": batch["frames"][0], "flows": colours}
    if "pred" in outputs:
        shown |= {"pred": outputs["pred"][:1], "target": batch["target"][:1], "warped": outputs["warped"][0]}
    if "masks" in outputs:
        shown["masks"] = outputs["masks"][0].expand(-1, 3, -1, -1)
    return {key: grid(images) for key, images in shown.items()}
