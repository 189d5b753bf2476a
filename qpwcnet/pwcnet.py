"""Standard PWC-Net: optical flow by a feature pyramid, warping and cost volumes, from coarse to fine.

Paper: Sun, Yang, Liu, Kautz, *PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume*, CVPR 2018
(section 3; figure 3). The names of the tensors are ours: pwcnet_tensor_names.py has those of the published files.

Where paper and published code differ, we follow the code:
  1. A pyramid level has three convolutions, not two; "PWC-Net_old", an earlier network of the authors, has two.
  2. What a warp reads outside the frame is set to zero, and with it every pixel that is partly outside.
  3. Up to the next finer level go the flow and two channels of features, both by transposed convolutions.
  4. The blocks' convolutions are densely connected, as in the journal version (TPAMI 2019).

Letters: B pairs, C channels, H W pixels of the frames, h w pixels of a level (H / 2^level).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.correlation import correlation
from common.ops.memory_format import fastest_layout, join, layout_of
from common.ops.warp import backward_warp

VARIANTS = ("PWC-Net", "PWC-Net_old", "PWC-Net_small")  # small: without the context network
MULTIPLE = 64  # the pyramid halves six times
CHANNELS = {1: 16, 2: 32, 3: 64, 4: 96, 5: 128, 6: 196}  # of the pyramid's levels
LEVELS = (6, 5, 4, 3, 2)  # that have a decoder; the flow stays at level 2, a quarter of the size
RADIUS = 4  # of the cost volume, in pixels of the level
COSTS = (2 * RADIUS + 1) ** 2
DENSE = (128, 128, 96, 64, 32)  # channels that a decoder's convolutions add
CONTEXT = ((128, 1), (128, 2), (128, 4), (96, 8), (64, 16), (32, 1))  # channels and dilation
FLOW_UNIT = 20.0  # inside, a flow of 1 means 20 pixels of the frames
# Share of a warped pixel that must come from inside the frame, else the pixel counts as outside and is zero. The
# authors' network and sniklaus' copy of it differ, and so do flows wherever a pixel is less than 1e-3 outside: by 0.2
# pixels all over a small frame with random weights. The rule is one of the network's tensors, to go with its weights.
INSIDE = 0.9999
INSIDE_OLD = 0.999  # PWC-Net_old's and sniklaus'


class LeakyConv(nn.Conv2d):
    """A 3x3 convolution that keeps the size (or halves it), and its leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1):
        super().__init__(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), 0.1, inplace=True)


def flow_conv(inputs: int) -> nn.Conv2d:
    """Where features become a flow."""
    return nn.Conv2d(inputs, 2, 3, padding=1)


def double(inputs: int) -> nn.ConvTranspose2d:
    """Two channels at twice the size."""
    return nn.ConvTranspose2d(inputs, 2, 4, stride=2, padding=1)


def masked_warp(x: Tensor, flow: Tensor, inside: float | Tensor) -> Tensor:
    """Read x (B, C, h, w) at p + flow(p), flow in pixels of x; zero where less than `inside` of it is inside x."""
    ones = torch.ones_like(x[:, :1])  # B 1 h w
    share = backward_warp(ones, flow, padding="zeros")
    return backward_warp(x, flow, padding="zeros") * (share >= inside).to(x.dtype)


class Decoder(nn.Module):
    """Flow of one level, from both frames' features and what the coarser level found."""

    def __init__(self, level: int, new_first: tuple[bool, ...]):
        super().__init__()
        self.level, self.new_first = level, new_first
        coarsest = level == LEVELS[0]
        inputs = COSTS if coarsest else COSTS + CHANNELS[level] + 4
        if not coarsest:
            above = COSTS + (0 if level + 1 == LEVELS[0] else CHANNELS[level + 1] + 4) + sum(DENSE)
            self.up_flow = double(2)
            self.up_feature = double(above)
        self.dense = nn.ModuleList()
        for outputs in DENSE:
            self.dense.append(LeakyConv(inputs, outputs))
            inputs += outputs
        self.flow = flow_conv(inputs)

    def forward(
        self, first: Tensor, second: Tensor, coarser: tuple[Tensor, Tensor] | None, inside: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Flow (B, 2, h, w) in units of 20 pixels, float32, and features (B, C, h, w).

        Args:
            first: features of the first frame, (B, C, h, w).
            second: features of the second one.
            coarser: what the decoder of the level above gave, or None at the coarsest level.
            inside: see `INSIDE`.
        """
        if coarser is None:
            x = self._costs(first, second)  # B 81 h w
        else:
            with torch.autocast(first.device.type, enabled=False):
                flow = self.up_flow(coarser[0])  # B 2 h w
            second = masked_warp(second, flow * (FLOW_UNIT / 2**self.level), inside)
            x = join(self._costs(first, second), first, flow, self.up_feature(coarser[1]), like=first)
        for layer, new_first in zip(self.dense, self.new_first, strict=True):
            x = torch.cat((layer(x), x) if new_first else (x, layer(x)), 1)
        return self.flow(x).float(), x

    @staticmethod
    def _costs(first: Tensor, second: Tensor) -> Tensor:
        costs = F.leaky_relu(correlation(first, second, radius=RADIUS), 0.1)
        return costs.contiguous(memory_format=layout_of(first))


class PWCNet(nn.Module):
    """The network in one of `VARIANTS`; PWC-Net has 9,374,274 parameters, PWC-Net_old 8,749,214.

    Its buffer `inside` keeps the rule of the warp's mask (see `INSIDE`) with the weights. `memory_format` may force the
    layout of the activations in memory; None is the fastest.
    """

    memory_format: torch.memory_format | None = None

    def __init__(self, variant: str = "PWC-Net"):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r}: expected one of {', '.join(VARIANTS)}")
        self.variant = variant
        old = variant == "PWC-Net_old"
        self.pyramid = nn.ModuleList()
        inputs = 3
        for outputs in CHANNELS.values():
            more = [LeakyConv(outputs, outputs) for _ in range(1 if old else 2)]
            self.pyramid.append(nn.Sequential(LeakyConv(inputs, outputs, stride=2), *more))
            inputs = outputs
        new_first = (False, True, False, False, False) if old else (True,) * len(DENSE)
        self.decoder = nn.ModuleDict({str(level): Decoder(level, new_first) for level in LEVELS})
        if variant != "PWC-Net_small":
            inputs = self.decoder[str(LEVELS[-1])].flow.in_channels
            layers = []
            for outputs, dilation in CONTEXT:
                layers.append(LeakyConv(inputs, outputs, dilation=dilation))
                inputs = outputs
            self.context = nn.Sequential(*layers, flow_conv(inputs))
        self.register_buffer("inside", torch.tensor(INSIDE_OLD if old else INSIDE))
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, prv: Tensor, nxt: Tensor) -> dict[str, Tensor]:
        """Flow from one frame to the next: prv(p) shows what nxt(p + flow(p)) does.

        Args:
            prv: (B, 3, H, W) RGB in [0, 1], H and W multiples of 64.
            nxt: the same shape.

        Returns:
            `flow` (B, 2, H/4, W/4) in pixels of the frames, x right and y down; `flow_6` to `flow_2`
            (B, 2, H / 2^level, W / 2^level), the levels' flows in units of 20 pixels of the frames, as the losses
            take them, `flow_2` being flow / 20; `flow_2_coarse`, the same before the context network.

        Raises:
            ValueError: shapes or sizes that do not fit.
        """
        features1, features2 = self.extract(prv, nxt)
        outputs, found = {}, None
        for level in LEVELS:
            found = self.decoder[str(level)](features1[level], features2[level], found, self.inside)
            outputs[f"flow_{level}"] = found[0]
        coarse, x = found  # B 2 H/4 W/4, B 565 H/4 W/4
        refined = coarse if self.variant == "PWC-Net_small" else coarse + self.context(x).float()
        return outputs | {"flow_2": refined, "flow_2_coarse": coarse, "flow": FLOW_UNIT * refined}

    def extract(self, prv: Tensor, nxt: Tensor) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Features (B, C, h, w) of the two frames by level, 1 to 6; takes what `forward` takes."""
        check_frames(prv, nxt, MULTIPLE)
        batch = prv.shape[0]  # not len(), which an exported graph would keep as a constant
        x = torch.cat((prv, nxt)).flip(1)  # 2B 3 H W, BGR
        x = x.contiguous(memory_format=self.memory_format or fastest_layout(self))
        features1, features2 = {}, {}
        for level, layers in zip(CHANNELS, self.pyramid, strict=True):
            x = layers(x)  # 2B C h w
            features1[level], features2[level] = x[:batch], x[batch:]
        return features1, features2

    def estimate(self, prv: Tensor, nxt: Tensor) -> Tensor:
        """Flow of frames of any size, at their size.

        The frames are enlarged to multiples of 64, as published, not padded: the network's flow is stretched back.

        Args:
            prv: (B, 3, H, W) RGB in [0, 1].
            nxt: the same shape.

        Returns:
            (B, 2, H, W) in pixels, x right and y down.

        Raises:
            ValueError: the frames differ in shape, or are no RGB frames.
        """
        check_frames(prv, nxt)
        height, width = prv.shape[-2:]
        tall, wide = (-(-size // MULTIPLE) * MULTIPLE for size in (height, width))
        prv, nxt = (resize(frame, tall, wide) for frame in (prv, nxt))
        flow = resize(self(prv, nxt)["flow"], height, width)
        return torch.stack((flow[:, 0] * (width / wide), flow[:, 1] * (height / tall)), 1)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, without antialiasing."""
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)


def check_frames(prv: Tensor, nxt: Tensor, multiple: int = 1) -> None:
    """Refuse frames that differ in shape, are not (B, 3, H, W), or have an H or W that is no such multiple.

    Raises:
        ValueError: they do.
    """
    fits = prv.dim() == 4 and prv.shape[1] == 3 and all(size and size % multiple == 0 for size in prv.shape[-2:])
    if prv.shape != nxt.shape or not fits:
        sizes = f", H and W multiples of {multiple}; `estimate` takes any size" if multiple > 1 else ""
        raise ValueError(f"frames {tuple(prv.shape)} and {tuple(nxt.shape)}: expected one shape (B, 3, H, W){sizes}")
