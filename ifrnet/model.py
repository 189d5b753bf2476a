"""IFRNet: any frame between two frames, by refining flows and an intermediate feature from coarse to fine.

Paper: Kong, Jiang, Luo, Chu, Huang, Tai, Wang, Yang, *IFRNet: Intermediate Feature Refine Network for Efficient Frame
Interpolation*, CVPR 2022 (figure 2; sections 3.1 encoder, decoders, 3.4 sizes). Keys are those of the published files.

Where paper and published code differ, we follow the code:
  1. The mean of both frames is subtracted first and added at the end; the paper does not mention it.
  2. The first convolution of the large network has a 7x7 kernel; the others have 3x3.
  3. The residual is added after blending, and the result is clamped to [0, 1].

Letters: B pairs, K times a pair, N = B K results, C channels, H W pixels, h w pixels of a level (H / 2^level).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.exporting import exporting
from common.ops.memory_format import fastest_layout, layout_of
from common.ops.warp import backward_warp

MULTIPLE = 16  # the encoder halves four times
TOGETHER = 8 * 256 * 448  # pixels of results worth computing at once; more takes memory and gains nothing


@dataclass(frozen=True)
class Size:
    """Channels of the four levels, channels that a residual block convolves twice more, kernel of the first layer."""

    widths: tuple[int, int, int, int]
    side: int
    kernel: int = 3


SIZES = {
    "IFRNet": Size((32, 48, 72, 96), 32),
    "IFRNet_L": Size((64, 96, 144, 192), 64, kernel=7),
    "IFRNet_S": Size((24, 36, 54, 72), 24),
    "IFRNet_free": Size((16, 24, 36, 48), 16),  # ours, sized for a laptop; not in the paper
    "IFRNet_tiny": Size((12, 18, 24, 32), 12),  # ours, for trainings of minutes; not in the paper
}


def resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear, by a factor: it, not the ratio of the sizes, makes the coordinates. The size is rounded down."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Read x at p + flow(p), the edge repeated outside."""
    return backward_warp(x, flow, padding="border")


def conv_prelu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and PReLU with a slope a channel."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.PReLU(outputs))


class Encoder(nn.Module):
    """The pyramid of features that both frames (and, in training, the frame between) share."""

    def __init__(self, size: Size):
        super().__init__()
        inputs, kernel = 3, size.kernel
        for level, width in enumerate(size.widths, 1):
            block = nn.Sequential(conv_prelu(inputs, width, kernel, stride=2), conv_prelu(width, width))
            setattr(self, f"pyramid{level}", block)
            inputs, kernel = width, 3

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for level in (1, 2, 3, 4):
            x = getattr(self, f"pyramid{level}")(x)  # N C h w
            features.append(x)
        return features


class ResBlock(nn.Module):
    """Residual block whose last `side` channels are convolved once more after each of the first two layers."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.main = channels - side
        self.conv1 = conv_prelu(channels, channels)
        self.conv2 = conv_prelu(side, side)
        self.conv3 = conv_prelu(channels, channels)
        self.conv4 = conv_prelu(side, side)
        self.conv5 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.prelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self._renew_side(self.conv1(x), self.conv2)
        y = self._renew_side(self.conv3(y), self.conv4)
        return self.prelu(self.conv5(y).add_(x))

    def _renew_side(self, y: Tensor, layer: nn.Module) -> Tensor:
        """`y` with its last channels passed through `layer`; in place where no gradient needs the old ones."""
        side = layer(y[:, self.main :])
        if torch.is_grad_enabled() or exporting():
            return torch.cat((y[:, : self.main], side), 1)
        y[:, self.main :] = side
        return y


class Decoder(nn.Module):
    """Refines what the level below gave, at twice its size."""

    def __init__(self, inputs: int, middle: int, outputs: int, side: int):
        super().__init__()
        self.convblock = nn.Sequential(
            conv_prelu(inputs, middle), ResBlock(middle, side), nn.ConvTranspose2d(middle, outputs, 4, 2, 1)
        )

    def forward(self, *parts: Tensor) -> Tensor:
        x = torch.cat(parts, 1)  # B C h w, its order lost where that of the parts differs
        return self.convblock(x.contiguous(memory_format=layout_of(parts[0])))


class Pair(NamedTuple):
    """Two frames as `IFRNet.encode` leaves them; a pair serves any number of times t."""

    img0: Tensor  # B 3 H W, less the mean
    img1: Tensor
    mean: Tensor  # B 1 1 1
    features0: list[Tensor]  # of levels 1 to 4, B C h w
    features1: list[Tensor]

    def repeat(self, times: int) -> "Pair":
        """Every pair `times` times in a row."""
        if times == 1:
            return self
        many = [x.repeat_interleave(times, 0) for x in (self.img0, self.img1, self.mean)]
        return Pair(*many, *([x.repeat_interleave(times, 0) for x in features] for features in self[3:]))


class IFRNet(nn.Module):
    """The network in one of `SIZES`; IFRNet has 4,959,692 parameters, IFRNet_L 19,699,460, IFRNet_S 2,803,610.

    `memory_format` may force the layout of the activations in memory; None is the fastest.
    """

    memory_format: torch.memory_format | None = None

    def __init__(self, size: str = "IFRNet"):
        super().__init__()
        self.size = size
        width1, width2, width3, width4 = SIZES[size].widths
        side = SIZES[size].side
        self.encoder = Encoder(SIZES[size])
        self.decoder4 = Decoder(2 * width4 + 1, 2 * width4, 4 + width3, side)  # two features and t
        self.decoder3 = Decoder(3 * width3 + 4, 3 * width3, 4 + width2, side)  # three features and two flows
        self.decoder2 = Decoder(3 * width2 + 4, 3 * width2, 4 + width1, side)
        self.decoder1 = Decoder(3 * width1 + 4, 3 * width1, 8, side)

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor, scale_factor: float = 1.0) -> dict[str, Tensor]:
        """Interpolate between two frames.

        Args:
            img0: (B, 3, H, W) RGB in [0, 1].
            img1: the same shape.
            t: (N,) times in (0, 1), N = B K: K times for every pair, a pair's times in a row; 0 is img0. The pair is
                encoded once for all of them.
            scale_factor: flows are estimated on frames resized by this (0.5 for large frames and motions), the result
                is not. H and W are multiples of 16 / scale_factor.

        Returns:
            `pred` (N, 3, H, W) in [0, 1]; `flow0_k`, `flow1_k` (N, 2, h, w) of levels 4 to 1, from t to img0 and img1
            in pixels of the level, those of level 1 at full size; `mask` (N, 1, h, w), the share of img0, and
            `residual` (N, 3, h, w), both at scale_factor times the full size; `warp0`, `warp1` (N, 3, H, W) less the
            pair's mean; `feat1`, `feat2`, `feat3` (N, C, h, w), the intermediate features.

        Raises:
            ValueError: shapes or sizes that do not fit.
        """
        return self.decode(self.encode(img0, img1, scale_factor), t, scale_factor)

    def encode(self, img0: Tensor, img1: Tensor, scale_factor: float = 1.0) -> Pair:
        """The part of `forward` that does not depend on t."""
        check_size(img0, img1, scale_factor)
        batch = img0.shape[0]  # not len(), which an exported graph would keep as a constant
        mean = torch.cat((img0, img1), 2).mean(1, keepdim=True).mean(2, keepdim=True).mean(3, keepdim=True)  # B 1 1 1
        img0, img1 = img0 - mean, img1 - mean
        both = torch.cat((img0, img1))  # 2B 3 H W
        both = both if scale_factor == 1 else resize(both, scale_factor)
        features = self.encoder(both.contiguous(memory_format=self.memory_format or fastest_layout(self)))
        return Pair(img0, img1, mean, [x[:batch] for x in features], [x[batch:] for x in features])

    def decode(self, pair: Pair, t: Tensor, scale_factor: float = 1.0) -> dict[str, Tensor]:
        """The part of `forward` that depends on t; takes the same t and scale_factor, returns the same."""
        pair = pair.repeat(t.shape[0] // pair.mean.shape[0])
        outputs = {}
        features0, features1 = pair.features0[3], pair.features1[3]
        time = t.view(-1, 1, 1, 1).to(features0).expand(-1, 1, *features0.shape[-2:])  # N 1 h w
        x = self.decoder4(features0, features1, time)
        flow0, flow1, feature = x[:, 0:2].float(), x[:, 2:4].float(), x[:, 4:]
        for level in (3, 2, 1):
            outputs |= {f"flow0_{level + 1}": flow0, f"flow1_{level + 1}": flow1, f"feat{level}": feature}
            warped0 = warp(pair.features0[level - 1], flow0)
            warped1 = warp(pair.features1[level - 1], flow1)
            x = getattr(self, f"decoder{level}")(feature, warped0, warped1, flow0, flow1)  # N C 2h 2w
            flow0 = x[:, 0:2].float() + 2 * resize(flow0, 2)
            flow1 = x[:, 2:4].float() + 2 * resize(flow1, 2)
            feature = x[:, 4:]
        mask, residual = torch.sigmoid(feature[:, :1].float()), feature[:, 1:].float()
        outputs |= {"mask": mask, "residual": residual}
        if scale_factor != 1:
            back = 1 / scale_factor
            flow0, flow1 = back * resize(flow0, back), back * resize(flow1, back)
            mask, residual = resize(mask, back), resize(residual, back)  # N . H W
        warped0, warped1 = warp(pair.img0, flow0), warp(pair.img1, flow1)
        pred = (mask * warped0 + (1 - mask) * warped1 + pair.mean + residual).clamp(0, 1)
        return outputs | {"flow0_1": flow0, "flow1_1": flow1, "warp0": warped0, "warp1": warped1, "pred": pred}

    def train_outputs(self, img0: Tensor, img1: Tensor, t: Tensor, target: Tensor) -> tuple[dict, list[Tensor]]:
        """`forward` at scale 1 and, for the geometry loss, the features of the true frame (N, 3, H, W)."""
        pair = self.encode(img0, img1)
        mean = pair.mean.repeat_interleave(len(t) // len(img0), 0)
        layout = self.memory_format or fastest_layout(self)
        return self.decode(pair, t), self.encoder((target - mean).contiguous(memory_format=layout))

    @property
    def ignores_time(self) -> bool:
        """Whether the weights of the time plane are all zero, as in the published Vimeo-90K files."""
        return not self.decoder4.convblock[0][0].weight[:, -1].any()


def initialise(network: IFRNet) -> None:
    """A start at which every layer keeps the spread of its input (He et al., ICCV 2015), and flows are near zero.

    The published code leaves PyTorch's start, at which each layer shrinks its input to less than half: behind eight of
    them the encoder's features differ by a thousandth from frame to frame, and the first thousands of steps go by
    before a network trained from nothing sees motion.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.25)  # of PReLU's start
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.ConvTranspose2d):  # 4x4, stride 2: four values of the kernel meet in a pixel
            nn.init.normal_(module.weight, std=(4 * module.in_channels) ** -0.5)
            nn.init.zeros_(module.bias)
            module.weight.data[:, :4] *= 0.1  # the flows
    network.decoder1.convblock[-1].weight.data[:, 4:] *= 0.1  # mask and residual


def multiple_of(scale_factor: float) -> int:
    """What H and W must be multiples of: 16 at scale_factor 1, 20 at 0.8, 32 at 0.5, 8 at 2."""
    return max(1, round(MULTIPLE / scale_factor))


def check_size(img0: Tensor, img1: Tensor, scale_factor: float) -> None:
    """Refuse frames that the published code would quietly stretch.

    Raises:
        ValueError: they differ in shape, or are no multiple of 16 / scale_factor.
    """
    if exporting():  # they would become constants; the exporter chose sizes that fit
        return
    sizes = [int(size) for size in img0.shape[-2:]]
    inner = [int(size * scale_factor) for size in sizes]
    fits = all(size and size % MULTIPLE == 0 for size in inner)
    if scale_factor <= 0 or img0.shape != img1.shape or not fits or [int(s / scale_factor) for s in inner] != sizes:
        raise ValueError(
            f"frames {tuple(img0.shape)} and {tuple(img1.shape)} at scale {scale_factor:g}: expected one shape "
            f"(B, 3, H, W), H and W multiples of {multiple_of(scale_factor)}; pad them"
        )
