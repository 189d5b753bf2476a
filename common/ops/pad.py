"""Pad to the sizes a network takes, and cut back exactly."""

from collections.abc import Callable

import torch
from torch import Tensor


def pad_to_multiple(x: Tensor, multiple: int, mode: str = "replicate") -> tuple[Tensor, Callable[..., Tensor]]:
    """Extend height and width, at the bottom and at the right, to the next multiple.

    Padding on those two sides only keeps pixel coordinates, hence flow, as they were.

    Args:
        x: (..., H, W) of any dtype; any number of leading dimensions; H, W >= 1, also smaller than the padding.
        multiple: what both sizes must be divisible by, >= 1.
        mode: what fills the new pixels: "replicate" (the edge), "reflect" (mirrored about the edge pixel) or "zeros".

    Returns:
        The padded tensor (..., H', W'), `x` itself where nothing is to do, and `unpad(y, scale=1)`, which cuts an
        output (..., scale H', scale W') back to (..., scale H, scale W).

    Raises:
        ValueError: an unknown mode, a multiple below 1, an empty image.
    """
    if mode not in ("replicate", "reflect", "zeros"):
        raise ValueError(f'unknown padding mode "{mode}": expected "replicate", "reflect" or "zeros"')
    if multiple < 1 or x.dim() < 2 or 0 in x.shape[-2:]:
        raise ValueError(
            f"cannot pad {tuple(x.shape)} to a multiple of {multiple}: expected (..., H, W), multiple >= 1"
        )
    height, width = x.shape[-2:]

    def unpad(y: Tensor, scale: int = 1) -> Tensor:
        return y[..., : height * scale, : width * scale]

    padded = x
    for dim, size in ((-2, height), (-1, width)):
        extra = -size % multiple
        if not extra:
            continue
        if mode == "zeros":
            shape = list(padded.shape)
            shape[dim] = extra
            padded = torch.cat((padded, padded.new_zeros(shape)), dim)
        else:
            # Reading by index has none of F.pad's limits on the number of dimensions, the dtype or the amount.
            position = torch.arange(size, size + extra, device=x.device)
            if mode == "replicate":
                position = position.clamp(max=size - 1)
            else:
                period = max(2 * size - 2, 1)
                position = (size - 1 - (position % period - (size - 1)).abs()).clamp(min=0)
            padded = torch.cat((padded, padded.index_select(dim, position)), dim)
    return padded, unpad


def pad_centred(x: Tensor, multiple: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Extend height and width to the next multiple on both sides, half of it, rounded down, at the top and left.

    The edge is repeated. IFRNet's SNU-FILM protocol and RAFT's on Sintel pad so.

    Args:
        x: (..., H, W) with any number of leading dimensions.
        multiple: what both sizes must be divisible by, >= 1.

    Returns:
        The padded tensor and `unpad(y)`, which cuts an output of its size back.
    """
    height, width = x.shape[-2:]
    top, left = (-height % multiple) // 2, (-width % multiple) // 2
    for dim, size, before in ((-2, height, top), (-1, width, left)):
        position = torch.arange(-before, size + -size % multiple - before, device=x.device).clamp(0, size - 1)
        x = x.index_select(dim, position) if len(position) > size else x
    return x, lambda y: y[..., top : top + height, left : left + width]
