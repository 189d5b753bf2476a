"""Local cost volume of PWC-Net, LiteFlowNet and PVDNet."""

import torch
import torch.nn.functional as F
from torch import Tensor


def correlation(first: Tensor, second: Tensor, *, radius: int, stride: int = 1) -> Tensor:
    """Mean over channels of first(p) * second(p + d), for every displacement d of a square window.

    Args:
        first: (B, C, H, W) float.
        second: (B, C, H, W) float.
        radius: displacements run over -radius..radius in both axes, times `stride`.
        stride: step of the displacements and of the positions p (LiteFlowNet uses 2 at its fine levels).

    Returns:
        (B, (2 radius + 1)^2, ceil(H / stride), ceil(W / stride)); the displacement in x runs fastest; what lies
        outside `second` counts as zero. No activation.
    """
    height, width = first.shape[-2:]
    reach = radius * stride
    first = first[..., ::stride, ::stride]
    padded = F.pad(second, (reach, reach, reach, reach))
    offsets = range(0, 2 * reach + 1, stride)
    return torch.stack(
        [(first * padded[..., y : y + height : stride, x : x + width : stride]).mean(1) for y in offsets for x in offsets],
        dim=1,
    )
