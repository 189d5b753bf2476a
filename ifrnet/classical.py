"""Frames between two by OpenCV's DIS flow, behind the interface of the network: what the network has to beat."""

import numpy as np
import torch
from torch import Tensor, nn

from common.media.classical_flow import interpolate
from common.media.image import to_uint8


class Classical(nn.Module):
    """`common.media.classical_flow.interpolate` for what takes an `IFRNet`; it has no weights and ignores scales."""

    ignores_time = False
    deep = False  # OpenCV's flow and pictures have 8 bits

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor, scale_factor: float = 1.0) -> dict[str, Tensor]:
        """`pred` (N, 3, H, W) in [0, 1] of pairs (B, 3, H, W), as `IFRNet.forward`."""
        return self.decode(self.encode(img0, img1, scale_factor), t, scale_factor)

    def encode(self, img0: Tensor, img1: Tensor, scale_factor: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
        """The pairs as pictures, HxWx3 uint8."""
        levels = [to_uint8(images.permute(0, 2, 3, 1).cpu().numpy()) for images in (img0, img1)]
        return list(zip(*levels, strict=True))

    def decode(self, pairs: list[tuple[np.ndarray, np.ndarray]], t: Tensor, scale_factor: float = 1.0) -> dict:
        """The frames of the pairs at their times; a pair's times come in a row."""
        times = t.view(len(pairs), -1).tolist()
        frames = [interpolate(*pair, time) for pair, own in zip(pairs, times, strict=True) for time in own]
        return {"pred": torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).to(t.device) / 255}
