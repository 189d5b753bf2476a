"""Adaptive gradient clipping of QPWCNet's training (its published code): no gradient is long beside its weights."""

from collections.abc import Iterable

import torch
from torch import Tensor

CLIP_FACTOR, CLIP_EPS = 0.01, 1e-3


def unit_norm(x: Tensor) -> Tensor:
    """L2 norms of the units of a parameter (or of its gradient), in a shape that divides it.

    A unit is one slice of the first axis: an output channel of a convolution, an input channel of a transposed one
    (in, out, h, w). A depthwise kernel (C, 1, h, w) and a vector are one unit each, as published: its layout has the
    depthwise channels on the axis that is summed over.
    """
    # Told by shape: no other layer here has a single input channel, and a 1x1 kernel is never depthwise.
    depthwise = x.dim() == 4 and x.shape[1] == 1 and x.shape[2:].numel() > 1
    if x.dim() <= 1 or depthwise:
        return torch.linalg.vector_norm(x)
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.dim())), keepdim=True)


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], clip_factor: float = CLIP_FACTOR, eps: float = CLIP_EPS) -> None:
    """Adaptive gradient clipping, in place: no unit's gradient is longer than `clip_factor` times the unit.

    Values that are not finite become zero first (the original does so with NaN; an infinite one would turn into NaN
    in the clipping). Gradients must be in their true scale: after `GradScaler.unscale_`.

    Args:
        parameters: those without a gradient are left out.
        clip_factor: of the unit's norm.
        eps: the least norm that counts for a unit; zero weights could never leave zero without it.
    """
    for parameter in parameters:
        if parameter.grad is None:
            continue
        gradient = parameter.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        limit = unit_norm(parameter).clamp(min=eps) * clip_factor
        gradient.mul_((limit / unit_norm(gradient).clamp(min=1e-6)).clamp(max=1.0))
