"""What training and evaluation read: the data sets as they lie on disk, as lists of clips.

Nothing is opened here but lists: a file that is missing or broken is named when it is read.
"""

from dataclasses import dataclass
from pathlib import Path

from common.media.image import list_frames
from common.sets import clips as clip_sets
from common.sets.clips import clip_set
from common.sets.vimeo90k import list_clips
from tdan.model import WINDOW

DEGRADATIONS = ("bi", "bd")  # as `common.degrade.low_resolution` names them: BI rounds once
SUFFIXES = tuple(f"_{degradation}" for degradation in DEGRADATIONS)  # behind the name of a set of clips


@dataclass(frozen=True)
class DataSet:
    """A set to train on or to test with.

    `folder` lies in the data root; `degradation` is one of `DEGRADATIONS`; `count` tells how many frames its published
    test is scored on.
    """

    folder: str
    degradation: str
    count: int = 0
    trains: bool = True


SETS = {
    f"{name}_{degradation}": DataSet(folder, degradation, count, trains)
    for name, folder, count, trains in (
        ("vimeo", "vimeo_septuplet", 7824, True),
        ("vid4", "Vid4", 171, False),
        ("spmcs", "SPMCS", 930, False),
    )
    for degradation in DEGRADATIONS
}
LAYOUTS = {"vimeo_septuplet": "vimeo_septuplet", "Vid4": "vid4", "SPMCS": "spmcs"}  # of datasets/make_synthetic.py
TRUTHS = ("GT", "HR")  # folders of true frames
TRAINING_SETS = tuple(name for name, data in SETS.items() if data.trains)


@dataclass(frozen=True)
class Clip:
    """Consecutive frames.

    Attributes:
        name: unique in its set.
        truths: the true frames, in the order of time.
        lows: the low-resolution frames, where the set brings them; else empty.
        degradation: one of `DEGRADATIONS`, by which low-resolution frames are made from the true ones.
        middles: numbers of the frames that are trained on or scored.
    """

    name: str
    truths: tuple[Path, ...]
    lows: tuple[Path, ...]
    degradation: str
    middles: tuple[int, ...]


def data_set(name: str) -> DataSet:
    """What a name of `--data` means: one of `SETS`, or a set of clips with one of `SUFFIXES` behind it.

    Raises:
        KeyError: neither.
    """
    folder, suffix = clip_set(name, SUFFIXES)
    return DataSet(folder, suffix.removeprefix("_")) if folder else SETS[name]


def find_clips(data_root: str | Path, data: str, split: str, *, scale: int = 4, prepared: bool = False) -> list[Clip]:
    """List the clips of a set, in the order of its list or of its names.

    Args:
        data_root: folder of the data sets.
        data: one of `SETS`, or a set of clips.
        split: "train" (not of sets for testing alone) or "test".
        scale: of the low-resolution frames.
        prepared: read low-resolution frames from files that must be there. Without it, those of Vid4 and SPMCS are
            read for the clips that have a folder of them, and made for the others.

    Raises:
        ValueError: the folder or its list is missing or holds no clip, or the set has no such split.
    """
    entry = data_set(data)
    low = f"{entry.degradation.upper()}x{scale}"
    if data not in SETS:
        return _clip_set(data_root, entry.folder, split, entry.degradation, low, prepared)
    root = Path(data_root, entry.folder)
    if split == "train" and not entry.trains:
        raise ValueError(f"{data} is for testing: train on one of {', '.join(TRAINING_SETS)}")
    if not root.is_dir():
        raise ValueError(
            f"{root}: no such folder; set --data_root, get {data} (datasets/README.md), or make clips: "
            f"python datasets/make_synthetic.py --layout {LAYOUTS[entry.folder]}"
        )
    if entry.folder == "vimeo_septuplet":
        clips = _septuplets(root, split, entry.degradation, root / "degraded" / low if prepared else None)
    else:
        given = prepared or (root / low).is_dir()
        clips = _clips(root, entry.degradation, low, given, ends=True, partly=not prepared)
    if not clips:
        raise ValueError(f"{root}: holds no clip of {data} ({split}); expected the layout of datasets/README.md")
    return clips


def _septuplets(root: Path, split: str, degradation: str, lows: Path | None) -> list[Clip]:
    if lows and not lows.is_dir():
        raise ValueError(
            f"{lows}: no such folder; make it (python datasets/prepare_vimeo90k.py --layout vimeo_septuplet "
            f"--degrade {lows.name}), or leave out --prepared"
        )
    clips = []
    for name in list_clips(root / f"sep_{split}list.txt"):
        truths = tuple(root / "sequences" / name / f"im{number}.png" for number in range(1, 8))
        given = tuple(lows / name / f"im{number:04}.png" for number in range(1, 8)) if lows else ()
        clips.append(Clip(name, truths, given, degradation, (3,)))
    return clips


def _clip_set(data_root: str | Path, folder: str, split: str, degradation: str, low: str, prepared: bool) -> list[Clip]:
    """Clips of any kind that `common.sets.clips` knows; or folders GT and BIx4 with clips in them."""
    part, ends = Path(data_root, folder, split), split == "test"
    if prepared or any((part / name).is_dir() for name in TRUTHS):
        clips = _clips(part, degradation, low, prepared, ends)
        if not clips:
            raise ValueError(f"{part}: holds no clip; expected the layout of datasets/README.md")
        return clips
    found = clip_sets.find_clips(data_root, folder, split, least=WINDOW)
    return [Clip(clip.name, clip.frames, (), degradation, _middles(len(clip), ends)) for clip in found]


def _middles(count: int, ends: bool) -> tuple[int, ...]:
    """Numbers of the frames that are looked at: all, or, without `ends`, those that have two on either side."""
    half = 0 if ends else WINDOW // 2
    return tuple(range(half, count - half))


def _clips(root: Path, degradation: str, low: str, prepared: bool, ends: bool, partly: bool = False) -> list[Clip]:
    """Folders of frames, in GT or HR beside one of low-resolution frames, or, if these are not prepared, by themselves.

    For `ends` see `_middles`. `partly`: clips without a folder of low-resolution frames do without.
    """
    truths = next((root / name for name in TRUTHS if (root / name).is_dir()), root)
    lows = next((root / name for name in (low, "LR_bicubic") if (root / name).is_dir()), root / low)
    if prepared and (truths == root or not lows.is_dir()):
        raise ValueError(f"{root}: expected folders GT and {low}; make them, or leave out --prepared")
    clips = []
    for folder in sorted(path for path in truths.iterdir() if path.is_dir()) if truths.is_dir() else ():
        frames = tuple(list_frames(folder))
        if len(frames) < WINDOW:
            raise ValueError(f"{folder}: {len(frames)} frames; expected {WINDOW} or more")
        beside = lows / folder.name
        reads = prepared and (beside.is_dir() or not partly)
        given = tuple(list_frames(beside)) if reads else ()
        if reads and len(given) != len(frames):
            raise ValueError(f"{beside}: {len(given)} frames; expected {len(frames)} as in {folder}")
        clips.append(Clip(folder.name, frames, given, degradation, _middles(len(frames), ends)))
    return clips
