"""Something for each task to begin with: real clips of the repository, made poor where the task makes them good."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.degrade.by_name import clip_rng, degrade
from common.degrade.low_resolution import make_low
from common.degrade.motion_blur import blur_clip
from common.demo.tasks import CRF, TASKS, Pair
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from common.sets.clips import REAL

FRAMES = 12  # of a clip
Frames = list[np.ndarray]


class Example(NamedTuple):
    """A real clip; what is done to its frames first, in words and as a function."""

    clip: str
    told: str = ""
    made_poor: Callable[[Frames], Frames] = lambda frames: frames


def _poor(name: str) -> Callable[[Frames], Frames]:
    return lambda frames: degrade(frames, name, clip_rng(0, "example"))


EXAMPLES = {
    "between": Example("toy_pig_00"),
    "slow": Example("toy_pig_00"),
    "enlarge": Example(
        "skyline_00", "reduced to a quarter", lambda frames: [make_low(image, "bi") for image in frames]
    ),
    "deblur": Example("carpark_00", "blurred over a frame interval", lambda frames: blur_clip(frames, 1.0)),
    "denoise": Example("sam2juggle_00", "with noise of 25 levels", _poor("gaussian_25")),
    "deblock": Example("skyline_00", "as JPEG of quality 20", _poor("jpeg_q20")),
    "flow": Example("sam2juggle_00"),
}


def available() -> bool:
    """Whether the real clips are here; an installation without the repository has none."""
    return all((REAL / f"{example.clip}.mp4").is_file() for example in EXAMPLES.values())


def example(name: str, folder: Path) -> Path | Pair:
    """The input of a task: the path of a video in `folder`, or two pictures."""
    chosen = EXAMPLES[name]
    reader = open_clip(REAL / f"{chosen.clip}.mp4")
    frames = list(islice(reader, FRAMES))
    if TASKS[name].takes_pictures:
        return frames[0], frames[4]
    path = folder / f"{chosen.clip}.mp4"
    with open_writer(path, frame_rate=reader.frame_rate, like=reader, crf=CRF) as writer:
        for frame in chosen.made_poor(frames):
            writer.write(frame)
    return path
