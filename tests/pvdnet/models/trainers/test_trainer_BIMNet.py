"""The trainer of BIMNet alone: the flow loss, no recurrence."""

import pytest
import torch
from torch import nn

from common.training.distributed import Processes
from pvdnet.config import Config
from pvdnet.models import deblurnet
from pvdnet.models.trainers.trainer_BIMNet import Trainer

CONFIG = Config(network="BIMNet", trainer="trainer_BIMNet", fix_BIMNet=False, BIMNet_ckpt="", lr_init=1e-2)


class SomeFlow(nn.Module):
    """Stands for LiteFlowNet, which takes a second a step."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 2, 3, 2, 1)

    def forward(self, first, second):
        return self.conv(torch.cat((first, second), 1))  # B 2 h w


@pytest.fixture
def trainer(monkeypatch):
    monkeypatch.setattr(deblurnet, "LiteFlowNet", SomeFlow)
    torch.manual_seed(0)
    return Trainer(CONFIG, Processes(0, 1, torch.device("cpu")))


def test_only_the_flow_is_learnt_and_nothing_is_left_for_the_next_step(trainer):
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    frames = torch.stack([((rows + columns + shift) / 8).sin() / 2 + 0.5 for shift in (0.0, 1.0, 2.0)])
    batch = dict.fromkeys(("input", "gt"), frames[None, :, None].expand(1, 3, 3, 32, 32))
    assert trainer.first_memory(batch).numel() == 0
    found = [trainer.iteration(batch, 0, trainer.first_memory(batch)) for _ in range(30)]
    values, memory, outputs, _ = found[-1]
    assert values["total"] == values["flow"] < 0.8 * found[0][0]["flow"]
    assert memory.numel() == 0
    assert set(outputs) == {"flow_bb", "flow_bs", "flow_sb", "flow_ss"}
    assert torch.equal(outputs["flow_bb"], outputs["flow_ss"])  # here blurry and sharp are the same


def test_the_score_is_how_well_the_blurry_flow_aligns_the_sharp_frames(trainer):
    sharp = torch.rand(1, 1, 3, 32, 32).expand(1, 2, 3, 32, 32).clone()
    sharp[:, 1] += 0.1
    still = {"flow_bb": torch.zeros(1, 2, 32, 32)}
    assert trainer.psnr({"gt": sharp}, still).item() == pytest.approx(20, abs=1e-3)
