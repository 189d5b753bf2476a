"""BIMNet alone with the blur-invariant loss: the first stage of the paper (section 3), never published as code."""

import torch
from torch import Tensor, nn

from common.ops import complexity
from common.ops.liteflownet import LiteFlowNet
from pvdnet.losses import blur_invariant_error, blur_invariant_loss
from pvdnet.models.deblurnet import BlurInvariantFlows
from pvdnet.models.trainers import trainer


class Trainer(trainer.Trainer):
    """Only the flow loss; no recurrence, so what a step leaves for the next is empty."""

    keys = ("total", "flow")

    @staticmethod
    def build(config) -> nn.Module:
        """LiteFlowNet on the four pairs of blurry and sharp frames."""
        return BlurInvariantFlows()

    def cost(self) -> tuple[int, int]:
        """Multiply-accumulates for one flow of a 1280x704 frame, and parameters."""
        return complexity.macs(LiteFlowNet, *[(1, 3, 704, 1280)] * 2), complexity.parameters(self.network)

    def forward(self, batch: dict[str, Tensor], frame: int, memory: Tensor) -> tuple[dict, dict]:
        """Losses and the four flows."""
        blurry, sharp = batch["input"], batch["gt"]
        truths = sharp[:, frame], sharp[:, frame + 1]
        flows = self.model(blurry[:, frame], blurry[:, frame + 1], *truths)
        flow = blur_invariant_loss(flows, *truths)
        return {"total": flow, "flow": flow}, flows

    def first_memory(self, batch: dict[str, Tensor]) -> Tensor:
        """Nothing."""
        return batch["input"].new_zeros(0)

    def next_memory(self, outputs: dict[str, Tensor]) -> Tensor:
        """Nothing."""
        return outputs["flow_bb"].new_zeros(0)

    def psnr(self, batch: dict[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """How well the flow between blurry frames aligns the sharp ones, where it stays inside the frame."""
        error, _, _ = blur_invariant_error(outputs["flow_bb"], batch["gt"][:, 0], batch["gt"][:, 1])
        return -10 * torch.log10(error)
