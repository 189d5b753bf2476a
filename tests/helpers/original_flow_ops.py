"""What QPWCNet's published code computes from flows beside its networks: older warp, inverse flow, occlusion, colours.

No command here calls them: they are kept to be compared with the original (reference cases), and for who studies it.
The networks warp with `common.ops.warp`. Letters: B batch, C channels, H W pixels.
"""

from math import pi

import torch
from torch import Tensor


def positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row that every pixel's flow (B, 2, H, W) points to, (B, H, W) each."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    return x + flow[:, 0], y + flow[:, 1]


def legacy_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Read `image` at p + flow(p) as the published viewers do; for parity alone.

    Coordinates are cut toward zero, corners are moved into the frame, and the weights come from the moved corners. So
    the last row and column are 0 under a zero flow, everything from there outwards is 0, and up to one pixel beyond
    the first row and column the values are extrapolated. Show pictures with `common.ops.warp.backward_warp`.

    Args:
        image: (B, C, H, W) float.
        flow: (B, 2, H, W) in pixels, x to the right then y down, finite.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: the two do not have the same batch and size, or `flow` has not two channels.
    """
    if image.shape[0] != flow.shape[0] or image.shape[-2:] != flow.shape[-2:] or flow.shape[1] != 2:
        raise ValueError(f"flow {tuple(flow.shape)} does not fit image {tuple(image.shape)}: expected (B, 2, H, W)")
    height, width = image.shape[-2:]
    x, y = positions(flow)

    def corners(at: Tensor, size: int) -> tuple[Tensor, Tensor]:
        start = at.trunc()
        return start.clamp(0, size - 1), (start + 1).clamp(0, size - 1)

    (left, right), (top, bottom) = corners(x, width), corners(y, height)
    pixels = image.flatten(2)  # B C H*W

    def read(column: Tensor, row: Tensor) -> Tensor:
        index = (row.long() * width + column.long()).flatten(1)[:, None]  # B 1 H*W
        return pixels.gather(2, index.expand(-1, image.shape[1], -1)).view_as(image)

    # Where both corners fell on one pixel the two weights cancel: outside it is exactly 0.
    upper = (right - x)[:, None] * read(left, top) + (x - left)[:, None] * read(right, top)
    lower = (right - x)[:, None] * read(left, bottom) + (x - left)[:, None] * read(right, bottom)
    return (bottom - y)[:, None] * upper + (y - top)[:, None] * lower


def inverse_flow(flow: Tensor) -> Tensor:
    """The flow back, in the target's pixels, to first order: -flow read at p + flow(p); (B, 2, H, W) as `flow`."""
    return -legacy_warp(flow, flow)


def occlusion(flow: Tensor) -> Tensor:
    """1 where a pixel leaves the frame or is covered, else 0.

    Covered means that no pixel of the other frame lands on it under the inverse flow.

    Args:
        flow: (B, 2, H, W) in pixels, x to the right then y down.

    Returns:
        (B, H, W) in the dtype of `flow`.
    """
    height, width = flow.shape[-2:]
    x, y = positions(flow)
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    x, y = positions(inverse_flow(flow))
    landing = y.trunc().clamp(0, height - 1).long() * width + x.trunc().clamp(0, width - 1).long()
    missed = torch.ones_like(flow[:, 0]).flatten(1).scatter(1, landing.flatten(1), 0.0).view_as(x)
    return torch.maximum(outside.to(flow.dtype), missed)


def flow_to_hsv_image(flow: Tensor) -> Tensor:
    """Flow as colours: the hue is the direction, the saturation the length over the longest of that flow.

    Args:
        flow: (B, 2, H, W) in pixels.

    Returns:
        (B, 3, H, W) RGB in [0, 1]; no motion is white. `common.media.flow_color` has the colours of the Middlebury set.
    """
    u, v = flow.unbind(1)
    hue = (torch.atan2(v, u) + pi) / (2 * pi) * 6  # sixths of a turn
    lengths = torch.linalg.vector_norm(flow, dim=1)
    saturation = lengths / (lengths.amax((1, 2), keepdim=True) + 1e-6)
    ramps = [((start + hue) % 6) for start in (5, 3, 1)]  # red, green, blue
    return torch.stack([1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1) for k in ramps], 1)


def cost_volume_to_flow(cost: Tensor) -> Tensor:
    """The best whole-pixel displacement of a cost volume (B, (2r + 1)^2, H, W).

    Returns:
        (B, 2, H, W); ROW FIRST as published: channel 0 is y down, channel 1 is x to the right.

    Raises:
        ValueError: the channels are not the square of an odd number.
    """
    size = round(cost.shape[1] ** 0.5)
    if size * size != cost.shape[1] or size % 2 == 0:
        raise ValueError(f"a cost volume has (2r + 1)^2 channels, such as 81; got {cost.shape[1]}")
    best = cost.argmax(1)
    return torch.stack((best // size, best % size), 1).to(cost.dtype) - size // 2
