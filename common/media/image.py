"""Image files and frames: always RGB, uint8 at the edges, or uint16 where more bits are asked for."""

import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing

from common import atomic
from common.file_cache import FILES
from common.media import clip_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
LEVELS = (np.uint8, np.uint16)  # what a file may hold

_WRITE_FLAGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY], ".jpeg": [cv2.IMWRITE_JPEG_QUALITY], ".png": None, ".ppm": None}


def read_image(path: str | os.PathLike, *, upright: bool = False, deep: bool = False) -> np.ndarray:
    """Read an image file as HxWx3 RGB uint8.

    Grey is repeated over three channels, alpha is dropped. 16-bit values v become round(v / 257), so 65535 is 255 and
    values widened from 8 bits come back exactly; OpenCV's own conversion cuts the low byte instead.

    Args:
        path: file that OpenCV can decode, any Unicode name; or a frame of a clip (`common.media.clip_file`).
        upright: turned as its EXIF orientation tells; frames of data sets are meant as stored.
        deep: 16-bit values stay.

    Returns:
        HxWx3 uint8, RGB; uint16 of a file of 16 bits if `deep`.

    Raises:
        ValueError: missing, empty, truncated, damaged or not an image. Decoders fill the missing part of a truncated
            file with grey and go on, so completeness of PNG, JPEG and PPM is checked here.
    """
    path = Path(path)
    if clip_file.is_frame(path):
        return clip_file.read_frame(path)
    kind = f"{'upright ' * upright}{'deep ' * deep}image"
    return FILES.get(path, kind, lambda: _decode(path, upright, deep), np.copy, lambda image: image.nbytes)


def has_alpha(path: str | os.PathLike) -> bool:
    """Whether something in a readable image file is transparent."""
    if clip_file.is_frame(Path(path)):
        return False
    image = cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return image.ndim == 3 and image.shape[2] == 4 and image[..., 3].min() < np.iinfo(image.dtype).max


def _decode(path: Path, upright: bool, deep: bool) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    defect = file_defect(data)
    if defect:
        raise ValueError(f"{path} {defect}; copy, download or extract it again")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{path} is not a readable image; expected a complete png, jpg, ppm, bmp, tiff or webp file")
    if image.dtype == np.uint16 and not deep:
        image = as_levels(image, np.uint8)
    if image.dtype not in LEVELS:
        raise ValueError(f"{path} holds {image.dtype} values; expected 8 or 16 bits a channel: convert it to png")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_clip(paths: Sequence[str | os.PathLike]) -> list[np.ndarray]:
    """Read frames that belong together, HxWx3 uint8 RGB each.

    Raises:
        ValueError: a file is missing or broken, or they differ in size.
    """
    frames = [read_image(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            (height, width, _), (h, w, _) = frame.shape, frames[0].shape
            raise ValueError(f"{path}: {width}x{height} pixels, but {w}x{h} was expected, as of {paths[0]}")
    return frames


def write_image(path: str | os.PathLike, image: np.ndarray, *, quality: int = 95) -> None:
    """Write HxWx3 RGB as png, of 8 or 16 bits, jpg or ppm (by suffix); an interrupted run leaves no half-written file.

    Args:
        path: target; its folder is made.
        image: HxWx3 uint8 or uint16, RGB.
        quality: of jpg, 0..100.

    Raises:
        ValueError: another suffix, type or shape.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITE_FLAGS:
        raise ValueError(f"cannot write {path}: expected one of the suffixes {', '.join(_WRITE_FLAGS)}")
    fits = image.dtype == np.uint8 or (image.dtype == np.uint16 and suffix == ".png")
    if not fits or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"cannot write {path}: expected HxWx3 uint8, got {image.dtype} {image.shape}; see to_uint8")
    flags = _WRITE_FLAGS[suffix]
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [*flags, quality] if flags else [])
    atomic.write_bytes(path, data.tobytes(), sync=False)


def as_levels(image: np.ndarray, kind: np.typing.DTypeLike) -> np.ndarray:
    """Levels of 8 bits as levels of 16 or the other way round: times 257, or rounded; those of that kind as they are.

    Args:
        image: uint8 or uint16.
        kind: one of the two.
    """
    if image.dtype == kind:
        return image
    if kind == np.uint16:
        return image.astype(np.uint16) * np.uint16(257)
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def mean_image(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two frames over each other, HxWx3 uint8 as they are."""
    return to_uint8((first.astype(np.float32) + second) / 510)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Levels of a float image: floor(255 v + 0.5), clamped to 0..255.

    Args:
        image: float of any shape, nominally in [0, 1].

    Raises:
        ValueError: not float, or NaN (a diverged network must not end as a black picture).
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"to_uint8 takes a float image in [0, 1], got {image.dtype}")
    if np.isnan(image).any():
        raise ValueError("the image holds NaN values: the network diverged or its checkpoint is damaged")
    return np.clip(np.floor(image * 255 + 0.5), 0, 255).astype(np.uint8)


def list_frames(folder: str | os.PathLike) -> list[Path]:
    """Image files directly in `folder`, in order of their names with numbers compared as numbers (2 before 10).

    If `folder` is a clip in one file (`common.media.clip_file`): its frames. Hidden files and Thumbs.db are skipped; an
    empty folder gives an empty list.

    Raises:
        ValueError: the folder is missing.
    """
    folder = Path(folder)
    if clip_file.is_clip(folder):
        return clip_file.list_frames(folder)
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}: expected a folder of frames ({', '.join(IMAGE_SUFFIXES)})")
    frames = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(frames, key=lambda path: (_natural(path.name), path.name))


def crop_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """The top-left part of an HxW[xC] image whose height and width are multiples of `multiple`.

    Raises:
        ValueError: the image is smaller than `multiple`.
    """
    height, width = (length // multiple * multiple for length in image.shape[:2])
    if not height or not width:
        raise ValueError(f"an image of {image.shape[0]} x {image.shape[1]} is smaller than {multiple} x {multiple}")
    return image[:height, :width]


def _natural(name: str) -> list:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def file_defect(data: bytes) -> str | None:
    """What is wrong with the bytes of an image file, or None; only what decoders let pass."""
    if not data:
        return "is empty"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_defect(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_defect(data)
    if re.match(rb"P[56]\s", data):
        return _ppm_defect(data)
    return None


def _png_defect(data: bytes) -> str | None:
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if end + 4 > len(data):
            break
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return "is a damaged PNG file (wrong checksum)"
        if data[position + 4 : position + 8] == b"IEND":
            return None
        position = end + 4
    return "is a truncated PNG file"


def _jpeg_defect(data: bytes) -> str | None:
    # An EXIF thumbnail is a whole JPEG inside a header segment: look for the end marker behind the headers only.
    position = data.find(b"\xff", 2)
    while 0 <= position < len(data) - 3:
        marker = data[position + 1]
        if marker == 0xDA:  # start of scan
            return None if data.find(b"\xff\xd9", position) >= 0 else "is a truncated JPEG file"
        # 0xFF before a marker is a fill byte; a header segment says how long it is.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4])
        position = data.find(b"\xff", position)
    return "is a truncated or damaged JPEG file"


def _ppm_defect(data: bytes) -> str | None:
    header = re.match(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s", data)
    if not header:
        return "has a damaged PPM header"
    kind, width, height, top = (int(group) for group in header.groups())
    expected = width * height * (3 if kind == 6 else 1) * (2 if top > 255 else 1)
    return "is a truncated PPM file" if len(data) - header.end() < expected else None
