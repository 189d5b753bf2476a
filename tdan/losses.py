"""TDAN's loss (section 3.4): the enlarged frame, and the neighbours as far as they were moved onto the middle one."""

from torch import Tensor

from tdan.model import MIDDLE


def tdan_loss(outputs: dict[str, Tensor], frames: Tensor, target: Tensor, weight: float) -> dict[str, Tensor]:
    """Mean squares of both, and `total`.

    Args:
        outputs: `pred` (B, 3, sH, sW) and `aligned` (B, 5, 3, H, W) of the network, white is 1.
        frames: what it saw, (B, 5, 3, H, W).
        target: the true middle frame, (B, 3, sH, sW).
        weight: of the alignment.

    Returns:
        `total` = `sr` + `align`; `align` is weighted. The middle one of the aligned frames is the input itself: it adds
        nothing, but counts in the mean, as in both published codes.
    """
    sr = (outputs["pred"] - target).square().mean()
    align = weight * (outputs["aligned"] - frames[:, MIDDLE, None]).square().mean()
    return {"total": sr + align, "sr": sr, "align": align}
