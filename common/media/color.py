"""RGB, BT.601 studio-range YCbCr, and grey values. Numpy, HxWx3, RGB order."""

import numpy as np

# Rows Y, Cb, Cr for R, G, B in [0, 1] (ITU-R BT.601, studio range: Y in 16..235, Cb and Cr in 16..240).
YCBCR_MATRIX = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])

GREY_BT601 = (0.299, 0.587, 0.114)  # full-range grey of MATLAB scripts and of the Köhler protocol


def rgb_to_y(image: np.ndarray, *, rounded: bool = False) -> np.ndarray:
    """Y of BT.601 in studio range, the channel that video super-resolution papers score.

    This is not the full-range Y of JPEG (PIL "YCbCr", OpenCV YCrCb), on which PSNR is 1.32 dB lower.

    Args:
        image: HxWx3 RGB, uint8 or float in [0, 1].
        rounded: round to uint8, as MATLAB's `rgb2ycbcr` does on a uint8 image.

    Returns:
        HxW in 16..235 (for RGB in range): float64, or uint8 if `rounded`.

    Raises:
        ValueError: not an HxWx3 image.
    """
    luma = _unit(image) @ YCBCR_MATRIX[0] + YCBCR_OFFSET[0]
    return _round(luma) if rounded else luma


def rgb_to_ycbcr(image: np.ndarray, *, rounded: bool = False) -> np.ndarray:
    """BT.601 studio-range Y, Cb, Cr.

    Args:
        image: HxWx3 RGB, uint8 or float in [0, 1].
        rounded: round to uint8.

    Returns:
        HxWx3 in 16..240 (for RGB in range): float64, or uint8 if `rounded`.

    Raises:
        ValueError: not an HxWx3 image.
    """
    ycbcr = _unit(image) @ YCBCR_MATRIX.T + YCBCR_OFFSET
    return _round(ycbcr) if rounded else ycbcr


def ycbcr_to_rgb(ycbcr: np.ndarray, *, rounded: bool = False) -> np.ndarray:
    """Inverse of `rgb_to_ycbcr`.

    Args:
        ycbcr: HxWx3 Y, Cb, Cr in 0..255, uint8 or float.
        rounded: clip and round to uint8. Many YCbCr triples lie outside RGB; casting those without the clip wraps
            bright pixels to dark ones, as mmcv and BasicSR do.

    Returns:
        HxWx3 RGB: float64 in units of [0, 1] and not clipped, or uint8 if `rounded`.

    Raises:
        ValueError: not an HxWx3 image.
    """
    _check(ycbcr)
    rgb = (ycbcr - YCBCR_OFFSET) @ np.linalg.inv(YCBCR_MATRIX).T
    return _round(rgb * 255) if rounded else rgb


def luma(image: np.ndarray, weights: tuple[float, float, float] = GREY_BT601) -> np.ndarray:
    """Weighted sum of R, G and B as float64 HxW, in the unit of `image`, not rounded.

    Args:
        image: HxWx3 RGB of any type.
        weights: one weight a channel.

    Raises:
        ValueError: not an HxWx3 image.
    """
    _check(image)
    return image.astype(np.float64) @ np.asarray(weights, np.float64)


def _unit(image: np.ndarray) -> np.ndarray:
    _check(image)
    return image / 255 if image.dtype == np.uint8 else image.astype(np.float64)


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a colour image must be HxWx3, got shape {image.shape}: repeat a grey image three times")


def _round(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
