"""Backward warping with explicit padding, interpolation and corner alignment."""

import torch
import torch.nn.functional as F
from torch import Tensor

from common.ops.exporting import exporting


def backward_warp(
    image: Tensor, flow: Tensor, *, padding: str, mode: str = "bilinear", align_corners: bool = True
) -> Tensor:
    """Read `image` at p + flow(p).

    Args:
        image: (B, C, H, W) float, any range.
        flow: (B, 2, H, W) in pixels; channel 0 is x to the right, channel 1 is y down.
        padding: what lies outside: "zeros" (PVDNet, LiteFlowNet, PWC-Net) or "border" (IFRNet, SPyNet).
            No default on purpose: the two differ by many dB.
        mode: "bilinear" or "nearest".
        align_corners: True reads at the true coordinates. False keeps the corner-aligned normalisation but lets
            `grid_sample` read it otherwise, which is what code written for PyTorch < 1.3 does today; only for parity.

    Returns:
        (B, C, H, W) in the dtype of `image`. The sampling grid is float32 even under autocast (float64 for a float64
        image): at 1920 columns bfloat16 coordinates are off by up to 1.9 pixels.

    Raises:
        ValueError: the two do not have the same batch and size, or `flow` has not two channels.
    """
    if image.shape[0] != flow.shape[0] or image.shape[-2:] != flow.shape[-2:] or flow.shape[1] != 2:
        raise ValueError(f"flow {tuple(flow.shape)} does not fit image {tuple(image.shape)}: expected (B, 2, H, W)")
    height, width = image.shape[-2:]
    with torch.autocast(image.device.type, enabled=False):
        # Normalised as linspace(-1, 1) + flow / ((size - 1) / 2).
        dtype = torch.promote_types(image.dtype, torch.float32)
        x = _from_minus_one_to_one(width, dtype, image.device).view(1, 1, width)
        y = _from_minus_one_to_one(height, dtype, image.device).view(1, height, 1)
        flow = flow.to(dtype)
        grid = torch.stack(
            (x + flow[:, 0] * (2 / max(width - 1, 1)), y + flow[:, 1] * (2 / max(height - 1, 1))), dim=-1
        )  # B H W 2
        if torch.is_grad_enabled():  # at a position that is no number grid_sample's gradient leaves its memory
            grid = grid.nan_to_num(nan=-1.0)  # whose own gradient still tells
        warped = F.grid_sample(image.to(dtype), grid, mode=mode, padding_mode=padding, align_corners=align_corners)
    return warped.to(image.dtype)


def _from_minus_one_to_one(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """linspace(-1, 1, count), whose count `torch.export` would keep as a constant."""
    if exporting():
        return torch.arange(count, dtype=dtype, device=device) * (2 / max(count - 1, 1)) - 1
    return torch.linspace(-1, 1, count, dtype=dtype, device=device)
