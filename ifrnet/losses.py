"""IFRNet's losses (paper, section 3.3; published code where it says more).

Letters: B batch, C channels, H W pixels.
"""

import torch
from torch import Tensor

from ifrnet.model import resize

GEOMETRY_WEIGHT = 0.01
DISTILLATION_WEIGHT = 0.01
BELIEVED_WEIGHT = 0.05
BETA = 0.3  # how fast the teacher loses its say where the finest flow disagrees with it


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 1e-6)."""
    return (prediction - target).square().add(1e-6).sqrt().mean()


class CensusTerm(torch.autograd.Function):
    """d^2 / (0.1 + d^2), where d is the difference of two soft signs v / sqrt(0.81 + v^2) and w / sqrt(0.81 + w^2).

    The derivatives are worked out by hand: census losses take more elementwise work than a small network.
    """

    @staticmethod
    def forward(ctx, v: Tensor, w: Tensor) -> Tensor:
        inverse_v, inverse_w = (0.81 + v * v).rsqrt_(), (0.81 + w * w).rsqrt_()
        difference = v * inverse_v - w * inverse_w
        square = difference * difference
        inverse = (0.1 + square).reciprocal_()
        slope = difference.mul_(inverse).mul_(inverse).mul_(0.2 * 0.81)
        needed = [need and slope * x**3 for need, x in zip(ctx.needs_input_grad, (inverse_v, inverse_w), strict=True)]
        ctx.save_for_backward(*[x if isinstance(x, Tensor) else None for x in needed])
        return square.mul_(inverse)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        slope_v, slope_w = ctx.saved_tensors
        return (
            None if slope_v is None else gradient * slope_v,
            None if slope_w is None else -gradient * slope_w,
        )


def census_distance(first: Tensor, second: Tensor, window: int) -> Tensor:
    """How much the neighbourhoods of two images differ, whatever their brightness.

    Every neighbour's difference v to the centre becomes v / sqrt(0.81 + v^2); the distance of two such values is
    d^2 / (0.1 + d^2); the mean over neighbours, channels and pixels counts, a border of window // 2 pixels as zero. Two
    pixels are each other's neighbours with the same distance, so half of the neighbourhood is enough.

    Args:
        first: (B, C, H, W).
        second: the same shape.
        window: odd side of the neighbourhood.
    """
    reach = window // 2
    height, width = first.shape[-2:]
    total = first.new_zeros(())
    for dy in range(reach + 1):
        for dx in range(-reach, reach + 1):
            if dy == 0 and dx <= 0:
                continue
            start = max(0, -dx)  # first column that has this neighbour
            here = (..., slice(0, height - dy), slice(start, width - max(0, dx)))
            there = (..., slice(dy, height), slice(start + dx, width - max(0, -dx)))
            terms = CensusTerm.apply(first[there] - first[here], second[there] - second[here])
            for row, column in ((reach, reach - start), (reach - dy, reach - start - dx)):  # this one inside, that one
                rows, columns = max(0, height - 2 * reach), max(0, width - 2 * reach)
                total = total + terms[..., row : row + rows, column : column + columns].sum()
    return total / (first.numel() * window**2)


def ternary(prediction: Tensor, target: Tensor) -> Tensor:
    """Census distance of the images' grey values (plain mean of R, G, B) in 7x7 windows; no gradient to `target`."""
    return census_distance(prediction.mean(1, keepdim=True), target.detach().mean(1, keepdim=True), 7)


def geometry(first: Tensor, second: Tensor) -> Tensor:
    """Census distance of two features (B, C, H, W) in 3x3 windows, each channel by itself; gradients to both."""
    return census_distance(first, second, 3)


def robust_weight(flow: Tensor, label: Tensor) -> Tensor:
    """How far a label is to be trusted: exp(-0.3 end-point error) of the flow against it.

    Args:
        flow: (B, 2, H, W) in pixels.
        label: the same shape.

    Returns:
        (B, 1, H, W) in (0, 1].
    """
    return torch.exp(-BETA * (flow - label).square().sum(1, keepdim=True).sqrt())


def distillation(flow: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Task-oriented flow distillation: mean of (d^2 + eps^2)^(w / 2), eps = 10^((1 - 10 w) / 3).

    A weight of 1 makes it about |d|, a weight of 0 a constant.

    Args:
        flow: (B, 2, H, W) in pixels.
        label: the same shape.
        weight: (B, 1, H, W) in [0, 1].
    """
    eps = 10 ** (-(10 * weight - 1) / 3)
    return ((flow - label).square() + eps.square()).pow(weight / 2).mean()


def training_losses(
    outputs: dict[str, Tensor],
    target: Tensor,
    features: list[Tensor],
    labels: Tensor | None,
    *,
    believed: bool = False,
) -> dict[str, Tensor]:
    """The three weighted losses; their sum is minimised.

    Args:
        outputs: of the network at scale 1.
        target: (B, 3, H, W) the true frame in [0, 1].
        features: of the encoder for the true frame less the pair's mean, levels 1 to 4.
        labels: (B, 4, H, W) the teacher's flows from t to frame 0 and to frame 1 in pixels, or None for no
            distillation.
        believed: every label counts in full, however far the flows are from it, and at the finest level, too; else as
            `robust_weight` says, under which labels say nothing to flows that are still far away.

    Returns:
        Scalars `loss_rec`, `loss_geo`, `loss_dis`.
    """
    pred = outputs["pred"]
    rec = charbonnier(pred, target) + ternary(pred, target)
    geo = GEOMETRY_WEIGHT * sum(geometry(outputs[f"feat{level}"], features[level - 1]) for level in (1, 2, 3))
    if labels is None:
        return {"loss_rec": rec, "loss_geo": geo, "loss_dis": 0 * geo}
    dis = 0
    for name, label in zip(("flow0", "flow1"), labels.split(2, 1), strict=True):
        weight = robust_weight(outputs[f"{name}_1"].detach(), label)
        weight = torch.ones_like(weight) if believed else weight
        for level in (1, 2, 3, 4) if believed else (2, 3, 4):
            factor = 2 ** (level - 1)
            dis = dis + distillation(factor * resize(outputs[f"{name}_{level}"], factor), label, weight)
    weight = BELIEVED_WEIGHT if believed else DISTILLATION_WEIGHT
    return {"loss_rec": rec, "loss_geo": geo, "loss_dis": weight * dis}
