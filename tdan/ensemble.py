"""What TDAN's authors do around one call of the network: cut large frames into overlapping quarters, average flips."""

from collections.abc import Callable

import torch
from torch import Tensor

MARGIN = 10  # pixels that a quarter has beyond its half of a side
LARGE = 8000  # pixels from which on a quarter is cut again
FLIPS = ((), (-1,), (-2,), (-2, -1))  # axes


def chopped(function: Callable[[Tensor], Tensor], inputs: Tensor, scale: int) -> Tensor:
    """Apply `function` to four overlapping quarters, each cut again while it is large, and put them together.

    The authors' validation does so; seams show what a quarter could not see. `common.ops.tile.tiled` blends them.

    Args:
        function: takes (..., h, w), returns (..., scale h, scale w).
        inputs: (..., H, W).
        scale: output pixels for one input pixel.

    Returns:
        (..., scale H, scale W).
    """
    height, width = inputs.shape[-2:]
    tall, wide = min(height // 2 + MARGIN, height), min(width // 2 + MARGIN, width)

    def quarter(rows: slice, columns: slice) -> Tensor:
        part = inputs[..., rows, columns]
        return function(part) if tall * wide < LARGE else chopped(function, part, scale)

    top, bottom = slice(tall), slice(height - tall, None)
    left, right = slice(wide), slice(width - wide, None)
    above, before = scale * (height // 2), scale * (width // 2)  # pixels of the result on either side of the seams
    below, behind = scale * height - above, scale * width - before
    upper = (quarter(top, left)[..., :above, :before], quarter(top, right)[..., :above, -behind:])
    lower = (quarter(bottom, left)[..., -below:, :before], quarter(bottom, right)[..., -below:, -behind:])
    return torch.cat((torch.cat(upper, -1), torch.cat(lower, -1)), -2)


def flipped(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Mean of what `function` makes of the inputs as they are, mirrored, upside down, and both, each turned back.

    Args:
        function: takes (..., h, w), returns (..., s h, s w).
        inputs: (..., H, W).
    """
    return torch.stack([function(inputs.flip(axes)).flip(axes) for axes in FLIPS]).mean(0)
