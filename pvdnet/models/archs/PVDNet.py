"""The deblurring network of PVDNet.

Paper: Son et al., *Recurrent Video Deblurring with Blur-Invariant Motion Estimation and Pixel Volumes*, TOG 2021,
section 4 and figure 3. Layers, sizes and keys follow the published code (5,132,579 parameters).

Where paper and published code differ or the paper is silent, we follow the code:
  1. The frames enter as current, previous, next, although the arguments come as previous, current, next.
  2. `d0`, the last convolution of `d1`, and a block's sum have no activation after them.
  3. The result is the current frame plus a residual, with no clamping.

Letters: B batch, K pixel volume channels, H W pixels (multiples of 4).
"""

import torch
from torch import Tensor, nn

from common.ops.memory_format import fastest_layout


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def _block(width: int) -> nn.Sequential:
    return nn.Sequential(_conv(width, width, 3), _relu(), _conv(width, width, 3), _relu())


def _up(width: int) -> nn.Sequential:
    return nn.Sequential(_relu(), _conv(width, width, 5), _relu())


class Network(nn.Module):
    """Deblur one frame from its pixel volume and its two blurry neighbours.

    Args:
        PV_channels: K, channels of the pixel volume (ksize^2).
        width: channels at full and half size (half of it for the frames' branch).
        deep_width: channels at quarter size.
        num_blocks: residual blocks at quarter size.

    `memory_format` may force the layout of the activations in memory; None is the fastest.
    """

    memory_format: torch.memory_format | None = None

    def __init__(self, PV_channels: int, width: int = 64, deep_width: int = 128, num_blocks: int = 12):
        super().__init__()
        half = width // 2
        self.PV_dec = nn.Sequential(_conv(PV_channels, width, 3), _relu(), _conv(width, width, 3), _relu())
        self.img_dec = nn.Sequential(_conv(9, half, 3), _relu(), _conv(half, half, 3), _relu())
        self.d0 = _conv(width + half, width, 5)
        self.d1 = nn.Sequential(_conv(width, width, 5, stride=2), _relu(), _conv(width, width, 5))
        self.temp = nn.Sequential(
            _conv(width, 2 * width, 5, stride=2), _relu(), _conv(2 * width, deep_width, 5), _relu()
        )
        self.RBs = nn.ModuleList(_block(deep_width) for _ in range(num_blocks))
        self.RB_end = nn.Sequential(_conv(deep_width, deep_width, 3), _relu())
        self.dconv1 = nn.ConvTranspose2d(deep_width, width, 4, 2, 1)
        self.dconv1_end = _up(width)
        self.dconv2 = nn.ConvTranspose2d(width, width, 4, 2, 1)
        self.dconv2_end = _up(width)
        self.end = _conv(width, 3, 5)

    def forward(self, PV: Tensor, I_prev: Tensor, I_curr: Tensor, I_next: Tensor) -> Tensor:
        """Deblur.

        Args:
            PV: (B, K, H, W) pixel volume.
            I_prev: (B, 3, H, W) previous blurry frame, RGB in [-1, 1]; H and W are multiples of 4.
            I_curr: the blurry frame to deblur.
            I_next: the next blurry frame.

        Returns:
            (B, 3, H, W) deblurred frame, about [-1, 1], not clamped.
        """
        layout = self.memory_format or fastest_layout(self)
        frames = torch.cat((I_curr, I_prev, I_next), 1).contiguous(memory_format=layout)  # B 9 H W
        PV = PV.contiguous(memory_format=layout)
        d0 = self.d0(torch.cat((self.PV_dec(PV), self.img_dec(frames)), 1))  # B 64 H W
        d1 = self.d1(d0)  # B 64 H/2 W/2
        temp = self.temp(d1)  # B 128 H/4 W/4
        n = temp
        for block in self.RBs:
            n = n + block(n)
        n = self.RB_end(n) + temp
        n = self.dconv1_end(self.dconv1(n).add_(d1))  # B 64 H/2 W/2
        n = self.dconv2_end(self.dconv2(n).add_(d0))  # B 64 H W
        return I_curr + self.end(n)  # B 3 H W
