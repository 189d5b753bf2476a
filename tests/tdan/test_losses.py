"""TDAN's loss: what it adds up to, its gradient over a batch, and that a training by it goes somewhere."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from common.training.sampling import to_device
from tdan.config import preset
from tdan.losses import tdan_loss
from tdan.model import TDAN
from tdan.samples import TrainingSamples
from tdan.sets import find_clips


def batch_of(clips: Path, config, *positions: int) -> dict[str, torch.Tensor]:
    dataset = TrainingSamples(find_clips(clips, config.data, "train", scale=config.scale), config)
    batch = torch.utils.data.default_collate([dataset[position] for position in positions])
    return to_device(batch, torch.device("cpu"))


def test_the_loss_by_its_formula():
    torch.manual_seed(0)
    frames, target = torch.rand(2, 5, 3, 4, 6), torch.rand(2, 3, 16, 24)
    outputs = {
        "pred": target + 0.1,
        "aligned": frames[:, 2, None] + torch.tensor([0.2, 0.2, 0, 0.2, 0.2])[:, None, None, None],
    }
    losses = tdan_loss(outputs, frames, target, 0.25)
    assert list(losses) == ["total", "sr", "align"]  # the first is what a training minimises
    assert losses["sr"].item() == pytest.approx(0.01, rel=1e-4)
    assert losses["align"].item() == pytest.approx(0.25 * 0.04 * 4 / 5, rel=1e-4)  # the middle one counts in the mean
    assert torch.equal(losses["total"], losses["sr"] + losses["align"])


@pytest.mark.parametrize("name", ["TDAN_tiny_bi", "TDAN_tiny_bd"])
def test_loss_falls_on_one_batch(clips, name):
    torch.manual_seed(0)
    config = replace(preset(name), crop=8)
    network, batch = TDAN(8, 1, 1), batch_of(clips, config, 0, 1)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    found = []
    for _ in range(40):
        losses = tdan_loss(network(batch["frames"]), batch["frames"], batch["target"], config.align_weight)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        found.append({name: loss.item() for name, loss in losses.items()})
    assert found[-1]["sr"] < 0.3 * found[0]["sr"]
    assert found[-1]["align"] < 0.3 * found[0]["align"]


def test_mean_gradient_of_two_samples_is_that_of_their_batch(clips):
    torch.manual_seed(0)
    config = replace(preset("TDAN_tiny_bi"), crop=8)
    network = TDAN(8, 1, 1, init="authors").double()

    def gradient(*positions):
        network.zero_grad()
        batch = {key: x.double() for key, x in batch_of(clips, config, *positions).items()}
        tdan_loss(network(batch["frames"]), batch["frames"], batch["target"], 0.25)["total"].backward()
        return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    both = gradient(0, 1)
    assert ((gradient(0) + gradient(1)) / 2 - both).norm() < 1e-12 * both.norm()
