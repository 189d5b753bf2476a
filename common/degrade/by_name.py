"""The degradations of the Vimeo-90K benchmarks by name (Xue et al., IJCV 2019, section 5), deterministic by seed.

Frames are HxWx3 RGB uint8.

| name | what happens to a frame |
|---|---|
| gaussian | N(0, 25.5) is added to every value, rounded, clipped |
| mixed | gaussian, then 10 % of the pixels get a random colour |
| salt_pepper | only these pixels; "salt and pepper" is the paper's name for them |
| pytoflow_mixed | mixed, but noise below 0 is cut to 0, as pytoflow's is: images get brighter by 10 levels |
| j2k_q20, 40, 60 | FFmpeg 8's JPEG 2000 at -q 20, 40, 60: the larger, the worse; that of 7 and before is worse |
| jpeg_q20, 40, 60 | JPEG 4:2:0 at that quality: the larger, the better; not in the paper |
| bicubic_x4 | MATLAB's imresize by 1/4, then by 4, rounded once at the end |
| bi_x4 | likewise, but the small frame is rounded, too, as the files of Vid4 are; not for Vimeo-90K |
"""

import zlib
from collections.abc import Sequence

import numpy as np

from common.degrade.codecs import jpeg, jpeg2000
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import add_noise, draw_noise
from common.media.image import to_uint8

VERSION = 1  # raise it whenever the same name and seed give other pixels
NOISE = ("gaussian", "mixed", "salt_pepper", "pytoflow_mixed")  # those that draw random numbers
# Of Vimeo-90K.
DEGRADATIONS = (*NOISE, "j2k_q20", "j2k_q40", "j2k_q60", "jpeg_q20", "jpeg_q40", "jpeg_q60", "bicubic_x4")


def clip_rng(seed: int, clip: str) -> np.random.Generator:
    """The random numbers of one clip: they depend on the seed and on the clip's name alone."""
    return np.random.default_rng((seed, zlib.crc32(clip.encode())))


def degrade(frames: Sequence[np.ndarray], name: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Degrade frames, one after the other.

    Args:
        frames: HxWx3 RGB uint8, of any sizes.
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
        return [_noisy(frame, name, rng) for frame in frames]
    if name in ("bicubic_x4", "bi_x4"):
        return [_bicubic_x4(frame, rounded=name == "bi_x4") for frame in frames]
    codec, quality = name.split("_q")
    return [(jpeg2000 if codec == "j2k" else jpeg)(frame, int(quality)) for frame in frames]


def _noisy(frame: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    gauss, colour, mask = draw_noise(frame.shape, rng)
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
