"""Local cost volume of PWC-Net, LiteFlowNet and PVDNet."""

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = (4, 8)  # rows and columns of positions that meet all their displacements in one matrix product


def correlation(first: Tensor, second: Tensor, *, radius: int, stride: int = 1) -> Tensor:
    """Mean over channels of first(p) * second(p + d), for every displacement d of a square window.

    The product of a tile of `first` and the window of `second` that the tile can reach holds every pair of their
    pixels; the wanted 81 of 192 (radius 4) lie on its diagonals. Matrix products are so much faster than elementwise
    ones that it pays. Windows overlap, so they hold each pixel of `second` six times, where 81 products would hold it
    81 times. Exported, this is a few dozen operators of fixed size, none of which runs per displacement.

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
    if stride > 1:
        # Positions and displacements have the same step: every pixel that is read lies on one grid.
        first, second = first[..., ::stride, ::stride], second[..., ::stride, ::stride]  # B C h w
    batch, channels, height, width = (int(n) for n in first.shape)  # constants of an exported graph
    size, (tall, wide) = 2 * radius + 1, TILE
    rows, columns = -(-height // tall), -(-width // wide)  # of tiles
    below, right = rows * tall - height, columns * wide - width
    reach_y, reach_x = tall + 2 * radius, wide + 2 * radius  # size of a window
    reach = reach_y * reach_x

    first, second = first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)  # B h w C
    first = first.contiguous() / channels
    if below or right:
        first = F.pad(first, (0, 0, 0, right, 0, below))
    first = first.reshape(batch, rows, tall, columns, wide, channels).permute(0, 3, 1, 2, 4, 5)
    first = first.reshape(-1, tall * wide, channels)  # tiles t*t C
    first = F.pad(first, (0, 0, 0, 1))  # one pixel more, for the diagonals below

    second = F.pad(second, (0, 0, radius, radius + right, radius, radius + below))  # B h+2r w+2r C
    second = _windows(second, 2, reach_x, wide).reshape(batch, -1, columns, reach_x, channels).transpose(1, 2)
    second = _windows(second, 2, reach_y, tall).reshape(-1, reach, channels)  # tiles reach C

    pairs = (first @ second.transpose(1, 2)).reshape(-1, (tall * wide + 1) * reach)
    # Position (y, x) wants the pixels (y + dy, x + dx) of its window. Where rows of tiles are cut longer by one row of
    # the window, and rows of pixels by one pixel, these are the pixels (dy, dx).
    pairs = pairs[:, : tall * (wide * reach + reach_x)].reshape(-1, tall, wide * reach + reach_x)
    pairs = pairs[:, :, : wide * (reach + 1)].reshape(-1, tall, wide, reach + 1)[..., : size * reach_x]
    pairs = pairs.reshape(batch, columns, rows, tall, wide, size, reach_x)[..., :size]
    pairs = pairs.permute(0, 2, 3, 1, 4, 5, 6).reshape(batch, rows * tall, columns * wide, size * size)
    if below or right:
        pairs = pairs[:, :height, :width]
    return pairs.permute(0, 3, 1, 2)  # B size*size h w


def _windows(x: Tensor, dim: int, size: int, step: int) -> Tensor:
    """The windows of `size` at every `step` along a dimension, one after the other.

    Not `unfold`, which an exporter writes as one operator for each window.
    """
    starts = torch.arange(0, int(x.shape[dim]) - size + 1, step, device=x.device)
    return x.index_select(dim, (starts[:, None] + torch.arange(size, device=x.device)).flatten())
