"""Vimeo-90K on disk (Xue et al., IJCV 2019): what a whole set holds, its lists, its frames and degraded ones.

A degradation's frames lie in `vimeo_septuplet/degraded/<name>/<clip>/im0001.png` to `im0007.png`, where `<clip>` is as
the lists name it, such as 00001/0001.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.degrade.by_name import DEGRADATIONS, clip_rng, degrade
from common.degrade.low_resolution import make_low
from common.media.image import read_image, write_image

MARKER = ".synthetic"  # make_synthetic.py leaves it in what it made
# Low-resolution frames, by `common.degrade.low_resolution.make_low`: no degradations, for they change their size.
LOWS = {"BIx4": ("bi", 4), "BDx4": ("bd", 4), "BIx2": ("bi", 2)}
DEGRADED = (*DEGRADATIONS, *LOWS)

_PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(frozen=True)
class VimeoSet:
    """What a whole set holds. `clips` counts the lines of each list, `size` is width and height of every frame."""

    prefix: str
    frames: int
    clips: dict[str, int]
    size: tuple[int, int] = (448, 256)
    has_exact_flow: bool = False


SETS = {
    "vimeo_triplet": VimeoSet("tri", 3, {"train": 51313, "test": 3782}),
    "vimeo_septuplet": VimeoSet("sep", 7, {"train": 64612, "test": 7824}),
}


def contents(folder: Path, published: VimeoSet) -> VimeoSet:
    """What the set in `folder` should hold; a synthetic one tells by itself.

    Raises:
        ValueError: what it tells is damaged.
    """
    marker = folder / MARKER
    if not marker.is_file():
        return published
    try:
        told = json.loads(marker.read_text())
        width, height = map(int, told["size"].split("x"))
        return replace(published, clips=told["clips"], size=(width, height), has_exact_flow=told.get("flow") == "exact")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{marker}: damaged; make the clips again (datasets/make_synthetic.py --force)") from None


def read_text(path: Path) -> str:
    """The text of a list in UTF-8, without the mark that editors on Windows put before it.

    Raises:
        ValueError: it is in another encoding.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # as in UTF-16
        raise ValueError(f"{path}: not a text in UTF-8; save it as one")
    return text


def list_clips(path: str | Path) -> list[str]:
    """The clips that a list names, such as 00001/0001, in its order; the published lists hold a blank line.

    Raises:
        ValueError: there is no such file, or it is no text in UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the list that comes with the data (datasets/README.md)")
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_list(path: Path) -> tuple[list[str], list[str]]:
    """As `list_clips`, but a line for each fault of the list, in place of errors."""
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, ValueError):
        return [], [f"{path}: no such list, or not readable; unpack the archive again"]
    clips = [line for line in lines if re.fullmatch(r"\d+/\d+", line)]
    faults = [
        f"{path}, line {number}: expected a clip such as 00001/0001, found {line!r}"
        for number, line in enumerate(lines, 1)
        if line and not re.fullmatch(r"\d+/\d+", line)
    ]
    return clips, faults


def clips_of(folder: Path, vimeo: VimeoSet, splits: Iterable[str]) -> list[str]:
    """The clips of some lists, each once.

    Raises:
        ValueError: a list is missing or damaged.
    """
    clips = []
    for split in splits:
        listed, wrong = read_list(folder / f"{vimeo.prefix}_{split}list.txt")
        if wrong:
            raise ValueError(wrong[0])
        clips += listed
    return list(dict.fromkeys(clips))


def read_frame(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A frame, HxWx3 RGB uint8.

    Raises:
        ValueError: missing, damaged or of another width and height.
    """
    image = read_image(path)
    height, width, _ = image.shape
    if (width, height) != size:
        raise ValueError(f"{path}: {width}x{height} pixels, expected {size[0]}x{size[1]} as every frame; get it again")
    return image


def clip_faults(sequences: Path, clip: str, *, frames: int, size: tuple[int, int]) -> list[str]:
    """What is wrong with the frames of one clip."""
    if not (sequences / clip).is_dir():
        return [f"{sequences / clip}: no such folder"]
    found = []
    for number in range(1, frames + 1):
        try:
            read_frame(sequences / clip / f"im{number}.png", size)
        except ValueError as error:
            found.append(str(error))
    return found


# Degraded frames


def degrade_clip(folder: Path, vimeo: VimeoSet, name: str, clip: str, seed: int) -> int:
    """Write the degraded frames of a clip that are missing or damaged, of the published size or one of `LOWS`.

    They are what `degrade(frames, name, clip_rng(seed, clip))` or `make_low` makes: the same, however often this was
    interrupted.

    Returns:
        How many were written.

    Raises:
        ValueError: a frame of the clip is missing or damaged.
    """
    targets = degraded_frames(folder, vimeo, name, clip)
    missing = [number for number, path in enumerate(targets) if not is_whole_png(path, degraded_size(vimeo, name))]
    if not missing:
        return 0
    sharp = [read_frame(folder / f"sequences/{clip}/im{n}.png", vimeo.size) for n in range(1, vimeo.frames + 1)]
    if name in LOWS:
        kind, scale = LOWS[name]
        made = [make_low(frame, kind, scale=scale) for frame in sharp]
    else:
        made = degrade(sharp, name, clip_rng(seed, clip))
    for number in missing:
        write_image(targets[number], made[number])
    return len(missing)


def degraded_faults(folder: Path, vimeo: VimeoSet, lists: dict[str, list[str]]) -> Iterator[str]:
    """A line for each degradation and list (split: clips) of which some frames are there, but not all.

    Only the ends of the files are read: there may be 166 GB of them.
    """
    for name in DEGRADED:
        if not (folder / "degraded" / name).is_dir():
            continue
        size = degraded_size(vimeo, name)
        for split, clips in lists.items():
            frames = [path for clip in clips for path in degraded_frames(folder, vimeo, name, clip)]
            broken = [path for path in frames if not is_whole_png(path, size)]
            if 0 < len(broken) < len(frames) or any(path.exists() for path in broken):
                yield (
                    f"{folder / 'degraded' / name}: {len(broken)} of {len(frames)} frames of the {split} list missing "
                    f"or damaged, first {broken[0]}"
                )


def degraded_frames(folder: Path, vimeo: VimeoSet, name: str, clip: str) -> list[Path]:
    return [folder / f"degraded/{name}/{clip}/im{number:04}.png" for number in range(1, vimeo.frames + 1)]


def degraded_size(vimeo: VimeoSet, name: str) -> tuple[int, int]:
    """Width and height; frames of `LOWS` are of what is a multiple of their factor."""
    return tuple(length // LOWS[name][1] for length in vimeo.size) if name in LOWS else vimeo.size


def is_whole_png(path: Path, size: tuple[int, int]) -> bool:
    """Whether a PNG file is there, has this width and height, and an end."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_PNG_HEAD) + 8)
            file.seek(-len(_PNG_END), 2)
            return head == _PNG_HEAD + struct.pack(">2I", *size) and file.read() == _PNG_END
    except OSError:  # not there, or shorter than an end
        return False
