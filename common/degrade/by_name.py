"""Degradations by name, deterministic by seed: of Vimeo-90K's benchmarks (Xue et al., IJCV 2019, section 5), and ours.

Frames are HxWx3 RGB uint8.

| name | what happens to a frame |
|---|---|
| gaussian | N(0, 25.5) is added to every value, rounded, clipped |
| gaussian_15, 25, 50 | likewise, with that spread in levels; not in the paper |
| mixed | gaussian, then 10 % of the pixels get a random colour |
| salt_pepper | only these pixels; "salt and pepper" is the paper's name for them |
| pytoflow_mixed | mixed, but noise below 0 is cut to 0, as pytoflow's is: images get brighter by 10 levels |
| noise_blind | one spread of 5 to 50 for all frames; with chance 1/4 also mixed's random colours; to train with |
| j2k_q20, 40, 60 | FFmpeg 8's JPEG 2000 at -q 20, 40, 60: the larger, the worse; that of 7 and before is worse |
| jpeg_q20, 40, 60 | JPEG 4:2:0 at that quality: the larger, the better; not in the paper |
| h264_crf30 | H.264 at -crf 30, preset veryfast, over all frames as one clip; not in the paper |
| compression_blind | JPEG of quality 8 to 60, or H.264 of crf 23 to 40, one for all frames; to train with |
| bicubic_x4 | MATLAB's imresize by 1/4, then by 4, rounded once at the end |
| bi_x4 | likewise, but the small frame is rounded, too, as the files of Vid4 are; not for Vimeo-90K |
"""

import zlib
from collections.abc import Sequence

import numpy as np

from common.degrade.codecs import h264, jpeg, jpeg2000
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import add_noise, draw_noise
from common.media.image import to_uint8

VERSION = 1  # raise it whenever the same name and seed give other pixels
NOISE = (
    "gaussian", "mixed", "salt_pepper", "pytoflow_mixed", "gaussian_15", "gaussian_25", "gaussian_50", "noise_blind",
)  # fmt: skip
COMPRESSION = (
    "j2k_q20", "j2k_q40", "j2k_q60", "jpeg_q20", "jpeg_q40", "jpeg_q60", "h264_crf30", "compression_blind",
)  # fmt: skip
DEGRADATIONS = (*NOISE, *COMPRESSION, "bicubic_x4")
DRAWN = (*NOISE, "compression_blind")  # those that draw random numbers
CLIPWISE = ("noise_blind", "h264_crf30", "compression_blind")  # those that do something to several frames together
SIGMA = 25.5  # of gaussian and what is made from it
BLIND_SIGMA, BLIND_MIXED = (5, 50), 0.25  # of noise_blind
BLIND_JPEG, BLIND_CRF = (8, 60), (23, 40)  # of compression_blind


def clip_rng(seed: int, clip: str) -> np.random.Generator:
    """The random numbers of one clip: they depend on the seed and on the clip's name alone."""
    return np.random.default_rng((seed, zlib.crc32(clip.encode())))


def degrade(frames: Sequence[np.ndarray], name: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Degrade consecutive frames, one after the other, or, by a name of `CLIPWISE`, together.

    Args:
        frames: HxWx3 RGB uint8; for H.264 of one size.
        name: one of the names above.
        rng: where noise is drawn from, frame by frame; the same state gives every kind of noise the same Gaussian
            field and the same impulses. The other degradations leave it alone.

    Returns:
        As many frames of the same sizes, HxWx3 uint8.

    Raises:
        ValueError: unknown name, or frames of another type.
    """
    known = (*DEGRADATIONS, "bi_x4")
    if name not in known:
        raise ValueError(f"unknown degradation {name!r}: expected one of {', '.join(known)}")
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"cannot degrade {frame.dtype} {frame.shape}: expected HxWx3 uint8, see to_uint8")
    if name in NOISE:
        sigma, kind = SIGMA, name
        if name == "noise_blind":
            sigma, kind = rng.uniform(*BLIND_SIGMA), "mixed" if rng.random() < BLIND_MIXED else "gaussian"
        elif name.startswith("gaussian_"):
            sigma, kind = float(name.removeprefix("gaussian_")), "gaussian"
        return [_noisy(frame, kind, sigma, rng) for frame in frames]
    if name in ("bicubic_x4", "bi_x4"):
        return [_bicubic_x4(frame, rounded=name == "bi_x4") for frame in frames]
    if name == "compression_blind":
        still = rng.random() < 0.5
        quality = rng.integers(*(BLIND_JPEG if still else BLIND_CRF), endpoint=True)
        name = f"jpeg_q{quality}" if still else f"h264_crf{quality}"
    if name.startswith("h264_crf"):
        return h264(frames, int(name.removeprefix("h264_crf")))
    codec, quality = name.split("_q")
    return [(jpeg2000 if codec == "j2k" else jpeg)(frame, int(quality)) for frame in frames]


def _noisy(frame: np.ndarray, name: str, sigma: float, rng: np.random.Generator) -> np.ndarray:
    gauss, colour, mask = draw_noise(frame.shape, rng, sigma=sigma)
    if name == "gaussian":
        return add_noise(frame, gauss=gauss)
    if name == "salt_pepper":
        gauss = np.zeros(frame.shape)
    elif name == "pytoflow_mixed":
        gauss = np.maximum(gauss, 0)
    return add_noise(frame, gauss=gauss, colour=colour, mask=mask)


def _bicubic_x4(frame: np.ndarray, rounded: bool) -> np.ndarray:
    """Sides need not be multiples of 4: the small image then reaches beyond the frame, and what is made of it is cut.

    Resizing to the frame's own size instead would shift what is near the right and bottom by up to a pixel.
    """
    height, width, _ = frame.shape
    small = imresize(frame if rounded else frame / 255, scale=1 / 4)
    enlarged = imresize(small, scale=4)[:height, :width]
    return enlarged if rounded else to_uint8(enlarged)
