"""The networks that `python -m common.bench` measures."""

from torch import Tensor, nn

from ifrnet.infer import Interpolator
from ifrnet.model import SIZES, IFRNet


class Ready(nn.Module):
    """A network whose result is its first frame."""

    ignores_time = False

    def encode(self, img0: Tensor, img1: Tensor, scale: float) -> Tensor:
        """What `decode` is given."""
        return img0

    def decode(self, img0: Tensor, t: Tensor, scale: float) -> dict[str, Tensor]:
        """The frame, for every time."""
        return {"pred": img0.expand(len(t), -1, -1, -1)}


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    `x8` is one pair with seven times, which share its encoder pass.
    """
    frames = [(1, 3, height, width)] * 2
    table = {size: (lambda size=size: IFRNet(size), [*frames, (1,)]) for size in SIZES}
    return table | {"IFRNet x8": (IFRNet, [*frames, (7,)])}


def own_video() -> dict:
    """Name -> (model with a network that is ready, flags of `clip`, scale) for `common.bench.around`."""
    return {"IFRNet x2": (Interpolator(Ready()), {"multi": 2}, 1)}
