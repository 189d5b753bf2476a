"""Clips in one file, an array of frames or a video, whose frames have paths of their own: `clip.npy/00000012`.

Such a path names no file, but `common.media.image.read_image` reads it and `list_frames` gives it, so that whoever
lists and reads frames does not care whether they are image files. An array (uint8, (T, H, W, 3), RGB, as `numpy.save`
writes it) is mapped into memory: nothing is decoded, and a crop reads only its own pixels.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

SUFFIXES = (".npy", ".mp4")
ARRAYS = 4096  # mapped at once; a mapping holds no open file and next to no memory
VIDEOS = 2  # decoded ones in memory


def is_clip(path: Path) -> bool:
    """Whether a path is that of a clip in one file."""
    return path.suffix in SUFFIXES and path.is_file()


def is_frame(path: Path) -> bool:
    """Whether a path is that of a frame in such a file."""
    return path.parent.suffix in SUFFIXES and path.name.isdecimal()


def list_frames(path: str | os.PathLike) -> list[Path]:
    """Paths of the frames of a clip.

    Raises:
        ValueError: it cannot be read.
    """
    return [Path(path, f"{number:08d}") for number in range(len(frames(path)))]


def read_frame(path: Path) -> np.ndarray:
    """A frame by its path: HxWx3 uint8 RGB, not to be written into.

    Raises:
        ValueError: the clip cannot be read, or has no such frame.
    """
    clip, number = frames(path.parent), int(path.name)
    if number >= len(clip):
        raise ValueError(f"{path.parent}: {len(clip)} frames, but frame {number} was expected (they count from 0)")
    return clip[number]


def frames(path: str | os.PathLike) -> np.ndarray:
    """All frames of a clip: (T, H, W, 3) uint8 RGB, mapped into memory or decoded, not to be written into.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    array = _array(path) if path.suffix == ".npy" else _video(path)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
        raise ValueError(f"{path}: {array.dtype} {array.shape}; expected frames, uint8 (T, H, W, 3)")
    return array


def values(path: str | os.PathLike) -> np.ndarray:
    """An array of any kind, such as flows, mapped into memory.

    Raises:
        ValueError: the file is missing or damaged.
    """
    return _array(Path(path))


def _array(path: Path) -> np.ndarray:
    return _map(path, *_version(path))


def _video(path: Path) -> np.ndarray:
    return _decode(path, *_version(path))


def _version(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    return facts.st_mtime_ns, facts.st_size


@lru_cache(ARRAYS)
def _map(path: Path, *_) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no whole array ({error}); make it again") from None


@lru_cache(VIDEOS)
def _decode(path: Path, *_) -> np.ndarray:
    from common.media.video_reader import VideoReader  # which reads image files, too

    decoded = np.stack(list(VideoReader(path)))
    decoded.flags.writeable = False
    return decoded
