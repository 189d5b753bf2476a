"""Frames of more than 8 bits: between FFmpeg's pixel formats and RGB levels of 16 bits, in which they travel.

The matrices are computed here: swscale's own conversion to RGB of 16 bits takes 65280, not 65535, for white, so that it
is wrong by up to four levels of ten bits. It only halves and doubles chroma. Planes of RGB are not given to it either:
from those with alpha to those without, and back, it copies half of every row.
"""

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from common.media.containers import FILTER

MOST = 65535  # the level of white
DEPTHS = (9, 10, 12, 14, 16)  # bits that FFmpeg has planar formats of
# Shares of red and of blue in luma, by codes of ITU-T H.273.
LUMA = {
    1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593),
}  # fmt: skip


def bits(form: av.VideoFormat) -> int:
    """Bits of a channel."""
    return max(component.bits for component in form.components)


def to_rgb(frame: av.VideoFrame, matrix: int, converter: VideoReformatter) -> np.ndarray:
    """HxWx3 uint16 RGB, in 0 to 65535, of a frame of any format; alpha is dropped.

    Args:
        frame: its range is the one it tells, limited where it tells none.
        matrix: code of its matrix, one of `LUMA`.
        converter: of frames like this one.
    """
    depth = bits(frame.format)
    depth = depth if depth in DEPTHS else 16
    name = frame.format.name
    if name.startswith(("gray", "ya")):
        grey = _plane(converter.reformat(frame, format=f"gray{depth}le").planes[0])
        return np.repeat(_widened(grey, depth)[..., None], 3, 2)
    if frame.format.is_rgb or name.startswith("xyz"):
        if not _is_planar_rgb(frame.format):
            frame = converter.reformat(frame, format=f"gbrp{depth}le", interpolation=FILTER)
        green, blue, red = (_plane(plane, frame.format) for plane in frame.planes[:3])
        return _widened(np.dstack((red, green, blue)), depth)
    is_full = frame.color_range == 2
    as_limited = {"src_color_range": 1, "dst_color_range": 1}  # the low bits of 16 are 0, of full range they may not be
    planes = converter.reformat(frame, format="yuv444p16le", interpolation=FILTER, **as_limited).planes
    inverse = np.linalg.inv(ycbcr_matrix(matrix, depth, is_full)[:, :3]) * MOST
    offset = inverse @ -ycbcr_matrix(matrix, depth, is_full)[:, 3]
    change = np.column_stack((inverse / 2 ** (16 - depth), offset))
    return cv2.transform(np.dstack([_plane(plane) for plane in planes]), change.astype(np.float32))


def from_rgb(image: np.ndarray, form: av.VideoFormat, matrix: int, converter: VideoReformatter) -> av.VideoFrame:
    """A frame of a format, of HxWx3 uint16 RGB in 0 to 65535, rounded to the bits that the format has.

    RGB has full range, all else limited range.

    Args:
        image: the levels.
        form: of the frame.
        matrix: code of its matrix, one of `LUMA`; RGB formats have none.
        converter: of frames like this one.
    """
    depth = bits(form)
    depth = depth if depth in DEPTHS else 8 if depth < 9 else 16
    name = ("gbrp" if form.is_rgb else "yuv444p") + (f"{depth}le" if depth > 8 else "")
    frame = av.VideoFrame(image.shape[1], image.shape[0], form.name if _is_planar_rgb(form) else name)
    if form.is_rgb:
        red, green, blue = np.moveaxis(_narrowed(image, depth), 2, 0)
        channels = [green, blue, red]
        if len(frame.planes) == 4:  # alpha is opaque
            channels.append(np.full_like(red, 2**depth - 1))
    else:
        change = ycbcr_matrix(matrix, depth, False)
        change[:, :3] /= MOST
        made = cv2.transform(image, change.astype(np.float32))
        channels = np.moveaxis(np.minimum(made, 2**depth - 1), 2, 0)
    for plane, channel in zip(frame.planes, channels, strict=True):
        _plane(plane, frame.format)[:] = channel
    frame.color_range = 2 if form.is_rgb else 1
    return converter.reformat(frame, format=form.name, dst_color_range=frame.color_range, interpolation=FILTER)


def ycbcr_matrix(matrix: int, depth: int, is_full: bool) -> np.ndarray:
    """What makes levels of Y, Cb and Cr of RGB in [0, 1]: (3, 4), the last column is added (ITU-T H.273)."""
    red, blue = LUMA[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    rows = np.stack((luma, ([0, 0, 1] - luma) / (1 - blue) / 2, ([1, 0, 0] - luma) / (1 - red) / 2))
    step, half = 2 ** (depth - 8), 2 ** (depth - 1)
    scale = np.full(3, 2**depth - 1) if is_full else np.array([219, 224, 224]) * step
    return np.column_stack((rows * scale[:, None], (0 if is_full else 16 * step, half, half)))


def _is_planar_rgb(form: av.VideoFormat) -> bool:
    """Whether a format has a plane of whole numbers for green, blue and red, in this order."""
    return form.name.startswith("gbr") and bits(form) in (8, *DEPTHS)


def _plane(plane, form: av.VideoFormat | None = None) -> np.ndarray:
    """The samples of a plane, HxW, which may be written; without a format, of 16 bits."""
    kind = "u1" if form and bits(form) == 8 else ">u2" if form and form.name.endswith("be") else "<u2"
    return np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]


def _widened(levels: np.ndarray, depth: int) -> np.ndarray:
    most = 2**depth - 1
    if depth == 16:
        return levels.astype(np.uint16, copy=False)
    return ((levels.astype(np.uint32) * MOST + most // 2) // most).astype(np.uint16)


def _narrowed(levels: np.ndarray, depth: int) -> np.ndarray:
    most = 2**depth - 1
    return levels if depth == 16 else ((levels.astype(np.uint32) * most + MOST // 2) // MOST).astype(np.uint16)
