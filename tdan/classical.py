"""What to beat: enlargements of single frames, without a network."""

import cv2
import numpy as np

from common.degrade.matlab_imresize import imresize

METHODS = ("bicubic", "lanczos")  # of --baseline


def enlarge(low: np.ndarray, scale: int, method: str = "bicubic") -> np.ndarray:
    """A frame `scale` times as large, in 8 bits.

    Args:
        low: hxwx3 uint8.
        scale: 2 or 4.
        method: "bicubic", MATLAB's; or "lanczos", with four lobes, OpenCV's. Neither shifts a pixel.

    Returns:
        HxWx3 uint8.
    """
    if method == "lanczos":
        return cv2.resize(low, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)
    return imresize(low, scale=scale)
