"""The networks that `python -m common.bench` measures."""

from torch import Tensor, nn

from toflow.infer import SCALE, Restorer
from toflow.model import FORMS, TOFlow

ROWS = ("mmagic_vfi", "paper_interp_mask", "pytoflow_denoise", "official_sr")


class Ready(nn.Module):
    """A network whose result is its middle frame."""

    def __init__(self, form: str):
        super().__init__()
        self.form = FORMS[form]

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Of (B, T, 3, H, W)."""
        return {"pred": frames[:, frames.shape[1] // 2]}


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width."""
    return {name: (lambda name=name: TOFlow(FORMS[name]), [(1, FORMS[name].frames, 3, height, width)]) for name in ROWS}


def own_video() -> dict:
    """Name -> (model with a network that is ready, flags of `clip`, scale) for `common.bench.around`."""
    return {
        "TOFlow denoise": (Restorer(Ready("pytoflow_denoise")), {}, 1),
        "TOFlow sr": (Restorer(Ready("official_sr"), enlarge=SCALE), {}, SCALE),
    }
