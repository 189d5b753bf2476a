"""Losses of PVDNet and BIMNet, and the score that training shows."""

import torch
import torch.nn.functional as F
from torch import Tensor

from common.ops.warp import backward_warp

FLOWS = ("bb", "bs", "sb", "ss")  # b blurry, s sharp; first letter the previous frame, second the current


def image_loss(result: Tensor, gt: Tensor) -> Tensor:
    """Mean squared error on the networks' range [-1, 1], so four times that of the frames.

    Args:
        result: (B, 3, H, W) in [0, 1].
        gt: the same shape.
    """
    return 4 * F.mse_loss(result, gt)


def blur_invariant_error(flow: Tensor, gt_prev: Tensor, gt_curr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How well a flow aligns the sharp frames: one of the four terms of equation 1.

    Args:
        flow: (B, 2, H, W) from the current to the previous frame, pixels, whichever frames it was estimated from.
        gt_prev: (B, 3, H, W) sharp previous frame in [0, 1].
        gt_curr: sharp current frame.

    Returns:
        The error (scalar): squared difference summed over batch, channels and pixels, over the sum of the mask;
        the warped previous frame (B, 3, H, W); the mask (B, 1, H, W), which falls to 0 where the flow leaves the frame.
    """
    warped = backward_warp(gt_prev, flow, padding="zeros")
    with torch.no_grad():
        mask = backward_warp(torch.ones_like(gt_prev[:, :1]), flow, padding="zeros")
    error = (warped - gt_curr * mask).square().sum() / (mask.sum() * gt_prev.shape[1])
    return error, warped, mask


def blur_invariant_loss(flows: dict[str, Tensor], gt_prev: Tensor, gt_curr: Tensor) -> Tensor:
    """Mean of `blur_invariant_error` over `flow_bb`, `flow_bs`, `flow_sb` and `flow_ss` (paper, equation 1)."""
    return sum(blur_invariant_error(flows[f"flow_{name}"], gt_prev, gt_curr)[0] for name in FLOWS) / len(FLOWS)


def frame_psnr(result: Tensor, gt: Tensor) -> Tensor:
    """10 log10(1 / MSE) over the whole batch, frames in [0, 1], not clamped."""
    return -10 * torch.log10(F.mse_loss(result, gt))
