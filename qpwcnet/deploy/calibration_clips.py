"""Clips that an int8 network is calibrated with, and those that its error is measured on."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.media.image import list_frames, read_image
from common.media.video_reader import open_clip

VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg")
CALIBRATING, HELD_OUT = 48, 16  # samples of each kind at most, spread over the clips
Sample = list[Tensor]  # frames (1, 3, H, W) uint8, in their order


def find_clips(folder: str | Path) -> list[list[Path]]:
    """The clips in a folder and below: a video file each, or the frames of a folder; in the order of their names.

    FlyingChairs' pairs, `00001_img1.ppm` and `00001_img2.ppm`, are a clip each.

    Raises:
        ValueError: there are none.
    """
    folder, clips = Path(folder), []
    if not folder.is_dir():
        raise ValueError(f"--calibrate {folder}: no such folder; expected one with clips, videos or folders of frames")
    for place, folders, names in os.walk(folder):
        folders.sort()
        clips += [[Path(place, name)] for name in sorted(names) if Path(name).suffix.lower() in VIDEOS]
        frames = list_frames(place)
        if frames and all(frame.stem.endswith(("_img1", "_img2")) for frame in frames):
            clips += [list(pair) for _, pair in itertools.groupby(frames, lambda frame: frame.stem[:-1])]
        elif frames:
            clips.append(frames)
    if not clips:
        raise ValueError(f"--calibrate {folder}: expected clips in it, videos or folders of frames, but it holds none")
    return clips


def split(clips: list[list[Path]], frames: int, size: tuple[int, int]) -> tuple[list[Sample], list[Sample]]:
    """Samples of `frames` consecutive frames, resized to `size` (H, W): to calibrate with, and held out.

    Every fourth clip is held out; of a single clip, it is the last quarter.

    Raises:
        ValueError: there are too few frames for one sample of each kind.
    """
    if len(clips) > 1:
        held_out = clips[3::4] or clips[-1:]
        calibrating = [clip for clip in clips if clip not in held_out]
        parts = _samples(calibrating, frames, size, CALIBRATING), _samples(held_out, frames, size, HELD_OUT)
    else:
        samples = _samples(clips, frames, size, CALIBRATING + HELD_OUT)
        cut = 3 * len(samples) // 4
        parts = samples[: cut - frames + 1 or 1], samples[cut:]  # that share no frame, if there are enough
    if not all(parts):
        raise ValueError(f"--calibrate: expected two clips or more, or one of {4 * frames} frames, each of {frames}")
    return parts


def _samples(clips: list[list[Path]], frames: int, size: tuple[int, int], most: int) -> list[Sample]:
    """At most `most` samples, of as many clips as can be."""
    clips = [clips[k * len(clips) // most] for k in range(most)] if len(clips) > most else clips
    each = max(1, most // max(1, len(clips)))
    return [sample for clip in clips for sample in itertools.islice(_of_clip(clip, frames, size, each), each)]


def _of_clip(files: list[Path], frames: int, size: tuple[int, int], most: int) -> Iterator[Sample]:
    """Samples of one clip, spread over it where its length is known."""
    images: Iterable[np.ndarray] = map(read_image, files)
    count = len(files)
    if files[0].suffix.lower() in VIDEOS:
        images = open_clip(files[0])
        count = images.num_frames or 0
    step = max(1, (count - frames + 1) // most)
    window: deque[Tensor] = deque(maxlen=frames)
    for number, image in enumerate(images):
        window.append(_resized(image, size))
        if len(window) == frames and (number - frames + 1) % step == 0:
            yield list(window)


def _resized(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    frame = torch.from_numpy(image).permute(2, 0, 1)[None]
    if frame.shape[-2:] == size:
        return frame
    frame = F.interpolate(frame.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return frame.round().clamp(0, 255).byte()


def as_floats(sample: Sample) -> list[Tensor]:
    """The frames in [0, 1]."""
    return [frame.float() / 255 for frame in sample]
