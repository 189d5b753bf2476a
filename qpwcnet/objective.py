"""What training minimises."""

import torch.nn.functional as F
from torch import Tensor, nn

from qpwcnet.losses import FLOW_LOSSES, image_mse, pwc_multiscale
from qpwcnet.model import LEVELS, Interpolator
from qpwcnet.optim import l2_penalty
from qpwcnet.pwcnet import PWCNet


class Objective(nn.Module):
    """The network with its losses, so that gradients of several processes meet in one forward pass."""

    def __init__(self, network: nn.Module, loss: str):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses by their names in the original, and outputs, of `prv`, `nxt` (B, 3, h, w) and `target`.

        Interpolation has a loss for each of its six frames; flow for each level but the full-size one.
        """
        target = batch["target"]
        outputs = {name: x.float() for name, x in self.network(batch["prv"], batch["nxt"]).items()}
        if isinstance(self.network, PWCNet):
            flows = [outputs[f"flow_{level}"] for level in range(2, 7)]
            return {"flow_loss": pwc_multiscale(flows, target, robust=self.loss == "pwc_robust")}, outputs
        if isinstance(self.network, Interpolator):
            losses = {f"img_{k}_loss": image_mse(outputs[f"img_{k}"], target) for k in range(LEVELS + 1)}
        else:
            loss = FLOW_LOSSES[self.loss]
            losses = {f"flow_{k}_loss": loss(outputs[f"flow_{k}"], target) for k in range(LEVELS)}
        return losses | {"regularization": l2_penalty(self.network.kernels())}, outputs


def full_size(outputs: dict[str, Tensor]) -> Tensor:
    """The flow or the frame of the input's size among a network's outputs."""
    if "flow" in outputs:  # PWC-Net's, at a quarter of the size but in its pixels
        return F.interpolate(outputs["flow"], scale_factor=4, mode="bilinear", align_corners=False)
    return outputs.get(f"img_{LEVELS}", outputs.get(f"flow_{LEVELS}"))
