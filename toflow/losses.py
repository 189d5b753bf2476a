"""Losses of the published trainings, and the labels that the mask learns from."""

import torch
from torch import Tensor

from common.ops.warp import backward_warp

VISIBLE = 20 / 255  # difference to the truth up to which a warped pixel counts as seen


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference: pytoflow's loss for frames, the paper's for frames, flows and masks."""
    return (prediction - target).abs().mean()


def charbonnier(prediction: Tensor, target: Tensor, epsilon: float = 1e-12) -> Tensor:
    """Mean of sqrt(d^2 + epsilon), MMagic's loss; there d is in units of ImageNet's standard deviation."""
    return ((prediction - target).square() + epsilon).sqrt().mean()


@torch.no_grad()
def mask_labels(frames: Tensor, target: Tensor, flows: Tensor) -> Tensor:
    """Where a frame, warped by the labelled flow, shows what the middle frame shows: 1, elsewhere and outside 0.

    Ours: the paper compares flow with the flow back, which labels that begin at the middle frame do not have.

    Args:
        frames: (B, 2, 3, H, W), [0, 1].
        target: (B, 3, H, W), the frame between.
        flows: (B, 2, 2, H, W) from the frame between to both, pixels.

    Returns:
        (B, 2, 1, H, W).
    """
    inside = torch.ones_like(frames[:, :, :1])
    planes = torch.cat((frames, inside), 2).flatten(0, 1)  # 2B 4 H W
    warped = backward_warp(planes, flows.flatten(0, 1), padding="zeros").unflatten(0, (-1, 2))  # B 2 4 H W
    equal = (warped[:, :, :3] - target[:, None]).abs().mean(2, keepdim=True) <= VISIBLE
    return (equal & (warped[:, :, 3:] > 0.999)).float()
