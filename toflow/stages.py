"""The stages of a training: what learns, from what, by which loss."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from torch.utils.data import Dataset

from common.sets.mixtures import parts, samples_of
from toflow.config import Config
from toflow.losses import charbonnier, l1, mask_labels
from toflow.model import TOFlow
from toflow.samples import ClipSamples, FlowSamples, TrainingSamples
from toflow.sets import SETS, data_set, find_clips, find_flow_samples, find_samples


class Stage(NamedTuple):
    """A part of a run: which modules learn from what. `first` and `last` are the steps before and behind it."""

    name: str
    first: int
    last: int
    learning_rate: float
    total_batch: int


def plan(config: Config, samples: int) -> list[Stage]:
    """The stages of a run over that many samples."""
    stages, first = [], 0
    for name, steps, rate in zip(config.stages, config.steps, config.learning_rates, strict=True):
        batch = config.flow_batch if name == "flow" else config.total_batch
        last = first + (steps or config.epochs * max(1, samples // batch))
        last = min(last, config.max_steps or last)
        stages.append(Stage(name, first, last, rate, batch))
        first = last
    return stages


def training_samples(stage: str, data_root: str | Path, config: Config) -> Dataset:
    """What a stage learns from: the task's samples, with labels of flow where it needs them, or pairs with flow.

    Raises:
        ValueError: the first of them cannot be read.
    """
    if stage == "flow" and not config.form.from_middle:
        pairs = find_flow_samples(data_root, config.flow_data)
        return FlowSamples(pairs, config, data_set(parts(config.data)[0][0]).degradation)
    make = partial(_samples_of_set, data_root, config, stage in ("flow", "mask"))
    return samples_of(config.data, make, config.manual_seed)


def _samples_of_set(data_root: str | Path, config: Config, labels: bool, data: str) -> TrainingSamples:
    if data not in SETS:
        return ClipSamples(find_clips(data_root, data, "train"), data_set(data).degradation, config, labels)
    return TrainingSamples(find_samples(data_root, data, "train", prepared=config.prepared), config, labels)


def learning_parts(network: TOFlow, stage: str) -> list[nn.Module]:
    """The modules that learn in a stage; what stays as it is normalises with its own statistics, not the batch's."""
    parts = {"flow": [network.spynets], "processing": [network.processing]}
    if network.form.mask:
        parts |= {"mask": [network.masknet], "processing": [network.processing, network.masknet]}
    chosen = parts.get(stage, [network])
    network.requires_grad_(False).eval()
    for part in chosen:
        part.requires_grad_(True).train()
    return chosen


class Objective(nn.Module):
    """The network with a stage's loss, so that gradients of several processes meet in one forward pass."""

    def __init__(self, network: TOFlow, stage: str, loss: str):
        super().__init__()
        self.network, self.stage, self.loss = network, stage, loss

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and outputs of a batch: `frames` (B, T, 3, h, w), with `target` (B, 3, h, w) or `flows` (B, K, 2, h, w).

        In the stage "flow" the outputs are the flows alone.
        """
        network, frames = self.network, batch["frames"]
        if self.stage == "flow":
            x = (frames - network.mean) / network.std  # B 2 3 h w
            flows = network.estimate_flows(x) if network.form.from_middle else network.pair_flow(x)  # B K 2 h w
            return l1(flows, batch["flows"]), {"flows": flows}
        outputs = network(frames)
        pred, target = outputs["pred"], batch["target"]
        if self.stage == "mask":
            return l1(outputs["masks"], mask_labels(frames, target, batch["flows"])), outputs
        if self.loss == "charbonnier":
            return charbonnier(pred / network.std[0], target / network.std[0]), outputs
        return l1(pred, target), outputs
