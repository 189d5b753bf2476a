"""How the published test sets were degraded: BI and BD downsampling, Vimeo-90K noise, GoPro blur.

All images are numpy, HxW or HxWxC, RGB, uint8 or float in [0, 1].
"""

from collections.abc import Sequence

import cv2
import numpy as np

from common.degrade.matlab_imresize import imresize
from common.media.image import crop_to_multiple

# BD by name: border of the blur, first pixel that is kept.
_BD = {
    "bd": (cv2.BORDER_REPLICATE, 1),
    "duf": (cv2.BORDER_REFLECT_101, 0),
    "sof": (cv2.BORDER_REFLECT, 0),
}


def downsample_bi(image: np.ndarray, *, scale: int = 4, rounding: str = "once") -> np.ndarray:
    """BI: MATLAB bicubic downsampling of an image cut (from the top left) to a multiple of `scale`.

    Args:
        image: HxWxC, uint8 or float in [0, 1].
        scale: integer factor.
        rounding: habit for uint8 images, see `imresize`.

    Returns:
        H/scale x W/scale x C in the type of `image`.

    Raises:
        ValueError: the image is smaller than `scale`.
    """
    return imresize(crop_to_multiple(image, scale), scale=1 / scale, rounding=rounding)


def downsample_bd(image: np.ndarray, *, kind: str = "bd", scale: int = 4) -> np.ndarray:
    """BD: Gaussian blur, then every `scale`-th pixel.

    Networks break (20 dB instead of 28) on frames made with another kind than they were trained for: "duf" and "sof"
    keep the top-left pixel of each block and so are shifted by 1.5 pixels against BI and against "bd".

    Args:
        image: HxWxC, uint8 or float in [0, 1]; cut (from the top left) to a multiple of `scale`.
        kind: "bd" (TDAN, RDN, BasicVSR, mmagic: 12 taps, sigma 1.6, replicated border, block centres; x4 only),
            "duf" (VSR-DUF: sigma 0.4 scale cut at 4 sigma, which is 13 taps at x4, mirrored border; x2, x3, x4), or
            "sof" (SOF-VSR: 13 taps, sigma 1.6, mirrored border with the edge repeated; x4 only).
        scale: integer factor.

    Returns:
        H/scale x W/scale x C: uint8 (rounded half up) for uint8, else float of the type of `image`.

    Raises:
        ValueError: unknown kind, or a scale that the kind is not defined for.
    """
    if kind not in _BD:
        raise ValueError(f"unknown BD kind {kind!r}: expected one of {', '.join(_BD)}")
    if scale not in ((2, 3, 4) if kind == "duf" else (4,)):
        raise ValueError(f"BD kind {kind!r} is not defined for scale {scale}: use scale 4 ('duf' also knows 2 and 3)")
    border, first = _BD[kind]
    sigma = 0.4 * scale
    taps = 12 if kind == "bd" else 2 * int(4 * sigma + 0.5) + 1
    tap = gaussian_taps(taps, sigma)
    source = crop_to_multiple(image, scale).astype(np.float64)
    anchor = ((taps - 1) // 2,) * 2  # of an even kernel the left of the two middle taps
    blurred = cv2.sepFilter2D(source, cv2.CV_64F, tap, tap, anchor=anchor, borderType=border)
    small = blurred.reshape(source.shape)[first::scale, first::scale]
    return _like(small, image)


def gaussian_taps(taps: int, sigma: float) -> np.ndarray:
    """Sampled Gaussian of `taps` values (even or odd), centred, sum 1; the 2-D kernel is its outer product."""
    x = np.arange(taps) - (taps - 1) / 2
    values = np.exp(-(x**2) / (2 * sigma**2))
    return values / values.sum()


def draw_noise(shape: tuple[int, int, int], rng: np.random.Generator, *, sigma: float = 25.5):
    """The three random fields of `add_noise`: N(0, sigma) HxWxC, colours U(0, 1) HxWxC, mask U(0, 1) HxW."""
    return rng.normal(0, sigma, shape), rng.random(shape), rng.random(shape[:2])


def add_noise(
    image: np.ndarray,
    *,
    gauss: np.ndarray,
    colour: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    replaced: float = 0.1,
) -> np.ndarray:
    """Noise of the Vimeo-90K denoising set (TOFlow, IJCV 2019, section 5): Gaussian, or mixed with random colours.

    `add_noise(image, **dict(zip(("gauss", "colour", "mask"), draw_noise(image.shape, rng))))` is the mixed noise;
    without `colour` and `mask` it is Gaussian only.

    Args:
        image: HxWxC uint8.
        gauss: HxWxC noise in levels; rounded to whole levels, as MATLAB's integer arithmetic does.
        colour: HxWxC in [0, 1], the colours that replace pixels.
        mask: HxW in [0, 1]; a pixel is replaced in all channels where it is at most `replaced`.
        replaced: the share of pixels replaced.

    Returns:
        HxWxC uint8.

    Raises:
        ValueError: the image is not uint8, or only one of `colour` and `mask` is given.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"add_noise works on uint8 levels, got {image.dtype}: convert with to_uint8 first")
    if (colour is None) != (mask is None):
        raise ValueError("mixed noise needs both colour and mask; give neither for Gaussian noise")
    levels = np.copysign(np.floor(np.abs(gauss) + 0.5), gauss)  # halves away from zero
    noisy = np.clip(image + levels, 0, 255).astype(np.uint8)
    if mask is not None:
        hit = mask <= replaced
        noisy[hit] = np.floor(255 * colour[hit] + 0.5).astype(np.uint8)
    return noisy


def average_blur(frames: Sequence[np.ndarray], *, gamma: float | None = None) -> np.ndarray:
    """Blur of the GoPro set (Nah et al. 2017): the mean of consecutive sharp frames of a 240 fps video.

    The sharp counterpart is the middle frame, `frames[len(frames) // 2]`. The published files lie within one level.

    Args:
        frames: T images HxWxC, uint8 or float in [0, 1].
        gamma: None averages the values (folder `blur`); 2.2 averages light, mean(x^2.2)^(1/2.2) (`blur_gamma`).

    Returns:
        HxWxC: uint8 (rounded half up) for uint8, else float of the type of the frames.

    Raises:
        ValueError: no frames.
    """
    if len(frames) == 0:
        raise ValueError("average_blur needs at least one frame")
    if gamma is None:
        return _like(np.mean(frames, axis=0, dtype=np.float64), frames[0])
    top = 255 if frames[0].dtype == np.uint8 else 1
    light = np.mean([(frame / top).astype(np.float64) ** gamma for frame in frames], axis=0)
    return _like(light ** (1 / gamma) * top, frames[0])


def _like(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return values.astype(image.dtype)
