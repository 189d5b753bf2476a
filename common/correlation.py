"""Local cost volume of PWC-Net, LiteFlowNet and PVDNet."""

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 16  # columns that meet all their displacements in one matrix product


def correlation(first: Tensor, second: Tensor, *, radius: int, stride: int = 1) -> Tensor:
    """Mean over channels of first(p) * second(p + d), for every displacement d of a square window.

    A product of two maps' rows holds every pair of their columns; the wanted pairs are its diagonals. Cutting the rows
    into tiles keeps the share of unwanted pairs small, and matrix products are so much faster than elementwise ones
    that it pays: on a CPU about twice, and six times with the backward pass.

    Args:
        first: (B, C, H, W) float.
        second: (B, C, H, W) float.
        radius: displacements run over -radius..radius in both axes, times `stride`.
        stride: step of the displacements and of the positions p (LiteFlowNet uses 2 at its fine levels).

    Returns:
        (B, (2 radius + 1)^2, ceil(H / stride), ceil(W / stride)), channels last in memory; the displacement in x runs
        fastest; what lies outside `second` counts as zero. No activation.

    Raises:
        ValueError: the two differ in shape or are not (B, C, H, W).
    """
    if first.shape != second.shape or first.dim() != 4:
        raise ValueError(f"cannot correlate {tuple(first.shape)} with {tuple(second.shape)}: expected one (B, C, H, W)")
    # Positions and displacements have the same step: every pixel that is read lies on one grid.
    first, second = (x[..., ::stride, ::stride].permute(0, 2, 3, 1) for x in (first, second))  # B h w C
    height, width, channels = first.shape[1:]
    size, reach, extra = 2 * radius + 1, TILE + 2 * radius, -width % TILE
    first = F.pad(first / channels, (0, 0, 0, extra)).unflatten(2, (-1, TILE))  # B h w/T T C
    second = F.pad(second, (0, 0, radius, radius + extra, radius, radius))
    second = second.unfold(2, reach, TILE).mT.contiguous().mT  # B h+2r w/T C T+2r
    pairs = torch.stack([first @ second[:, y : y + height] for y in range(size)], 3)  # B h w/T size T T+2r
    # Rows that are one longer move the diagonals upright.
    pairs = F.pad(pairs.flatten(-2), (0, TILE)).unflatten(-1, (TILE, reach + 1))[..., :size]  # B h w/T size T size
    pairs = pairs.transpose(3, 4).flatten(4).flatten(2, 3)[:, :, :width]  # B h w size*size
    return pairs.permute(0, 3, 1, 2)  # B size*size h w
