"""IFRNet's losses (paper, section 3.3; published code where it says more).

Letters: B batch, C channels, H W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ifrnet.model import resize

GEOMETRY_WEIGHT = 0.01
DISTILLATION_WEIGHT = 0.01
BETA = 0.3  # how fast the teacher loses its say where the finest flow disagrees with it


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 1e-6)."""
    return (prediction - target).square().add(1e-6).sqrt().mean()


def census(x: Tensor, window: int) -> Tensor:
    """Soft census transform: v / sqrt(0.81 + v^2) of every neighbour's difference v to the centre.

    Args:
        x: (B, C, H, W).
        window: odd side of the neighbourhood; outside counts as zero.

    Returns:
        (B, C, window^2, H, W).
    """
    reach = window // 2
    height, width = x.shape[-2:]
    padded = F.pad(x, [reach] * 4)
    neighbours = [
        padded[..., row : row + height, column : column + width] for row in range(window) for column in range(window)
    ]
    difference = torch.stack(neighbours, 2) - x.unsqueeze(2)
    return difference / (0.81 + difference.square()).sqrt()


def census_distance(first: Tensor, second: Tensor, window: int) -> Tensor:
    """Mean of d^2 / (0.1 + d^2) over two census transforms; a border of window // 2 counts as zero.

    Args:
        first: (B, C, window^2, H, W).
        second: the same shape.
        window: that of the transforms.
    """
    difference = (first - second).square()
    distance = (difference / (0.1 + difference)).mean((1, 2))  # B H W
    reach = window // 2
    inside = distance[:, reach : distance.shape[1] - reach, reach : distance.shape[2] - reach]
    return inside.sum() / distance.numel()


def ternary(prediction: Tensor, target: Tensor) -> Tensor:
    """Census distance of the images' grey values (plain mean of R, G, B) in 7x7 windows; no gradient to `target`."""
    first, second = (census(image.mean(1, keepdim=True), 7) for image in (prediction, target.detach()))
    return census_distance(first, second, 7)


def geometry(first: Tensor, second: Tensor) -> Tensor:
    """Census distance of two features (B, C, H, W) in 3x3 windows, each channel by itself; gradients to both."""
    return census_distance(census(first, 3), census(second, 3), 3)


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
    outputs: dict[str, Tensor], target: Tensor, features: list[Tensor], labels: Tensor | None
) -> dict[str, Tensor]:
    """The three weighted losses; their sum is minimised.

    Args:
        outputs: of the network at scale 1.
        target: (B, 3, H, W) the true frame in [0, 1].
        features: of the encoder for the true frame less the pair's mean, levels 1 to 4.
        labels: (B, 4, H, W) the teacher's flows from t to frame 0 and to frame 1 in pixels, or None for no
            distillation.

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
        for level in (2, 3, 4):
            factor = 2 ** (level - 1)
            dis = dis + distillation(factor * resize(outputs[f"{name}_{level}"], factor), label, weight)
    return {"loss_rec": rec, "loss_geo": geo, "loss_dis": DISTILLATION_WEIGHT * dis}
