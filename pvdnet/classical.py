"""Deblurring without weights: filters of one frame, as baselines. Their settings are fixed, none is set by a clip.

Both take the blur for a Gaussian, as its direction and length are unknown and change within a frame.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

UNSHARP = (1.0, 0.15)  # standard deviation in pixels, amount
WIENER = (0.7, 0.3)  # standard deviation in pixels, power of noise against that of the picture
BORDER = 32  # pixels, mirrored around a frame, so that its opposite sides do not touch


def unsharp(frame: np.ndarray) -> np.ndarray:
    """HxWx3 float32 in [0, 1] with its difference to a smoothed copy added; not clamped."""
    sigma, amount = UNSHARP
    return frame + np.float32(amount) * (frame - cv2.GaussianBlur(frame, (0, 0), sigma))


def wiener(frame: np.ndarray) -> np.ndarray:
    """HxWx3 float32 in [0, 1], divided by the spectrum of the blur where that is above the noise; not clamped."""
    sigma, noise = WIENER
    wide = cv2.copyMakeBorder(frame, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REFLECT_101)
    height, width = wide.shape[:2]
    squares = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2
    blur = np.exp(-2 * np.pi**2 * sigma**2 * squares)[..., None]
    gain = blur * (1 + noise) / (blur**2 + noise)  # 1 where nothing changes, so that the brightness stays
    sharp = np.fft.irfft2(np.fft.rfft2(wide, axes=(0, 1)) * gain, (height, width), axes=(0, 1))
    return sharp[BORDER:-BORDER, BORDER:-BORDER].astype(np.float32)


class Filter:
    """Stands where a network does, and looks at the current frame alone."""

    def __init__(self, change):
        self.change = change

    def __call__(self, I_prev: Tensor, I_curr: Tensor, I_next: Tensor, I_prev_deblurred: Tensor) -> dict[str, Tensor]:
        """`result` (1, 3, H, W), about [0, 1], of `I_curr`, as `DeblurNet` gives it."""
        changed = self.change(np.ascontiguousarray(I_curr[0].permute(1, 2, 0).cpu().numpy()))
        return {"result": torch.from_numpy(changed).permute(2, 0, 1)[None].to(I_curr.device)}


FILTERS = {"unsharp": Filter(unsharp), "wiener": Filter(wiener)}
