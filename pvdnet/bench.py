"""The networks that `python -m common.bench` measures."""

from torch import Tensor, nn

from common.ops.liteflownet import LiteFlowNet
from pvdnet.infer import Deblurrer
from pvdnet.models.archs import PVDNet, PVDNet_large, PVDNet_small
from pvdnet.models.deblurnet import DeblurNet

PV_CHANNELS = 25


class Ready(nn.Module):
    """A network whose result is the blurry frame."""

    def forward(self, previous: Tensor, current: Tensor, following: Tensor, memory: Tensor) -> dict[str, Tensor]:
        """Of four of (B, 3, H, W)."""
        return {"result": current}


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    The steps are what a frame costs: BIMNet (fixed, so without a backward pass), pixel volume and network.
    """
    frame = (1, 3, height, width)
    table = {"BIMNet": (LiteFlowNet, [frame] * 2)}
    for arch in (PVDNet, PVDNet_large, PVDNet_small):
        name = arch.__name__.split(".")[-1]
        volume = (1, PV_CHANNELS, height, width)
        table[name] = (lambda arch=arch: arch.Network(PV_CHANNELS), [volume, *[frame] * 3])
        table[f"{name} step"] = (lambda name=name: DeblurNet(name), [frame] * 4)
    return table


def own_video() -> dict:
    """Name -> (model with a network that is ready, flags of `clip`, scale) for `common.bench.around`."""
    return {"PVDNet": (Deblurrer(Ready()), {}, 1)}
