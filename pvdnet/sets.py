"""PVDNet's sets on disk: folders of videos, each with blurry and sharp frames.

Layout: `<data_root>/train_DVD/<video>/{input,GT}/*.jpg`, `train_nah/<video>/{blur_gamma,sharp}/*.png`, `test_*`
likewise, `random/<video>/*` without sharp frames. A video may lie in further subfolders. Sets of clips with blurry
twins: `common/sets/clips.py`.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from common.degrade.motion_blur import blur_clip
from common.media.image import list_frames, read_image
from common.sets.clips import find_clips, is_clip_set

SETS = ("DVD", "nah", "random")
TRAINING_SETS = ("DVD", "nah")
EXPOSURE = 1.0  # frame intervals, of the blur that is made where a set has none
SUBFOLDERS = {"DVD": ("input", "GT"), "nah": ("blur_gamma", "sharp")}


@dataclass(frozen=True)
class Video:
    """The frames of one video.

    Attributes:
        name: unique in its set.
        blurry: frames; of those that are made, the sharp ones.
        sharp: as many; empty where there is no truth.
        made: whether blurry frames are made of the sharp ones when they are read.
    """

    name: str
    blurry: tuple[Path, ...]
    sharp: tuple[Path, ...]
    made: bool = False

    def __len__(self) -> int:
        return len(self.blurry)


def find_videos(data_root: str | Path, data: str, split: str) -> list[Video]:
    """List the videos of a set in the order of their names.

    Args:
        data_root: folder of the data sets.
        data: one of `SETS`, or a set of clips. Of clips those with blurry twins count; for testing on a set without
            any, such as `real`, blur is made.
        split: "train" or "test"; "random" has only one.

    Raises:
        ValueError: the folder is missing or empty, or blurry and sharp frames do not pair up by name.
    """
    if is_clip_set(data):
        return _clips(data_root, data, split)
    root = Path(data_root) / ("random" if data == "random" else f"{split}_{data}")
    if not root.is_dir():
        raise ValueError(
            f"{root}: no such folder; set --data_root, download {data} (datasets/README.md), "
            f"or make clips: python datasets/make_synthetic.py --layout {'DVD' if data == 'random' else data}"
        )
    folders = folders_under(root)
    if data == "random":
        videos = [Video(_name(folder, root), tuple(list_frames(folder)), ()) for folder in folders]
        videos = [video for video in videos if len(video)]
    else:
        blurry, sharp = SUBFOLDERS[data]
        videos = [_paired(folder, folder.parent / sharp, root) for folder in folders if folder.name == blurry]
    if not videos:
        expected = "<video>/*" if data == "random" else f"<video>/{{{','.join(SUBFOLDERS[data])}}}/*"
        raise ValueError(f"{root}: holds no video; expected {expected}")
    return videos


def _clips(data_root: str | Path, data: str, split: str) -> list[Video]:
    clips = find_clips(data_root, data, split, least=2, twin="blur" if split == "train" else "")
    known = [clip for clip in clips if clip.blur]
    if known:
        return [Video(clip.name, tuple(list_frames(clip.blur)), clip.frames) for clip in known]
    return [Video(clip.name, clip.frames, clip.frames, made=True) for clip in clips]


def folders_under(root: Path) -> list[Path]:
    """Every folder below `root` in order, through links too; hidden ones and those of a NAS ('@eaDir') left out."""
    found = []
    for folder, names, _ in os.walk(root, followlinks=True):
        names[:] = [name for name in names if not name.startswith((".", "@"))]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def _name(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()


def _paired(blurry: Path, sharp: Path, root: Path) -> Video:
    """The video of a folder of blurry frames; names must equal those of the sharp ones up to the suffix."""
    if not sharp.is_dir():
        raise ValueError(f"{sharp}: no such folder, but {blurry} is there; expected a sharp frame for every blurry one")
    frames, truths = list_frames(blurry), list_frames(sharp)
    if not frames:
        raise ValueError(f"{blurry}: holds no frames")
    lonely = sorted({path.stem for path in frames} ^ {path.stem for path in truths})
    if lonely:
        raise ValueError(
            f"{blurry.parent}: frame {lonely[0]} is not in both {blurry.name} and {sharp.name} "
            f"({len(lonely)} such frames); expected the same names in both"
        )
    by_stem = {path.stem: path for path in truths}
    return Video(_name(blurry.parent, root), tuple(frames), tuple(by_stem[path.stem] for path in frames))


def read_pair(video: Video, index: int) -> tuple[np.ndarray, np.ndarray | None]:
    """A blurry frame and its sharp one, HxWx3 uint8; None where the video has none.

    Raises:
        ValueError: a file is broken, or the two differ in size.
    """
    blurry = _blurred(video.sharp)[index] if video.made else read_image(video.blurry[index])
    sharp = read_image(video.sharp[index]) if video.sharp else None
    if sharp is not None and blurry.shape != sharp.shape:
        raise ValueError(
            f"{video.blurry[index]} has {blurry.shape[1]}x{blurry.shape[0]} pixels, its sharp frame "
            f"{sharp.shape[1]}x{sharp.shape[0]}; expected one size"
        )
    return blurry, sharp


@lru_cache(8)  # the clips of `real`, which a training validates on again and again
def _blurred(frames: tuple[Path, ...]) -> list[np.ndarray]:
    return blur_clip([read_image(frame) for frame in frames], EXPOSURE)
