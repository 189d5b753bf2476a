"""PVDNet as a whole: BIMNet, the pixel volume and the deblurring network, for one step of the recurrence.

Paper: Son et al., *Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes*, TOG 2021,
figures 2 and 3.

Where paper and published code differ or the paper is silent, we follow the code:
  1. BIMNet sees the top-left part whose sides are multiples of 32; the flow is zero in the rest. Pad the frames to
     multiples of 32 and nothing is left out (`infer.py` does; the published numbers were taken without).
  2. The flow goes from the current frame to the previous blurry frame at full size, no low-resolution frames.

Letters: B batch, C channels, H W pixels (multiples of 4).
"""

import importlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.checkpoints import checkpoint_file
from common.ops.liteflownet import LiteFlowNet
from pvdnet.models.pixel_volume import pixel_volume


def blur_invariant_flow(BIMNet: nn.Module | None, current: Tensor, previous: Tensor) -> Tensor:
    """Flow from `current` to `previous` at full size.

    Args:
        BIMNet: a LiteFlowNet; None stands for "nothing moves".
        current: (B, 3, H, W) RGB in [0, 1].
        previous: the same shape.

    Returns:
        (B, 2, H, W) float32 pixels; zero right of and below the last multiple of 32, so everywhere if H or W < 32.
    """
    height, width = current.shape[-2:]
    rows, columns = height - height % 32, width - width % 32
    if BIMNet is None or not rows or not columns:
        return torch.zeros_like(current[:, :2], dtype=torch.float32)
    flow = BIMNet(current[..., :rows, :columns], previous[..., :rows, :columns])  # B 2 rows/2 columns/2
    flow = F.interpolate(flow, (rows, columns), mode="bilinear", align_corners=False)  # B 2 rows columns
    return F.pad(flow, (0, width - columns, 0, height - rows))  # B 2 H W


class DeblurNet(nn.Module):
    """One step: deblur the current frame from its neighbours and the previous result.

    Args:
        network: module with the class `Network` to use, by its name in `pvdnet/models/archs`.
        PV_ksize: window of the pixel volume.
        fix_BIMNet: BIMNet is frozen; else `forward` also gives the flows that the blur-invariant loss needs.
        with_BIMNet: False leaves the motion out: the pixel volume holds the previous result's own neighbourhoods.
    """

    def __init__(self, network: str = "PVDNet", PV_ksize: int = 5, fix_BIMNet: bool = True, with_BIMNet: bool = True):
        super().__init__()
        self.PV_ksize = PV_ksize
        self.BIMNet = LiteFlowNet().requires_grad_(not fix_BIMNet) if with_BIMNet else None
        self.PVDNet = importlib.import_module(f"pvdnet.models.archs.{network}").Network(PV_ksize**2)

    def forward(
        self,
        I_prev: Tensor,
        I_curr: Tensor,
        I_next: Tensor,
        I_prev_deblurred: Tensor,
        gt_prev: Tensor | None = None,
        gt_curr: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Deblur `I_curr`.

        Args:
            I_prev: (B, 3, H, W) previous blurry frame, RGB in [0, 1].
            I_curr: current blurry frame.
            I_next: next blurry frame.
            I_prev_deblurred: previous result; for a clip's first frame, that blurry frame itself.
            gt_prev: previous sharp frame; given with `gt_curr` in joint training only.
            gt_curr: current sharp frame.

        Returns:
            `result` (B, 3, H, W), about [0, 1], not clamped; `PV` (B, ksize^2, H, W) in [-1, 1]; `flow_bb`
            (B, 2, H, W) from current to previous; with the sharp frames also `flow_bs`, `flow_sb` and `flow_ss`,
            whose first letter tells whether the previous frame was blurry or sharp, the second the current.
        """
        flows = {"flow_bb": blur_invariant_flow(self.BIMNet, I_curr, I_prev)}
        if gt_prev is not None:
            flows |= sharp_flows(self.BIMNet, I_prev, I_curr, gt_prev, gt_curr)
        I_prev, I_curr, I_next, I_prev_deblurred = (2 * x - 1 for x in (I_prev, I_curr, I_next, I_prev_deblurred))
        PV = pixel_volume(I_prev_deblurred, flows["flow_bb"], I_curr, self.PV_ksize)  # B ksize^2 H W
        result = (self.PVDNet(PV, I_prev, I_curr, I_next) + 1) / 2  # B 3 H W
        return {"result": result, "PV": PV, **flows}


def sharp_flows(BIMNet: nn.Module, I_prev: Tensor, I_curr: Tensor, gt_prev: Tensor, gt_curr: Tensor) -> dict:
    """The three flows of equation 1 that use a sharp frame; names as `DeblurNet.forward` explains."""
    return {
        "flow_bs": blur_invariant_flow(BIMNet, gt_curr, I_prev),
        "flow_sb": blur_invariant_flow(BIMNet, I_curr, gt_prev),
        "flow_ss": blur_invariant_flow(BIMNet, gt_curr, gt_prev),
    }


class BlurInvariantFlows(nn.Module):
    """BIMNet on the four combinations of blurry and sharp frames: what stage 1 of the paper trains."""

    def __init__(self):
        super().__init__()
        self.BIMNet = LiteFlowNet()

    def forward(self, I_prev: Tensor, I_curr: Tensor, gt_prev: Tensor, gt_curr: Tensor) -> dict[str, Tensor]:
        """Flows `flow_bb`, `flow_bs`, `flow_sb`, `flow_ss`, each (B, 2, H, W); frames as in `DeblurNet.forward`."""
        flow_bb = blur_invariant_flow(self.BIMNet, I_curr, I_prev)
        return {"flow_bb": flow_bb} | sharp_flows(self.BIMNet, I_prev, I_curr, gt_prev, gt_curr)


def initialise(module: nn.Module, gain: float, quiet: bool = False) -> None:
    """Xavier weights and zero biases for every convolution; if `quiet` the last one is zero: the blurry frame stays."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    if quiet:
        nn.init.zeros_(module.PVDNet.end.weight)


def load_BIMNet(BIMNet: nn.Module, path: str | Path) -> None:
    """Load BIMNet's weights from a file of BIMNet alone or of a whole PVDNet.

    Raises:
        ValueError: there is no such file, or it is of another network.
    """
    try:
        state = checkpoint_file.state_dict(checkpoint_file.load(path), path)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no BIMNet weights; get BIMNet.pytorch (addresses in pvdnet/checkpoints.json), train it "
            "(--config config_BIMNet) and give its checkpoint with --set BIMNet_ckpt=PATH, or train both "
            "(--config config_joint)"
        ) from None
    own = {key.removeprefix("BIMNet."): value for key, value in state.items() if key.startswith("BIMNet.")}
    checkpoint_file.load_strict(BIMNet, own or state, path)


def compile_parts(network: nn.Module) -> None:
    """Compile BIMNet and the deblurring network in place; the pixel volume, all indexing, takes minutes for nothing."""
    for part in network.children():
        part.compile()
