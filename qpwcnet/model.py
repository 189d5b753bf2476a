"""QPWCNet: a small PWC-Net, and frame interpolation as its pretraining.

The flow network ("flower") is PWC-Net (Sun et al., CVPR 2018) with separable convolutions, features that are decoded
before they are matched, and a flow that every level predicts anew. The interpolator puts the frame between two others
together from both flows (after Wannenwetsch et al., arXiv 1809.08317), which trains the flow without labels. Both
follow the TensorFlow code of yycho0108/qpwcnet, the only description that there is.

Letters: B batch, C channels, H W pixels, h w pixels of a level. Level k = 0..4 has 1 / 2^(5-k) of the full size.

Where we differ from that code, or it from what one would expect:

1. A convolution of stride 2 pads below and to the right only, as TensorFlow's "same" does on even sizes.
2. A level predicts the whole flow, in pixels of the level, times the length of the level's diagonal: weights belong to
   a size. `scale_size` takes the diagonals of one size instead, so that a network runs at others.
3. The interpolator asks the flow network for (nxt, prv) where it needs the flow from prv to nxt, and the other way
   round. `flow_order="original"` keeps that; the flow network then learns the reverse of what it is later trained for.
   `flow_order="fixed"` puts it right. `Interpolator.flow` gives the flow from prv to nxt in either order.
4. The running variance of the norms takes a batch's biased variance (Keras), and a batch is that of all processes.
5. Both frames run through encoder and decoder as one batch: each convolution is called once.
6. Beside mish there are activations that an int8 network computes faster: `activation="leaky_relu"`, "hard_swish".
7. The interpolator's full-size flow, which the code does not double by a slip, is left out: nothing uses it.
8. Features are matched by their product. `match="cosine"` takes the mean of both frames away and brings them to one
   length before: of features as they are drawn the longest wins, wherever it lies, and what all positions have in
   common hides what tells them apart; training is long in finding out.
9. The norm before a level's flow takes a batch's spread, so how long the flows of a sample come out depends on the
   others. `frozen_norm` trains with the running statistics, as the network is used later.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.correlation import correlation
from common.ops.memory_format import fastest_layout
from common.ops.pad import pad_to_multiple
from common.ops.warp import backward_warp
from qpwcnet.norm import Norm


def mish(x: Tensor) -> Tensor:
    """Mish, x tanh(log(1 + e^x)), as x - x / (1 + e^x + e^2x / 2): a quarter of the time of PyTorch's on a CPU."""
    if torch.is_grad_enabled() and x.requires_grad:
        return F.mish(x)  # keeps nothing but x for the backward pass
    divisor = x.exp()
    divisor.addcmul_(divisor, divisor, value=0.5).add_(1)  # infinite for large x, which then stay as they are
    return torch.addcdiv(x, x, divisor, value=-1, out=divisor)


FILTERS = (16, 32, 64, 128, 256)  # of the encoder's stages, at 1/2 to 1/32 of the full size
FLOW_FILTERS = (128, 64, 32, 16)  # of a flow level's separable convolutions
BLEND_FILTERS = 64  # of an interpolation level
RADIUS = 4  # of the cost volume
COSTS = (2 * RADIUS + 1) ** 2
LEVELS = len(FILTERS)  # flow_0 ... flow_4; flow_5 is flow_4 enlarged
MULTIPLE = 2**LEVELS  # of which H and W must be
ACTIVATIONS = {"mish": mish, "leaky_relu": lambda x: F.leaky_relu(x, 0.1, inplace=True), "hard_swish": F.hardswish}
FLOW_ORDERS = ("original", "fixed")
MATCHES = ("product", "cosine")


def cost_volume(first: Tensor, second: Tensor, match: str = "product") -> Tensor:
    """How well each position of a map matches its neighbours in the other: (B, C, h, w) twice -> (B, 81, h, w)."""
    if match == "cosine":
        mean = (first.mean((2, 3), keepdim=True) + second.mean((2, 3), keepdim=True)) / 2  # B C 1 1
        first, second = (x - mean for x in (first, second))
        first, second = (x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt() for x in (first, second))
    return F.leaky_relu(correlation(first, second, radius=RADIUS), 0.1)


def enlarge(x: Tensor, factor: float = 1.0) -> Tensor:
    """Twice as large, bilinear; `factor` multiplies the values: 2 for a flow in pixels."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return factor * x if factor != 1 else x


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """`x` read at p + flow(p); positions outside are moved to the border."""
    return backward_warp(x, flow, padding="border", align_corners=True)


class Separable(nn.Module):
    """Depthwise 3x3, then pointwise convolution."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class EncoderStage(nn.Module):
    """Half the size."""

    def __init__(self, inputs: int, outputs: int, activate):
        super().__init__()
        self.conv_a = nn.Conv2d(inputs, outputs, 3, stride=2)
        self.conv_aa = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_b = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate(self.conv_a(F.pad(x, (0, 1, 0, 1))))  # B C h/2 w/2
        return self.activate(self.conv_b(self.activate(self.conv_aa(x))))


class OptFlow(nn.Module):
    """The flow of a level, from what is known there."""

    def __init__(self, inputs: int, activate):
        super().__init__()
        widths = (inputs, *FLOW_FILTERS)
        self.feat = nn.ModuleList(map(Separable, widths[:-1], widths[1:]))
        self.conv = nn.Conv2d(widths[-1], widths[-1], 1)
        self.norm = Norm(widths[-1])
        self.flow = nn.Conv2d(widths[-1], 2, 3, padding=1, bias=False)
        self.activate = activate

    def forward(self, x: Tensor, scale: float) -> Tensor:
        """(B, C, h, w) -> (B, 2, h, w) in pixels; the convolutions' result is in units of `scale` pixels."""
        for separable in self.feat:
            x = self.activate(separable(x))
        x = self.activate(self.conv(x))
        with torch.autocast(x.device.type, enabled=False):  # 64 pixels in half precision come in steps of a half
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            return self.flow(self.norm(x)) * scale


class Blend(nn.Module):
    """The frame of a level, from both frames moved to the middle."""

    def __init__(self, inputs: int, activate):
        super().__init__()
        self.conv1 = Separable(inputs, BLEND_FILTERS)
        self.conv2 = nn.Conv2d(BLEND_FILTERS, 3, 1)
        self.activate = activate

    def forward(self, prv: Tensor, nxt: Tensor, flow_01: Tensor, flow_10: Tensor, *coarser: Tensor) -> Tensor:
        """Pictures or features (B, C, h, w), flows (B, 2, h, w), the coarser level's frame enlarged -> (B, 3, h, w)."""
        moved = warp(prv, 0.5 * flow_10), warp(nxt, 0.5 * flow_01)
        return self.conv2(self.activate(self.conv1(torch.cat((*moved, flow_01, flow_10, *coarser), 1))))


class Flower(nn.Module):
    """The flow network.

    Args:
        filters: of the encoder's stages.
        activation: one of `ACTIVATIONS`.
        scale_size: (H, W) whose diagonals scale the flow at every size; None: the input's own.
        match: one of `MATCHES`; see point 8 above.
    """

    def __init__(
        self, filters: tuple[int, ...] = FILTERS, *, activation: str = "mish",
        scale_size: tuple[int, int] | None = None, match: str = "product",
    ):  # fmt: skip
        super().__init__()
        self.filters, self.activation, self.scale_size, self.match = tuple(filters), activation, scale_size, match
        self.activate = ACTIVATIONS[activation]
        deep = self.filters[::-1]  # at 1/32 to 1/2
        stages = zip((3, *filters[:-1]), filters, strict=True)
        self.encoder = nn.ModuleList(EncoderStage(*widths, self.activate) for widths in stages)
        ups = zip((deep[0], *(2 * width for width in deep[1:-1])), deep[1:], strict=True)
        self.decoder = nn.ModuleList(nn.ConvTranspose2d(*widths, 4, stride=2, padding=1) for widths in ups)
        known = (COSTS + 2 * deep[0], *(COSTS + 2 * width + 2 for width in deep[1:]))
        self.flower = nn.ModuleList(OptFlow(width, self.activate) for width in known)
        # Among the weights, because the weights mean nothing without them.
        self.register_buffer("settings", settings(activation, "original", scale_size, match))
        self.apply(_glorot)

    def forward(self, prv: Tensor, nxt: Tensor) -> dict[str, Tensor]:
        """Flow from `prv` to `nxt` at every level.

        Args:
            prv: (B, 3, H, W) RGB in [0, 1], H and W multiples of 32.
            nxt: the same.

        Returns:
            `flow_0` (B, 2, H/32, W/32) ... `flow_4` (B, 2, H/2, W/2) in pixels of their level, and `flow_5`
            (B, 2, H, W), which is `flow_4` enlarged.

        Raises:
            ValueError: the sizes differ or are no multiples of 32.
        """
        flows = self.levels(*self.features(prv, nxt))
        flows.append(enlarge(flows[-1], 2.0))  # B 2 H W
        return {f"flow_{k}": flow for k, flow in enumerate(flows)}

    def flow(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Only the full-size flow from `prv` to `nxt`, (B, 2, H, W)."""
        return self(prv, nxt)[f"flow_{LEVELS}"]

    def estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Flow of frames of any size, (B, 2, H, W): their last row and column are repeated up to multiples of 32."""
        both, unpad = pad_to_multiple(torch.cat((prv, nxt), 1), MULTIPLE)  # B 6 H' W'
        return unpad(self.flow(both[:, :3], both[:, 3:]))

    def kernels(self) -> list[nn.Parameter]:
        """The kernels of encoder and decoder, on which training has an L2 penalty."""
        return [p for part in (self.encoder, self.decoder) for p in part.parameters() if p.dim() == 4]

    def features(self, prv: Tensor, nxt: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What is matched, of each frame: at 1/32 the encoder's last features, at 1/16 to 1/2 the decoder's."""
        if prv.shape != nxt.shape or prv.dim() != 4 or prv.shape[2] % MULTIPLE or prv.shape[3] % MULTIPLE:
            raise ValueError(
                f"cannot match {tuple(prv.shape)} and {tuple(nxt.shape)}: expected two (B, 3, H, W) of one size, "
                f"H and W multiples of {MULTIPLE}"
            )
        x = (torch.cat((prv, nxt)) - 0.5).contiguous(memory_format=fastest_layout(self))  # 2B 3 H W
        encoded = []
        for stage in self.encoder:
            x = stage(x)  # 2B C h w
            encoded.append(x)
        found = [encoded.pop()]
        for up in self.decoder:
            x = torch.cat((self.activate(up(x)), encoded.pop()), 1)  # 2B 2C 2h 2w
            found.append(x)
        first, second = zip(*(level.chunk(2) for level in found), strict=True)
        return list(first), list(second)

    def levels(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """flow_0 ... flow_4 from the frame with the features `first` to that with `second`, coarse to fine."""
        flows = []
        for a, b, predict in zip(first, second, self.flower, strict=True):
            if not flows:
                known = torch.cat((cost_volume(a, b, self.match), a, b), 1)  # B 81+2C h w
            else:
                coarser = enlarge(flows[-1], 2.0)  # B 2 h w
                known = torch.cat((cost_volume(a, warp(b, coarser), self.match), a, coarser), 1)  # B 81+C+2 h w
            flows.append(predict(known, self._scale(len(flows), a)))
        return flows

    def _scale(self, level: int, x: Tensor) -> float:
        if self.scale_size is None:
            return math.hypot(*x.shape[-2:])
        return math.hypot(*self.scale_size) / 2 ** (LEVELS - level)


class Interpolator(Flower):
    """The flow network, and what makes the frame between two others by its flows.

    Args:
        filters: as for `Flower`, like `activation`, `scale_size` and `match`.
        flow_order: one of `FLOW_ORDERS`; see point 3 above.
    """

    def __init__(
        self, filters: tuple[int, ...] = FILTERS, *, activation: str = "mish",
        scale_size: tuple[int, int] | None = None, match: str = "product", flow_order: str = "original",
    ):  # fmt: skip
        super().__init__(filters, activation=activation, scale_size=scale_size, match=match)
        self.flow_order = flow_order
        self.settings.copy_(settings(activation, flow_order, scale_size, match))
        widths = (2 * 3 + 4, *(4 * width + 4 + 3 for width in self.filters[-2::-1]))
        self.interpolator = nn.ModuleList(Blend(width, self.activate) for width in widths)
        self.interpolator.apply(_glorot)

    def forward(self, prv: Tensor, nxt: Tensor) -> dict[str, Tensor]:
        """The frame between `prv` and `nxt` at every level, and the flows that it is made by.

        Args:
            prv: (B, 3, H, W) RGB in [0, 1], H and W multiples of 32.
            nxt: the same.

        Returns:
            `img_0` (B, 3, H/32, W/32) ... `img_5` (B, 3, H, W), RGB, not clipped, `img_5` is `img_4` enlarged;
            `flow_01_k` from `prv` to `nxt` and `flow_10_k` back, k = 0..4, (B, 2, h, w) in pixels of level k.

        Raises:
            ValueError: the sizes differ or are no multiples of 32.
        """
        first, second = self.features(prv, nxt)
        flows_01, flows_10 = self.levels(*self._ordered(first, second)), self.levels(*self._ordered(second, first))
        small = F.avg_pool2d(torch.cat((prv, nxt)) - 0.5, MULTIPLE).chunk(2)  # B 3 H/32 W/32 each
        sources = [small, *zip(first[1:], second[1:], strict=True)]
        pictures = []
        for blend, pair, flow_01, flow_10 in zip(self.interpolator, sources, flows_01, flows_10, strict=True):
            coarser = [enlarge(pictures[-1])] if pictures else []  # B 3 h w
            pictures.append(blend(*pair, flow_01, flow_10, *coarser))  # B 3 h w
        pictures.append(enlarge(pictures[-1]))  # B 3 H W
        return (
            {f"img_{k}": picture + 0.5 for k, picture in enumerate(pictures)}
            | {f"flow_01_{k}": flow for k, flow in enumerate(flows_01)}
            | {f"flow_10_{k}": flow for k, flow in enumerate(flows_10)}
        )

    def flow(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Only the full-size flow from `prv` to `nxt`, (B, 2, H, W), whatever the order."""
        return enlarge(self.levels(*self._ordered(*self.features(prv, nxt)))[-1], 2.0)

    def between(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """The frame between two of any size, (B, 3, H, W) in [0, 1]; they are padded as `estimate` does."""
        both, unpad = pad_to_multiple(torch.cat((prv, nxt), 1), MULTIPLE)  # B 6 H' W'
        return unpad(self(both[:, :3], both[:, 3:])[f"img_{LEVELS}"]).clamp(0, 1)

    def _ordered(self, first: list[Tensor], second: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What the flow network is asked for where the flow from `first` to `second` is needed."""
        return (second, first) if self.flow_order == "original" else (first, second)


def settings(activation: str, flow_order: str, scale_size: tuple[int, int] | None, match: str = "product") -> Tensor:
    """What weights belong to: numbers of activation, flow order, height, width (0: none), match (if not the first)."""
    numbers = [list(ACTIVATIONS).index(activation), FLOW_ORDERS.index(flow_order), *(scale_size or (0, 0))]
    return torch.tensor(numbers + [MATCHES.index(match)] * (match != MATCHES[0]))


def _glorot(module: nn.Module) -> None:
    """Keras's start: Glorot's uniform kernels, zero biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
