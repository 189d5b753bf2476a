"""A picture made of random numbers that are the same everywhere, and what is computed of pictures."""

import cv2
import numpy as np

from common.degrade.matlab_imresize import imresize


def psnr(first, second):
    """Of levels, in dB; 138 for two that are equal."""
    return 10 * np.log10(255**2 / max(np.mean((first.astype(float) - second) ** 2), 1e-9))


def picture(height=96, width=128, seed=0):
    """Smooth colours with an edge and some grain."""
    rng = np.random.default_rng(seed)
    values = imresize(rng.random((6, 8, 3)), size=(height, width)) + 0.04 * rng.standard_normal((height, width, 3))
    values[:, width // 2 :] *= 0.5
    return np.clip(255 * values, 0, 255).astype(np.uint8)


def read_at(image, flow):
    """An image of any type and channels, read where a flow (H, W, 2) points to."""
    rows, columns = np.indices(flow.shape[:2]).astype(np.float32)
    return cv2.remap(
        image, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
