"""LiteFlowNet: optical flow by feature warping, cost volumes and flow regularisation.

Paper: Hui, Tang, Loy, *LiteFlowNet: A Lightweight Convolutional Neural Network for Optical Flow Estimation*, CVPR 2018
(figures 2 and 3; section 3.1 matching and sub-pixel refinement, 3.2 regularisation). PVDNet's BIMNet is this network
with other weights; IFRNet's flow labels come from it (`half_pixel_warp`, `estimate_flow`).

Where paper and published code differ, we follow the code:
  1. Levels run from 6 to 2; the paper's level 1 is left out and the flow comes at half the input's size.
  2. Regularisation normalises its weights by their sum and passes each component through a 1x1 convolution with bias.
  3. The brightness error that steers the regularisation carries no gradient.

Letters: B batch, C channels, H W pixels of the input, h w pixels of a level. Keys are those of the published files.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ops.correlation import correlation
from common.ops.exporting import exporting
from common.ops.memory_format import fastest_layout, join, layout_of
from common.ops.warp import backward_warp

LEVELS = (2, 3, 4, 5, 6)  # a level's maps are smaller than the input by 2^(level - 1)
CHANNELS = {2: 32, 3: 64, 4: 96, 5: 128, 6: 192}  # of the feature pyramid
KERNEL = {2: 7, 3: 5, 4: 5, 5: 3, 6: 3}  # of the last convolutions and of the regularisation's window
FLOW_UNIT = 20.0  # inside, a flow of 1 means 20 pixels of the input
# What the converted original weights expect to be subtracted: B, G, R of the first image and of the second.
MEANS = ((0.411618, 0.434631, 0.454253), (0.410782, 0.433645, 0.452793))


def _level_pixels(level: int) -> float:
    """Factor from the inner flow unit to pixels of a level: 10 at level 2, 0.625 at level 6."""
    return FLOW_UNIT / 2 ** (level - 1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def _stack(*layers: nn.Module, last: bool = True) -> nn.Sequential:
    """The layers, each followed by a leaky ReLU; the last one only if `last`."""
    steps = []
    for layer in layers:
        steps += [layer, nn.LeakyReLU(0.1, inplace=True)]
    return nn.Sequential(*(steps if last else steps[:-1]))


def _flow_head(inputs: int, level: int) -> nn.Sequential:
    """Matching and sub-pixel refinement end alike: four convolutions down to a flow."""
    return _stack(_conv(inputs, 128, 3), _conv(128, 64, 3), _conv(64, 32, 3), _conv(32, 2, KERNEL[level]), last=False)


def _warp(image: Tensor, flow: Tensor, level: int, half_pixel: bool) -> Tensor:
    flow = flow * _level_pixels(level)
    if half_pixel:  # (2p + 1)/W - 1 + flow/((W - 1)/2), read without aligned corners, is p + flow W/(W - 1)
        flow = _scale(flow, *(size / max(size - 1, 1) for size in reversed(image.shape[-2:])))
    return backward_warp(image, flow, padding="zeros")


def _scale(flow: Tensor, x: float, y: float) -> Tensor:
    return torch.stack((x * flow[:, 0], y * flow[:, 1]), 1)


class Features(nn.Module):
    """NetC: the feature pyramid that both images share."""

    def __init__(self):
        super().__init__()
        self.moduleOne = _stack(_conv(3, 32, 7))
        self.moduleTwo = _stack(_conv(32, 32, 3, stride=2), _conv(32, 32, 3), _conv(32, 32, 3))
        self.moduleThr = _stack(_conv(32, 64, 3, stride=2), _conv(64, 64, 3))
        self.moduleFou = _stack(_conv(64, 96, 3, stride=2), _conv(96, 96, 3))
        self.moduleFiv = _stack(_conv(96, 128, 3, stride=2))
        self.moduleSix = _stack(_conv(128, 192, 3, stride=2))

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        maps = {}
        x = self.moduleOne(image)  # B 32 H W
        for level, step in zip(
            LEVELS, (self.moduleTwo, self.moduleThr, self.moduleFou, self.moduleFiv, self.moduleSix), strict=True
        ):
            x = maps[level] = step(x)  # B C h w
        return maps


class Matching(nn.Module):
    """NetE, descriptor matching: a cost volume around the flow so far."""

    def __init__(self, level: int, half_pixel_warp: bool):
        super().__init__()
        self.level, self.half_pixel_warp = level, half_pixel_warp
        self.stride = 2 if level in (2, 3) else 1
        self.moduleFeat = _stack(_conv(32, 64, 1)) if level == 2 else nn.Identity()
        if level != 6:
            self.moduleUpflow = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False, groups=2)
        self.moduleUpcorr = (
            nn.ConvTranspose2d(49, 49, 4, 2, 1, bias=False, groups=49) if self.stride == 2 else nn.Identity()
        )
        self.moduleMain = _flow_head(49, level)

    def forward(self, first: Tensor, second: Tensor, flow: Tensor | None) -> Tensor:
        first, second = self.moduleFeat(first), self.moduleFeat(second)  # B C h w
        if flow is not None:
            with torch.autocast(flow.device.type, enabled=False):
                flow = self.moduleUpflow(flow)  # B 2 h w
            second = _warp(second, flow, self.level, self.half_pixel_warp)
        cost = F.leaky_relu(correlation(first, second, radius=3, stride=self.stride), 0.1)
        cost = cost.contiguous(memory_format=layout_of(first))
        step = self.moduleMain(self.moduleUpcorr(cost)).float()  # B 49 h w -> B 2 h w
        return step if flow is None else flow + step


class Subpixel(nn.Module):
    """NetE, sub-pixel refinement: corrects the flow from the features that it aligns."""

    def __init__(self, level: int, half_pixel_warp: bool):
        super().__init__()
        self.level, self.half_pixel_warp = level, half_pixel_warp
        self.moduleFeat = _stack(_conv(32, 64, 1)) if level == 2 else nn.Identity()
        self.moduleMain = _flow_head(2 * max(CHANNELS[level], 64) + 2, level)

    def forward(self, first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
        first, second = self.moduleFeat(first), self.moduleFeat(second)
        second = _warp(second, flow, self.level, self.half_pixel_warp)
        return flow + self.moduleMain(join(first, second, flow, like=first))


class Regularization(nn.Module):
    """NetE, flow regularisation: a local average of the flow whose weights follow image and error."""

    def __init__(self, level: int, half_pixel_warp: bool):
        super().__init__()
        self.level, self.kernel, self.half_pixel_warp = level, KERNEL[level], half_pixel_warp
        taps = self.kernel**2
        self.moduleFeat = _stack(_conv(CHANNELS[level], 128, 1)) if level < 5 else nn.Identity()
        self.moduleMain = _stack(
            _conv(3 + max(CHANNELS[level], 128), 128, 3),
            _conv(128, 128, 3),
            _conv(128, 64, 3),
            _conv(64, 64, 3),
            _conv(64, 32, 3),
            _conv(32, 32, 3),
        )
        reach = self.kernel // 2
        if level < 5:
            self.moduleDist = nn.Sequential(
                nn.Conv2d(32, taps, (self.kernel, 1), padding=(reach, 0)),
                nn.Conv2d(taps, taps, (1, self.kernel), padding=(0, reach)),
            )
        else:
            self.moduleDist = nn.Sequential(_conv(32, taps, self.kernel))
        self.moduleScaleX = nn.Conv2d(taps, 1, 1)
        self.moduleScaleY = nn.Conv2d(taps, 1, 1)

    def forward(self, first_image: Tensor, second_image: Tensor, first: Tensor, flow: Tensor) -> Tensor:
        with torch.no_grad():
            error = first_image - _warp(second_image, flow, self.level, self.half_pixel_warp)
            error = error.square().sum(1, keepdim=True).sqrt()  # B 1 h w
        centred = flow - flow.mean((2, 3), keepdim=True)
        first = self.moduleFeat(first)
        x = self.moduleMain(join(torch.cat((error, centred), 1), first, like=first))  # B 32 h w
        distance = self.moduleDist(x).float().square()  # B k*k h w
        with torch.autocast(flow.device.type, enabled=False):
            weight = (distance.amin(1, keepdim=True) - distance).exp()
            total = weight.sum(1, keepdim=True)
            weight = weight.permute(0, 2, 3, 1).unflatten(3, (self.kernel, self.kernel))
            windows = _windows(flow, self.kernel)
            parts = []
            for window, scale in zip(windows.unbind(1), (self.moduleScaleX, self.moduleScaleY), strict=True):
                weighted = (weight * window).flatten(3).permute(0, 3, 1, 2)  # B k*k h w
                parts.append(scale(weighted) / total)  # B 1 h w
        return torch.cat(parts, 1)  # B 2 h w


def _windows(flow: Tensor, size: int) -> Tensor:
    """The size x size pixels around every pixel of a flow, with zeros outside: (B, 2, h, w, size, size)."""
    padded = F.pad(flow, [size // 2] * 4)
    if exporting():  # no exporter knows unfold behind a pad
        shifts = [slice(k, k + 1 - size or None) for k in range(size)]
        return torch.stack([torch.stack([padded[:, :, y, x] for x in shifts], 4) for y in shifts], 4)
    return padded.unfold(2, size, 1).unfold(3, size, 1)  # views, without a copy


class LiteFlowNet(nn.Module):
    """Optical flow from the first image to the second (5,381,969 parameters).

    `memory_format` may force the layout of the activations in memory; None is the fastest.

    Args:
        half_pixel_warp: warp as the copy that made IFRNet's labels: its grid of pixel centres does not fit the scale of
            its flow, so a flow f reads at p + f W/(W - 1), and likewise in y. False reads at p + f.
    """

    memory_format: torch.memory_format | None = None

    def __init__(self, half_pixel_warp: bool = False):
        super().__init__()
        self.moduleFeatures = Features()
        self.moduleMatching = nn.ModuleList(Matching(level, half_pixel_warp) for level in LEVELS)
        self.moduleSubpixel = nn.ModuleList(Subpixel(level, half_pixel_warp) for level in LEVELS)
        self.moduleRegularization = nn.ModuleList(Regularization(level, half_pixel_warp) for level in LEVELS)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Estimate the flow that, warping `second` backward, gives `first`.

        Args:
            first: (B, 3, H, W) RGB in [0, 1]; H and W are multiples of 32.
            second: the same shape.

        Returns:
            (B, 2, H/2, W/2) float32 at half size, in pixels of the full size; channel 0 is x, channel 1 is y.

        Raises:
            ValueError: the images differ in shape or their size is not a multiple of 32.
        """
        height, width = first.shape[-2:]
        if first.shape != second.shape or height % 32 or width % 32 or not height or not width:
            raise ValueError(
                f"images {tuple(first.shape)} and {tuple(second.shape)}: expected one shape (B, 3, H, W), "
                "H and W multiples of 32; pad or crop them"
            )
        batch = first.shape[0]
        images = torch.cat((first, second))  # both images share one pass: 2B 3 H W
        images = images.contiguous(memory_format=self.memory_format or fastest_layout(self))
        features = self.moduleFeatures(images)
        pyramid = {}
        for level in LEVELS:
            images = F.interpolate(images, features[level].shape[-2:], mode="bilinear", align_corners=False)
            pyramid[level] = images  # 2B 3 h w

        flow = None
        for level in reversed(LEVELS):
            index = level - 2
            feature_1, feature_2 = features[level][:batch], features[level][batch:]
            flow = self.moduleMatching[index](feature_1, feature_2, flow)
            flow = self.moduleSubpixel[index](feature_1, feature_2, flow)
            flow = self.moduleRegularization[index](pyramid[level][:batch], pyramid[level][batch:], feature_1, flow)
        return FLOW_UNIT * flow


@torch.no_grad()
def estimate_flow(network: LiteFlowNet, first: Tensor, second: Tensor, *, channels: str = "rgb") -> Tensor:
    """Estimate the flow between images of any size with the converted original weights, as IFRNet's labels were made.

    Args:
        network: a LiteFlowNet; with `half_pixel_warp` for those labels.
        first: (B, 3, H, W) RGB in [0, 1].
        second: the same shape.
        channels: the order that the network gets. "rgb" made the labels of IFRNet's published models; "bgr" is what the
            weights were trained with.

    Returns:
        (B, 2, H, W) flow from `first` to `second` in pixels; channel 0 is x, channel 1 is y. Without gradient.

    Raises:
        ValueError: the images differ in shape, or `channels` is something else.
    """
    if channels not in ("rgb", "bgr"):
        raise ValueError(f"channels {channels!r}: expected 'rgb' or 'bgr'")
    if first.shape != second.shape:
        raise ValueError(f"images {tuple(first.shape)} and {tuple(second.shape)}: expected one shape (B, 3, H, W)")
    height, width = first.shape[-2:]
    inner_height, inner_width = (-(-size // 32) * 32 for size in (height, width))
    images = []
    for image, mean in zip((first, second), MEANS, strict=True):
        if channels == "bgr":
            image = image.flip(1)
        image = F.interpolate(image, (inner_height, inner_width), mode="bilinear", align_corners=False)  # B 3 h w
        images.append(image - image.new_tensor(mean).view(3, 1, 1))
    flow = F.interpolate(network(*images), (height, width), mode="bilinear", align_corners=False)  # B 2 H W
    return _scale(flow, width / inner_width, height / inner_height)
