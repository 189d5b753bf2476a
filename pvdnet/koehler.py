"""Scores of the paper's tables: PSNR and SSIM after the alignment of Köhler et al. (ECCV 2012)."""

import numpy as np
from scipy import fft

from common.media.color import luma
from common.scoring.metrics import psnr, ssim

BORDER = 16  # pixels cut on every side before anything else


def koehler_scores(truth: np.ndarray, result: np.ndarray) -> tuple[float, float, tuple[int, int]]:
    """Score one frame of a video.

    The border is cut, the result is scaled in intensity and shifted by whole pixels onto the truth, and both are
    compared as luminance, not rounded. What the shift brings in is black in both images. Portrait frames need no
    turning: every step is symmetric in rows and columns.

    Args:
        truth: HxWx3 uint8 RGB.
        result: HxWx3 uint8 RGB, as saved.

    Returns:
        PSNR in dB (peak 255), SSIM (11x11 Gaussian, valid region), and the (rows, columns) the result was shifted by.

    Raises:
        ValueError: different shapes, not uint8 RGB, or nothing left to score inside the border.
    """
    if truth.shape != result.shape or truth.ndim != 3 or truth.shape[2] != 3:
        raise ValueError(f"expected two HxWx3 images of one size, got {truth.shape} and {result.shape}")
    if truth.dtype != np.uint8 or result.dtype != np.uint8:
        raise ValueError(f"the paper's protocol scores saved 8-bit frames, got {truth.dtype} and {result.dtype}")
    smallest = 2 * BORDER + 11
    if min(truth.shape[:2]) < smallest:
        raise ValueError(
            f"{truth.shape[1]}x{truth.shape[0]} pixels are too few for the paper's protocol, which cuts {BORDER} on "
            f"every side: expected at least {smallest}x{smallest}; use --protocol pvdnet_code"
        )
    x = truth[BORDER:-BORDER, BORDER:-BORDER].astype(np.float64)
    z = result[BORDER:-BORDER, BORDER:-BORDER].astype(np.float64)
    power = np.vdot(z, z)
    if power:  # a black result stays black
        z *= np.vdot(x, z) / power
    shift = find_shift(x.mean(2), z.mean(2))
    x, z = luma(x), shift_image(luma(z), shift)
    x *= shift_image(np.ones_like(x), shift)
    return psnr(x, z, peak=255), ssim(x, z, kind="wang", peak=255), shift


def find_shift(fixed: np.ndarray, moving: np.ndarray) -> tuple[int, int]:
    """Whole-pixel (rows, columns) by which `moving` must be shifted to fit `fixed`.

    The peak of the circular cross-correlation; both images HxW, not negative.
    """
    spectrum = fft.rfft2(fixed) * fft.rfft2(moving).conj()
    correlation = fft.irfft2(spectrum, s=fixed.shape)
    peak = np.unravel_index(np.argmax(correlation), fixed.shape)
    # Circular positions beyond the middle are shifts up or to the left.
    return tuple(int((at + size // 2) % size - size // 2) for at, size in zip(peak, fixed.shape, strict=True))


def shift_image(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """HxW image moved by (rows down, columns right), zeros where nothing comes in."""
    height, width = image.shape
    dy, dx = shift
    shifted = np.zeros_like(image)
    shifted[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = image[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return shifted
