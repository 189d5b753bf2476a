"""The networks as ONNX files hold them: the same values from operators that onnxruntime computes faster.

1. A transposed convolution becomes a convolution of 2x2 whose channels are then spread over 2x2 pixels: onnxruntime has
   no transposed one for int8, and a slow one for float.
2. Channels are filled up with zeros to multiples of 8 where they are not (81 costs and so on): convolutions of 565
   channels take twice the time of those of 568.
3. Mish is written out.
4. A warp becomes four gathers of whole pixels: onnxruntime's GridSample works out its coordinates for every channel.
"""

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.warp import backward_warp
from qpwcnet import model
from qpwcnet.pwcnet import COSTS, LEVELS, Decoder, PWCNet, resize

ALIGNED = 8  # channels


class OnnxNetwork(nn.Module):
    """What an .onnx file computes: frames `prv` and `nxt` (1, 3, H, W) in, one tensor out.

    Args:
        network: a `Flower`, `Interpolator` or `PWCNet`, which is copied.
        task: "flow": the flow (1, 2, H, W) from `prv` to `nxt` in pixels; "interp": the frame between (1, 3, H, W).
    """

    def __init__(self, network: nn.Module, task: str):
        super().__init__()
        self.network, self.task = copy.deepcopy(network), task
        for layer in list(self.network.modules()):
            for name, child in layer.named_children():
                if isinstance(child, nn.ConvTranspose2d):
                    setattr(layer, name, Spread(child))
        for layer in self.network.modules():
            if isinstance(layer, model.Separable):
                fill_separable(layer)
            if getattr(layer, "activate", None) is model.mish:
                layer.activate = plain_mish
        if isinstance(self.network, PWCNet):
            fill_pwcnet(self.network)
        self.eval()

    def forward(self, prv: Tensor, nxt: Tensor) -> Tensor:
        with _gathering():
            if self.task == "interp":
                return self.network(prv, nxt)[f"img_{model.LEVELS}"]
            if isinstance(self.network, PWCNet):
                return resize(self.network(prv, nxt)["flow"], *prv.shape[-2:])
            return self.network.flow(prv, nxt)


def plain_mish(x: Tensor) -> Tensor:
    """Mish of few operators that exist since ONNX began; onnxruntime's Softplus takes ten times as long as Exp."""
    power = x.exp()  # infinite for large x, which then stay as they are
    return x - x / (power * (0.5 * power + 1) + 1)


class Spread(nn.Module):
    """A transposed convolution of 4x4, stride 2, padding 1, as a convolution of 2x2."""

    def __init__(self, layer: nn.ConvTranspose2d):
        super().__init__()
        if (layer.kernel_size, layer.stride, layer.padding) != ((4, 4), (2, 2), (1, 1)):
            raise ValueError(f"cannot export {layer}: expected a kernel of 4x4, stride 2, padding 1")
        # Output row 2i reads input rows i - 1 and i through kernel rows 3 and 1, row 2i + 1 reads i and i + 1 through
        # 2 and 0. With one row cut off at the top, they are the rows 1 and 0 of a pair.
        taps = torch.tensor(((2, 0), (3, 1)))
        weight = layer.weight.detach()[:, :, taps][..., taps]  # in out row-of-pair 2 column-of-pair 2
        weight = weight.permute(1, 2, 4, 0, 3, 5).flatten(0, 2)  # 4 out, in, 2, 2
        self.weight = nn.Parameter(weight.contiguous())
        self.bias = nn.Parameter(layer.bias.detach().repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, padding=1), 2)[:, :, 1:-1, 1:-1]


class Filling(nn.Conv2d):
    """A depthwise convolution that fills up its input with channels of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(fill(x, self.in_channels - x.shape[1]))


def fill(x: Tensor, extra: int) -> Tensor:
    """Add `extra` channels of zeros."""
    return F.pad(x, (0, 0, 0, 0, 0, extra)) if extra else x


def fill_weight(layer: nn.Module, position: int, extra: int) -> None:
    """Make the layer take `extra` more input channels, from `position` on, and ignore them."""
    before, after = layer.weight.detach().split((position, layer.weight.shape[1] - position), 1)
    nothing = before.new_zeros(len(before), extra, *before.shape[2:])
    layer.weight = nn.Parameter(torch.cat((before, nothing, after), 1))


def fill_separable(layer: model.Separable) -> None:
    """Fill up the input channels."""
    old = layer.depthwise
    extra = -old.in_channels % ALIGNED
    count = old.in_channels + extra
    layer.depthwise = Filling(count, count, 3, padding=1, groups=count, bias=False)
    layer.depthwise.weight = nn.Parameter(torch.cat((old.weight.detach(), old.weight.new_zeros(extra, 1, 3, 3))))
    fill_weight(layer.pointwise, old.in_channels, extra)


def fill_pwcnet(network: PWCNet) -> None:
    """Fill up the cost volumes, so that all that is joined with them is aligned, too."""
    for level in LEVELS:
        decoder = network.decoder[str(level)]
        extra, end = -decoder.dense[0].in_channels % ALIGNED, COSTS  # where the costs end
        decoder._costs = functools.partial(_filled_costs, extra)
        for layer, new_first in zip(decoder.dense, decoder.new_first, strict=True):
            fill_weight(layer, end, extra)
            end += layer.out_channels if new_first else 0
        readers = [decoder.flow]
        if level != LEVELS[-1]:
            readers.append(network.decoder[str(level - 1)].up_feature)
        elif network.variant != "PWC-Net_small":
            readers.append(network.context[0])
        for layer in readers:
            fill_weight(layer, end, extra)


def _filled_costs(extra: int, first: Tensor, second: Tensor) -> Tensor:
    return fill(Decoder._costs(first, second), extra)


def gathered_warp(x: Tensor, flow: Tensor) -> Tensor:
    """What `model.warp` gives, for one sample (1, C, h, w)."""
    channels, height, width = (int(size) for size in x.shape[1:])  # numbers, that the graph has no shapes to work out
    if min(height, width) < 2:
        return backward_warp(x, flow, padding="border")
    columns = (torch.arange(width) + flow[:, 0]).clamp(0, width - 1)  # 1 h w
    rows = (torch.arange(height)[:, None] + flow[:, 1]).clamp(0, height - 1)
    left, top = columns.floor().clamp(max=width - 2), rows.floor().clamp(max=height - 2)
    right, below = (columns - left).reshape(-1, 1), (rows - top).reshape(-1, 1)  # weights, h*w 1
    first = (top * width + left).reshape(-1).long()
    pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
    a, b, c, d = (pixels.index_select(0, first + step) for step in (0, 1, width, width + 1))  # h*w C
    above, under = a + right * (b - a), c + right * (d - c)
    warped = above + below * (under - above)
    return warped.reshape(1, height, width, channels).permute(0, 3, 1, 2)


@contextmanager
def _gathering() -> Iterator[None]:
    usual, model.warp = model.warp, gathered_warp
    try:
        yield
    finally:
        model.warp = usual
