"""The network of TDAN.

Tian, Zhang, Fu, Xu: TDAN: Temporally-Deformable Alignment Network for Video Super-Resolution, CVPR 2020. Five
low-resolution frames give the middle one, four times larger: features of every frame (section 3.2), each neighbour's
moved onto the middle frame by deformable convolutions whose offsets the two frames' features tell (the temporally
deformable alignment), made into an aligned low-resolution image, and all five images reconstructed into one (section
3.3). No motion is estimated or compensated explicitly, and nothing is added to an interpolated frame.

Where MMagic's and the authors' published code differ:
  1. Border of the deformable convolution: samples fade into zeros (MMagic, "torchvision" here), or jump to zero above
     and to the left and repeat the last row and column below and to the right (the authors' 2018 kernel, "tdan"). With
     offsets of a few pixels the two differ all over the image: weights belong to the rule that they were trained by,
     so it is one of the network's tensors. Ours is MMagic's unless weights say otherwise.
  2. Start of training: offsets zero (MMagic, ours) or random (the authors).
  3. Names: our tables in checkpoints.py read both.
In both, and so here: the middle frame stands among the aligned ones as it is; there is no activation between the steps
of the alignment; the names "deconv" of the authors' second and third steps mean ordinary deformable convolutions.
Ours: the middle frame's features and a neighbour's are stacked, convolved (the aggregation) and convolved again (the
first offsets). Nothing is in between, so both are sums of what they are for either frame, and are computed as such:
once for a frame, however many windows it is in. Twofold enlargement (`scale`) leaves one of the two steps of it out, as
the authors advise.

Letters: B clips, T = 5 frames a clip, K = 4 neighbours a clip, N = B T or B K, C channels, G deformable groups, H W
pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.deform_conv import BORDERS, deform_conv2d
from common.ops.memory_format import fastest_layout

WINDOW = 5  # frames that the network sees
MIDDLE = WINDOW // 2
NEIGHBOURS = (0, 1, 3, 4)
SCALES = (2, 4)
GROUPS = 8  # deformable groups of the published networks
TAPS = 9
INITS = ("mmagic", "authors")
Parts = tuple[Tensor, Tensor]  # of the aggregation (., C, H, W) and of the first offsets (., 18 G, H, W)


def conv(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """All of TDAN's convolutions look like this."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def in_rows(x: Tensor, count: int) -> Tensor:
    """(N, ...) as (N / count, count, ...); `unflatten` would leave the traced sizes in an exported graph."""
    return x.reshape(-1, count, *x.shape[1:])


class ResidualBlock(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x), inplace=True)).add_(x)


class DeformableConv(nn.Module):
    """A deformable convolution, without a mask, and the convolution that tells its offsets."""

    def __init__(self, channels: int, groups: int, border: str):
        super().__init__()
        self.border = border
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.offset = conv(channels, 2 * groups * TAPS)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """What x (N, C, H, W) becomes with offsets (N, 18 G, H, W), which `self.offset` tells."""
        return deform_conv2d(x, offset, self.weight, padding=1, border=self.border)


class TDAN(nn.Module):
    """The network: 1,970,819 parameters with the defaults.

    Its buffer `border` keeps the border rule, as its place in `BORDERS`, with the weights. `memory_format` may force
    the layout of the activations in memory; None is the fastest.

    Args:
        channels: of the features, a multiple of `groups`; the paper's network has 64.
        blocks_before: residual blocks before the alignment.
        blocks_after: residual blocks after it.
        scale: 2 or 4.
        groups: deformable groups, of channels that move alike; fewer cost less.
        border: one of `BORDERS`.
        init: whose start of training: "mmagic" or "authors".
        add_bicubic: add the result to the bicubically enlarged middle frame, which is all there is at the start. Not so
            in the paper; the first hour of training is better spent.
    """

    memory_format: torch.memory_format | None = None

    def __init__(
        self,
        channels: int = 64,
        blocks_before: int = 5,
        blocks_after: int = 10,
        *,
        scale: int = 4,
        groups: int = GROUPS,
        border: str = "torchvision",
        init: str = "mmagic",
        add_bicubic: bool = False,
    ):
        super().__init__()
        if groups < 1 or channels % groups or scale not in SCALES or border not in BORDERS or init not in INITS:
            raise ValueError(
                f"channels {channels}, scale {scale}, border {border!r}, init {init!r}: expected a multiple of "
                f"{groups}, one of {SCALES}, one of {BORDERS}, one of {INITS}"
            )
        self.scale, self.groups = scale, groups
        self.register_buffer("border", torch.tensor(BORDERS.index(border), dtype=torch.uint8))
        self.register_load_state_dict_post_hook(TDAN._take_border)
        self.first = conv(3, channels)
        self.blocks_before = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks_before)))
        self.aggregate = conv(2 * channels, channels)
        self.deform = nn.ModuleList(DeformableConv(channels, groups, border) for _ in range(4))
        self.to_rgb = conv(channels, 3)
        self.fuse = conv(3 * WINDOW, channels)
        self.blocks_after = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks_after)))
        self.enlarge = nn.ModuleList(conv(channels, 4 * channels) for _ in range(SCALES.index(scale) + 1))
        self.last = conv(channels, 3, bias=False)
        {"mmagic": self._init_mmagic, "authors": self._init_authors}[init]()
        if add_bicubic:
            self.bicubic = nn.Parameter(torch.ones(3, 1, 1))  # gain; that it is there tells what a file is of
            nn.init.zeros_(self.last.weight)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Make the middle frame larger.

        Args:
            frames: (B, 5, 3, H, W) RGB in [0, 1], of any size.

        Returns:
            `pred` (B, 3, scale H, scale W), not clamped, and `aligned` (B, 5, 3, H, W), both in [0, 1], the middle one
            of the latter as it was; `motion` (B, 4, 2, H, W): where in each neighbour, in the order of time, the third
            deformable convolution looks on average, x and y in pixels.

        Raises:
            ValueError: another number of frames or channels.
        """
        if frames.dim() != 5 or frames.shape[1:3] != (WINDOW, 3):
            raise ValueError(f"frames {tuple(frames.shape)}: expected (B, {WINDOW}, 3, H, W)")
        features = in_rows(self.extract(frames.flatten(0, 1)), WINDOW)  # B T C H W
        neighbours = torch.cat((features[:, :MIDDLE], features[:, MIDDLE + 1 :]), 1).flatten(0, 1)  # N C H W
        return self.fuse_window(
            frames, neighbours, self.middle_part(features[:, MIDDLE]), self.neighbour_part(neighbours)
        )

    # What is computed once for each frame of a clip

    def extract(self, frames: Tensor) -> Tensor:
        """Features (N, C, H, W) of frames (N, 3, H, W) in [0, 1]."""
        layout = self.memory_format or fastest_layout(self)
        x = self.first((frames - 0.5).contiguous(memory_format=layout))  # N C H W
        return self.blocks_before(F.relu(x, inplace=True))

    def middle_part(self, features: Tensor) -> Parts:
        """What a middle frame's features (N, C, H, W) add to the aggregation and to the first offsets."""
        weight = self.aggregate.weight[:, : features.shape[1]]
        part = F.conv2d(features, weight, self.aggregate.bias, padding=1)  # N C H W
        return part, self.deform[0].offset(part)

    def neighbour_part(self, features: Tensor) -> Parts:
        """What a neighbour's features (N, C, H, W) add to the aggregation and to the first offsets."""
        weight = self.aggregate.weight[:, features.shape[1] :]
        part = F.conv2d(features, weight, padding=1)  # N C H W
        return part, F.conv2d(part, self.deform[0].offset.weight, padding=1)

    # What is computed for each window

    def fuse_window(self, frames: Tensor, neighbours: Tensor, middle: Parts, others: Parts) -> dict[str, Tensor]:
        """The outputs of `forward`.

        Args:
            frames: (B, 5, 3, H, W) RGB in [0, 1].
            neighbours: the neighbours' features from `extract`, (N, C, H, W), N = 4 B.
            middle: `middle_part` of the middle frames' features, of B images.
            others: `neighbour_part` of the neighbours' features, of N images.
        """
        images, offsets = self.align(neighbours, middle, others)  # N 3 H W, N 18 G H W
        images = in_rows(images, len(NEIGHBOURS)).to(frames.dtype) + 0.5  # B K 3 H W
        aligned = torch.cat((images[:, :MIDDLE], frames[:, MIDDLE, None], images[:, MIDDLE:]), 1)  # B T 3 H W
        motion = offsets.detach().unflatten(1, (-1, 2)).float().mean(1).flip(1)  # N 2 H W
        return {
            "pred": self.reconstruct(aligned),
            "aligned": aligned,
            "motion": in_rows(motion, len(NEIGHBOURS)),  # B K 2 H W
        }

    def align(self, neighbours: Tensor, middle: Parts, others: Parts) -> tuple[Tensor, Tensor]:
        """Neighbours as images (N, 3, H, W), moved onto the middle frame, and the third step's offsets."""
        both, offsets = (
            (in_rows(x, len(NEIGHBOURS)) + y.unsqueeze(1)).flatten(0, 1) for x, y in zip(others, middle, strict=True)
        )  # N C H W, N 18 G H W
        first, second, third, fourth = self.deform
        both = first(both, offsets)  # N C H W
        both = second(both, second.offset(both))
        offsets = third.offset(both)
        moved = third(neighbours, offsets)
        moved = fourth(moved, fourth.offset(moved))
        return self.to_rgb(moved), offsets

    def reconstruct(self, aligned: Tensor) -> Tensor:
        """The enlarged frame (B, 3, scale H, scale W) of aligned ones (B, 5, 3, H, W), both in [0, 1]."""
        layout = self.memory_format or fastest_layout(self)
        x = self.fuse((aligned.flatten(1, 2) - 0.5).contiguous(memory_format=layout))  # B C H W
        x = self.blocks_after(F.relu(x, inplace=True))
        for layer in self.enlarge:
            x = F.pixel_shuffle(layer(x), 2)  # B C 2H 2W
        residual = self.last(x).to(aligned.dtype)  # B 3 sH sW
        if self.add_bicubic:
            middle = aligned[:, MIDDLE] - 0.5
            enlarged = F.interpolate(middle, scale_factor=self.scale, mode="bicubic", align_corners=False)
            residual = residual + self.bicubic * enlarged
        return residual + 0.5

    @property
    def add_bicubic(self) -> bool:
        """Whether the result is added to the enlarged middle frame."""
        return hasattr(self, "bicubic")

    def _take_border(self, _) -> None:
        """Follow the border rule that came with weights."""
        for layer in self.deform:
            layer.border = BORDERS[int(self.border)]

    # Starts of training

    def _init_mmagic(self) -> None:
        for layer in (self.first, self.fuse):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        blocks = [layer for block in (*self.blocks_before, *self.blocks_after) for layer in (block.conv1, block.conv2)]
        for layer in (*blocks, *self.enlarge):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            torch._foreach_mul_([layer.weight for layer in blocks], 0.1)
        for layer in self.deform:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.offset.weight)
            nn.init.zeros_(layer.offset.bias)

    def _init_authors(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=(2 / (TAPS * layer.out_channels)) ** 0.5)
        for layer in self.deform:
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound)
