"""PVDNet's training (paper, sections 3 and 5): clips of consecutive frames, one optimiser step a frame.

What a step computes and minimises, by which optimiser and schedule, is the trainer's: models/trainers.
"""

import importlib
import math
import time

import numpy as np
import torch
from torch import Tensor

from common.checkpoints import checkpoint_file
from common.media.flow_color import flow_to_image
from common.ops.warp import backward_warp
from common.sets import mixtures
from common.training.run_log import Means
from common.training.sample_pictures import grid
from common.training.sampling import Batches, to_tensor, usual_workers
from pvdnet.config import HERE, Config
from pvdnet.frame_training import FrameTraining
from pvdnet.samples import EpochBatches, MixedClips, TrainingClips
from pvdnet.sets import Video, find_videos

FLOW_NETWORK = HERE.parent / "common/ops/liteflownet.py"


def train(options, config: Config) -> int:
    """Train by the command line's options and the settings; returns the exit code."""
    with FrameTraining(options, config) as run:
        np.random.seed(config.manual_seed)
        processes, steps = run.processes, config.frame_itr_num

        # What is drawn
        names, weights = zip(*mixtures.parts(config.data), strict=True)
        sets = [TrainingClips(find_videos(options.data_root, name, "train"), config) for name in names]
        clips = MixedClips(sets, weights) if len(sets) > 1 else sets[0]
        test = run.share(
            find_videos(options.data_root, mixtures.validation_set(config.data, config.valid_data), "test")
        )
        part = {"rank": processes.rank, "world_size": processes.world_size}
        order = EpochBatches(len(clips), config.batch_size, **part, seed=config.manual_seed)
        epochs = math.ceil(config.total_itr / (order.per_epoch * steps))

        # What is computed and minimised, by which optimiser and schedule
        Trainer = importlib.import_module(f"pvdnet.models.trainers.{config.trainer}").Trainer
        resumed = run.find_saved()
        start = None if resumed else options.ckpt_abs_name
        trainer = Trainer(config, processes, fresh=not (resumed or start))
        if start:
            trainer.start(checkpoint_file.load(start), start)
            run.log.say(f"starts from the weights of {start}")
        run.begin(trainer, epochs, order.per_epoch)
        run.write_description(trainer.cost, [HERE / f"models/archs/{config.network}.py", FLOW_NETWORK])
        if not resumed:
            run.rank([1e-08, 100000000.0])
        run.log.say(
            f"{len(clips)} samples, {order.per_epoch} batches an epoch, {epochs} epochs, {run.last} iterations on "
            f"{processes.world_size} x {processes.device}; run folder {run.folder.path}"
        )
        if run.epoch > epochs:
            return run.end()

        first = order.epoch = run.epoch
        order.batch = run.batch
        workers = usual_workers() if config.thread_num < 0 else config.thread_num
        with run.loop(), Batches(clips, order, workers=workers, device=processes.device) as batches:
            while run.epoch <= epochs:
                began = time.time()
                for batch, frame in run.frames(batches):
                    values, run.memory, outputs, _ = trainer.iteration(batch, frame, run.memory)
                    run.count(values, len(batch["input"]))
                    if config.is_verbose:
                        parts = ", ".join(f"{key}: {value:.4e}" for key, value in values.items())
                        run.log.say(f"[TRAIN][{config.mode}] itr {run.step} {parts}")
                    if config.save_sample and run.batch % config.write_log_every_itr == 0 and frame == steps - 1:
                        run.show("train", pictures(batch, frame, outputs), where=f"E{run.epoch:02}_")
                if run.stopped:
                    break
                run.report("train", run.means.over(processes, trainer.keys), time.time() - began)
                due = run.epoch % config.write_ckpt_every_epoch == 0 or run.epoch > epochs - 10
                run.end_epoch(validate(run, test) if due or run.epoch == first else None)
        return run.end()


def validate(run: FrameTraining, test: list[Video]) -> float | None:
    """Tell the mean losses and PSNR of the test frames; returns the PSNR, None if it is no number."""
    began, means = time.time(), Means()
    with run.trainer.average.applied():
        for number, video in enumerate(test, 1):
            for index, (values, batch, outputs) in enumerate(run.trainer.validate(video)):
                means.add(values, 1)
                if run.config.save_sample and index == min(1, len(video) - 1):
                    run.show("valid", pictures(batch, 0, outputs), number, where=f"E{run.epoch:02}_")
    found = means.over(run.processes, (*run.trainer.keys, "psnr"))
    run.report("valid", found, time.time() - began)
    return None if math.isnan(found["psnr"]) else found["psnr"]


def pictures(batch: dict[str, Tensor], frame: int, outputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Sample pictures of a step: frames, result, aligned sharp frames, flows as colours."""
    shown = {"input": grid(batch["input"][:, frame + 1]), "gt": grid(batch["gt"][:, frame + 1])}
    if "result" in outputs:
        shown["result"] = grid(outputs["result"])
    for name, flow in outputs.items():
        if name.startswith("flow_"):
            flow = flow.detach().float()
            shown[f"warped_{name[-2:]}"] = grid(backward_warp(batch["gt"][:, frame], flow, padding="zeros"))
            colours = [flow_to_image(one.permute(1, 2, 0).cpu().numpy()) for one in flow]
            shown[name] = grid(torch.stack([to_tensor(colour) for colour in colours]))
    return shown
