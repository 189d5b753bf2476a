"""The networks that `python -m common.bench` measures."""

import torch
from torch import Tensor, nn

from qpwcnet.infer import FlowEstimator
from qpwcnet.model import ACTIVATIONS, FILTERS, Flower, Interpolator, cost_volume
from qpwcnet.pwcnet import CHANNELS, LEVELS, VARIANTS, PWCNet


class CostVolumes(nn.Module):
    """The cost volumes of a forward pass alone: their seconds over the network's are their share of its time."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))  # so that the backward pass has somewhere to go

    def forward(self, *maps: Tensor) -> list[Tensor]:
        """Of each two maps (1, C, h, w) that follow each other."""
        layout = torch.channels_last
        pairs = zip(maps[::2], maps[1::2], strict=True)
        return [cost_volume(self.gain * a.contiguous(memory_format=layout), b) for a, b in pairs]


class Ready(nn.Module):
    """A network whose result is one flow, a turn about the upper left corner."""

    def __init__(self):
        super().__init__()
        self.flow = torch.empty(0)

    def estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """(1, 2, H, W) pixels."""
        height, width = prv.shape[-2:]
        if self.flow.shape[-2:] != (height, width):
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            self.flow = (0.02 * torch.stack((-rows, columns))[None]).to(prv.device)
        return self.flow


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width, multiples of 64."""
    pair = [(1, 3, height, width)] * 2
    table = {f"QPWCNet {name}": (lambda name=name: Flower(activation=name), pair) for name in ACTIVATIONS}
    table["QPWCNet interpolator"] = (Interpolator, pair)
    # At 1/32 the encoder's features; above, the decoder's, with those of the encoder beside them.
    widths = (FILTERS[-1], *(2 * width for width in FILTERS[-2::-1]))
    table["QPWCNet cost volumes"] = (CostVolumes, _maps(height, width, zip(widths, (32, 16, 8, 4, 2), strict=True)))
    table |= {name: (lambda name=name: PWCNet(name), pair) for name in VARIANTS}
    table["PWC-Net cost volumes"] = (CostVolumes, _maps(height, width, ((CHANNELS[k], 2**k) for k in LEVELS)))
    return table


def own_video() -> dict:
    """Name -> (model with a network that is ready, flags of `clip`, scale) for `common.bench.around`."""
    return {"PWC-Net colours": (FlowEstimator(Ready()), {}, 1)}


def _maps(height: int, width: int, levels) -> list[tuple[int, ...]]:
    return [(1, channels, height // step, width // step) for channels, step in levels for _ in range(2)]
