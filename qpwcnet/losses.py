"""Losses of QPWCNet (its published code) and of PWC-Net (paper, section 3 and training settings).

Every loss but the penalty takes one prediction at any scale and the full-size truth, and brings the truth to the
prediction's size.
Letters: B batch, C channels, H W pixels.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

HUBER_DELTA = 0.1
ROBUST_EPS, ROBUST_Q = 0.01, 0.4
L2 = 4e-6  # of QPWCNet's penalty
PWC_FLOW_UNIT = 20.0  # PWC-Net's raw flows are in units of 20 pixels of the full size
PWC_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)  # of levels 2 (a quarter of the size) to 6


def average_pool(label: Tensor, like: Tensor) -> Tensor:
    """Mean of `label` over whole blocks, at the height and width of `like`.

    Raises:
        ValueError: the sizes are not whole multiples.
    """
    (height, width), (h, w) = label.shape[-2:], like.shape[-2:]
    if height % h or width % w:
        raise ValueError(
            f"cannot average a label of {width}x{height} to {w}x{h}: expected whole multiples; crop or resize the label"
        )
    return F.avg_pool2d(label, (height // h, width // w))


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, half-pixel centres, no antialias, at the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def length(d: Tensor) -> Tensor:
    """L2 norm over channels, (B, C, H, W) -> (B, H, W); its gradient at zero is zero."""
    return torch.linalg.vector_norm(d, dim=1)


def robust(d: Tensor) -> Tensor:
    """(|d|_1 + 0.01)^0.4 over channels, (B, C, H, W) -> (B, H, W)."""
    return (d.abs().sum(1) + ROBUST_EPS) ** ROBUST_Q


def epe(pred: Tensor, label: Tensor) -> Tensor:
    """Mean end-point error of two flows (B, 2, H, W)."""
    return length(pred - label).mean()


def flow_huber(pred: Tensor, label: Tensor) -> Tensor:
    """Huber loss of the flow in units of the mean of the prediction's sides; what training uses ("FlowMseLossV2").

    Args:
        pred: (B, 2, h, w) in pixels of its own size.
        label: (B, 2, H, W) in pixels of its own size, H and W whole multiples of h and w.

    Raises:
        ValueError: the sizes are not whole multiples.
    """
    height, width = pred.shape[-2:]
    label = average_pool(label, pred) * (height / label.shape[-2])  # B 2 h w
    d = ((pred - label) * (2 / (width + height))).abs()
    return torch.where(d <= HUBER_DELTA, 0.5 * d * d, HUBER_DELTA * (d - 0.5 * HUBER_DELTA)).mean()


def flow_l2(pred: Tensor, label: Tensor) -> Tensor:
    """Mean end-point error in the prediction's pixels ("FlowMseLoss"); shapes as in `flow_huber`, any sizes."""
    return epe(pred, resize_like(label, pred) * (pred.shape[-2] / label.shape[-2]))


def flow_robust(pred: Tensor, label: Tensor) -> Tensor:
    """Mean of (|du| + |dv| + 0.01)^0.4 ("FlowMseLossFineTune"); shapes as in `flow_huber`, any sizes."""
    return robust(pred - resize_like(label, pred) * (pred.shape[-2] / label.shape[-2])).mean()


def image_mse(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of an image (B, C, h, w) to a truth (B, C, H, W) of any size ("AutoResizeMseLoss")."""
    return (pred - resize_like(target, pred)).square().mean()


def l2_penalty(kernels: Iterable[Tensor]) -> Tensor:
    """4e-6 times the sum of the squares; the loss of those kernels that the model names as regularised."""
    return L2 * sum(kernel.square().sum() for kernel in kernels)


def pwc_level(flow: Tensor, label: Tensor, robust_form: bool = False) -> Tensor:
    """One level of PWC-Net's loss: the sum over pixels, the mean over the batch.

    Args:
        flow: (B, 2, h, w) raw, in units of 20 pixels of the label's size.
        label: (B, 2, H, W) in pixels, H and W whole multiples of h and w.
        robust_form: (|d|_1 + 0.01)^0.4 in place of the L2 norm (fine-tuning on Sintel and KITTI).

    Raises:
        ValueError: the sizes are not whole multiples.
    """
    d = flow - average_pool(label / PWC_FLOW_UNIT, flow)
    return (robust(d) if robust_form else length(d)).sum((1, 2)).mean()


def pwc_multiscale(flows: Sequence[Tensor], label: Tensor, robust: bool = False) -> Tensor:
    """PWC-Net's training loss: levels 2 to 6 with the weights of the paper; arguments as in `pwc_level`.

    The label is averaged over blocks; the published Caffe model has a resampling layer of its own there.

    Args:
        flows: the raw flows of levels 2, 3, 4, 5, 6: from a quarter to 1/64 of the label's size.
        label: (B, 2, H, W) in pixels.
        robust: the form for fine-tuning.

    Raises:
        ValueError: not five flows, or the sizes are not whole multiples.
    """
    if len(flows) != len(PWC_WEIGHTS):
        raise ValueError(f"PWC-Net's loss takes the raw flows of levels 2 to 6, got {len(flows)}: run it in training")
    return sum(weight * pwc_level(flow, label, robust) for weight, flow in zip(PWC_WEIGHTS, flows, strict=True))


FLOW_LOSSES = {"huber": flow_huber, "l2": flow_l2, "robust": flow_robust}
