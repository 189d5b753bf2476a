"""The pixel volume: candidate pixels of the previous deblurred frame for every pixel of the current one.

Paper: Son et al., *Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes*, TOG 2021,
section 4. Follows the published code where the paper is silent: coordinates are truncated toward zero, the frame's
outermost pixels count as outside, and a candidate from outside is replaced by the current frame's pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.2989, 0.5870, 0.1140)


def _gray(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, H, W)."""
    return LUMA[0] * image[:, 0] + LUMA[1] * image[:, 1] + LUMA[2] * image[:, 2]


def pixel_volume(deblurred: Tensor, flow: Tensor, current: Tensor, ksize: int = 5) -> Tensor:
    """Displace every pixel by the flows of its ksize x ksize neighbours.

    Args:
        deblurred: (B, 3, H, W) previous deblurred frame, any range; no gradient reaches it.
        flow: (B, 2, H, W) from the current to the previous frame, pixels.
        current: (B, 3, H, W) current blurry frame, in the range of `deblurred`.
        ksize: odd window size.

    Returns:
        (B, ksize^2, H, W) gray values. Channel (i + r) * ksize + (j + r), r = ksize // 2, holds for pixel q what the
        flow of its neighbour q - (i, j) points at, moved by the same (i, j): the previous frame at
        trunc(q - (i, j) + flow(q - (i, j))) + (i, j). Zero where that neighbour lies outside the frame.
    """
    height, width = current.shape[-2:]
    radius = ksize // 2
    pad = 2 * radius  # a clamped coordinate lies up to `radius` outside, and a window adds as much again
    source = F.pad(_gray(deblurred.detach()), (pad, pad, pad, pad)).flatten(1)  # B (H+2pad)*(W+2pad)
    fallback = _gray(current)
    stride = width + 2 * pad

    flow = flow.detach().float().nan_to_num(nan=torch.inf)  # no number, of a network that diverges: outside
    x = torch.arange(width, device=flow.device) + flow[:, 0]  # B H W
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    # Clamping keeps every index inside `source` and leaves what was outside outside; `long` truncates toward zero.
    x = x.clamp(-radius, width - 1 + radius).long()
    y = y.clamp(-radius, height - 1 + radius).long()
    index = (y + pad) * stride + (x + pad)

    channels = []
    for i in range(-radius, radius + 1):
        x_inside = (x + i >= 1) & (x + i <= width - 2)
        columns = slice(max(0, -i), min(0, -i) or None)  # of neighbours whose pixel q is inside the frame
        for j in range(-radius, radius + 1):
            here = (slice(None), slice(max(0, -j), min(0, -j) or None), columns)
            there = (slice(None), slice(max(0, j), min(0, j) or None), slice(max(0, i), min(0, i) or None))
            inside = x_inside[here] & (y[here] + j >= 1) & (y[here] + j <= height - 2)
            at = index[here] + (j * stride + i)
            value = source.gather(1, at.flatten(1)).view_as(at)
            value = torch.where(inside, value, fallback[there])
            channels.append(F.pad(value, (max(0, i), max(0, -i), max(0, j), max(0, -j))))  # B H W
    return torch.stack(channels, 1)
