"""Sets of clips: what `datasets/prepare_clips.py` and the like make of any videos, and every paper trains on.

A set is a folder below the data root whose name begins with one of `NAMES`: `clips`, `clips_mine`, `free`, `drawn`,
`real`. Its parts are the folders `train` and `test`; one without them, such as `real`, is for testing alone. A clip is

- `<clip>.npy`, uint8 (T, H, W, 3), RGB; or a video `<clip>.mp4`; or a folder of image files;
- `<clip>_flow.npy`, where its motion is known exactly: float16 (T, 2, H, W, 2), the flow from every frame to the first
  and to the last one in pixels, x to the right, then y down;
- `<clip>_blur.npy`, where PVDNet can learn from it: the blurry twin of every frame, uint8 (T, H, W, 3).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.media import clip_file
from common.media.flow_file import read_flow
from common.media.image import list_frames
from common.papers import ROOT

REAL = ROOT / "datasets/real"  # in the repository, whatever the data root is
NAMES = ("clips", "drawn", "free", "real")
SPLITS = ("train", "test")
TWINS = ("flow", "blur")  # arrays beside that of a clip


@dataclass(frozen=True)
class Clip:
    """Consecutive frames.

    Attributes:
        name: unique in its set.
        frames: their paths, which `common.media.image.read_image` reads.
        flow: the file of its flows, where there is one.
        blur: the file of its blurry frames, where there is one.
    """

    name: str
    frames: tuple[Path, ...]
    flow: Path | None = None
    blur: Path | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def flows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The flows from a frame to the first and to the last one, each HxWx2 float32 in pixels."""
        return tuple(read_flow(self.flow / f"{number:08d}" / end)[0] for end in ("0", "1"))


def is_clip_set(name: str) -> bool:
    """Whether a name of `--data` is that of a set of clips."""
    return bool(re.fullmatch(rf"({'|'.join(NAMES)})(_\w+)?", name))


def clip_set(name: str, suffixes: Sequence[str]) -> tuple[str, str]:
    """Folder and suffix of a name such as `clips_mine_bi`; of another than a set of clips, two empty texts.

    Args:
        name: of `--data`.
        suffixes: that the paper knows; the longest that fits is one.
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.endswith(suffix) and is_clip_set(name.removesuffix(suffix)):
            return name.removesuffix(suffix), suffix
    return "", ""


def find_clips(data_root: str | Path, name: str, split: str, *, least: int = 1, twin: str = "") -> list[Clip]:
    """List the clips of a set, in the order of their names.

    Args:
        data_root: folder of the data sets.
        name: of the set.
        split: "train" or "test".
        least: frames that a clip must have; shorter ones are left out.
        twin: one of `TWINS` that a clip must have; others are left out.

    Raises:
        ValueError: the folder is missing, or holds no such clip.
    """
    root = Path(data_root, name)
    if name == "real" and not root.is_dir():
        root = REAL
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; make it: python datasets/{_script(name)}, or set --data_root")
    folder = root / split
    if not any((root / part).is_dir() for part in SPLITS):
        if split == "train":
            raise ValueError(f"{root} is for testing: it has no folder train")
        folder = root
    found = [_clip(path) for path in sorted(folder.iterdir()) if _holds_clip(path)] if folder.is_dir() else []
    clips = [clip for clip in found if len(clip) >= least and (not twin or getattr(clip, twin))]
    if not clips:
        what = f" of {least} frames or more" if least > 1 else ""
        what += f" with <clip>_{twin}.npy beside it" if twin else ""
        raise ValueError(f"{folder}: holds no clip{what} (of {len(found)}); see datasets/README.md")
    return clips


def _script(name: str) -> str:
    if name == "drawn":
        return "make_synthetic.py --layout drawn"
    return "prepare_free.py" if name == "free" else f"prepare_clips.py --source VIDEOS --root datasets/{name}"


def _holds_clip(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.is_dir() or (clip_file.is_clip(path) and not path.stem.endswith(tuple(f"_{twin}" for twin in TWINS)))


def _clip(path: Path) -> Clip:
    twins = {twin: path.with_name(f"{path.stem}_{twin}.npy") for twin in TWINS}
    there = {twin: file for twin, file in twins.items() if path.suffix == ".npy" and file.is_file()}
    return Clip(path.stem, tuple(list_frames(path)), **there)
