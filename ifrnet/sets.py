"""What training and evaluation read: the data sets as they lie on disk, as lists of samples.

A sample is two input frames and the true frames between them. Nothing is opened here: a file that is missing or broken
is named when it is read.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from common.media.image import list_frames
from common.sets.clips import Clip, clip_set, find_clips
from common.sets.vimeo90k import list_clips

SNU_FILM = tuple(f"snu_film_{level}" for level in ("easy", "medium", "hard", "extreme"))
SETS = (
    "vimeo90k", "vimeo_septuplet", "gopro", "adobe240", "ucf101", "snu_film", *SNU_FILM, "middlebury",
)  # fmt: skip
TRAINING_SETS = ("vimeo90k", "vimeo_septuplet", "gopro")
FOLDERS = {
    "vimeo90k": "vimeo_triplet", "vimeo_septuplet": "vimeo_septuplet", "gopro": "GOPRO_Large_all",
    "adobe240": "Adobe240", "ucf101": "ucf101_interp_ours", "middlebury": "Middlebury",
} | dict.fromkeys(("snu_film", *SNU_FILM), "SNU-FILM")  # fmt: skip
LAYOUTS = {"vimeo90k": "vimeo_triplet", "vimeo_septuplet": "vimeo_septuplet", "gopro": "gopro240"}  # that can be made

CLIPS = {"": 2, "_x4": 4}  # behind the name of a set of clips: frames from one input to the other, in testing

MIDDLEBURY_OTHER = "Middlebury_other"  # the folder may be called so, too

GROUP, HOP = 9, 8  # frames of a group of the 8x sets, and from one group to the next: ends are shared
GOPRO = {  # the split of Nah et al.; the 240 fps frames come without folders for it
    "train": (
        "GOPR0372_07_00", "GOPR0372_07_01", "GOPR0374_11_00", "GOPR0374_11_01", "GOPR0374_11_02", "GOPR0374_11_03",
        "GOPR0378_13_00", "GOPR0379_11_00", "GOPR0380_11_00", "GOPR0384_11_01", "GOPR0384_11_02", "GOPR0384_11_03",
        "GOPR0384_11_04", "GOPR0385_11_00", "GOPR0386_11_00", "GOPR0477_11_00", "GOPR0857_11_00", "GOPR0868_11_01",
        "GOPR0868_11_02", "GOPR0871_11_01", "GOPR0881_11_00", "GOPR0884_11_00",
    ),
    "test": (
        "GOPR0384_11_00", "GOPR0384_11_05", "GOPR0385_11_01", "GOPR0396_11_00", "GOPR0410_11_00", "GOPR0854_11_00",
        "GOPR0862_11_00", "GOPR0868_11_00", "GOPR0869_11_00", "GOPR0871_11_00", "GOPR0881_11_01",
    ),
}  # fmt: skip
ADOBE240 = (  # MMEditing's choice; the paper does not name its test videos
    "720p_240fps_1", "GOPR9635", "GOPR9637a", "IMG_0004a", "IMG_0015", "IMG_0023", "IMG_0179", "IMG_0183",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """Two frames and what lies between.

    Attributes:
        name: unique in its set, with slashes; for the sets of `VIDEOS` the video, then the group.
        frames: the first input, the targets in their order, the second input.
        flows: flow from the target to the first input and to the second (.flo, pixels), where there are labels.
    """

    name: str
    frames: tuple[Path, ...]
    flows: tuple[Path, Path] | None = None

    @property
    def times(self) -> tuple[float, ...]:
        """When the targets lie between the inputs, 0 to 1."""
        last = len(self.frames) - 1
        return tuple(k / last for k in range(1, last))


VIDEOS = {"gopro": GOPRO["test"], "adobe240": ADOBE240}  # the test videos of the sets that are made of long ones
COUNTS = {"vimeo90k": 3782, "vimeo_septuplet": 7824, "ucf101": 379, "middlebury": 12} | dict.fromkeys(SNU_FILM, 310)


def find_samples(data_root: str | Path, data: str, split: str) -> list[Sample]:
    """List the samples of a set, in the order of its list or of its names.

    Args:
        data_root: folder of the data sets.
        data: one of `SETS`, or a set of clips, for testing.
        split: "train" (only of `TRAINING_SETS`) or "test".

    Raises:
        ValueError: the folder or its list is missing, is damaged or holds no sample; or the set has no such split.
    """
    folder, suffix = clip_set(data, CLIPS)
    if folder:
        clips = find_clips(data_root, folder, split, least=CLIPS[suffix] + 1)
        return [sample for clip in clips for sample in _of_clip(clip, CLIPS[suffix])]
    root = Path(data_root, FOLDERS[data])
    if data == "middlebury" and not root.is_dir() and root.with_name(MIDDLEBURY_OTHER).is_dir():
        root = root.with_name(MIDDLEBURY_OTHER)
    if split == "train" and data not in TRAINING_SETS:
        raise ValueError(f"{data} is for testing: train on one of {', '.join(TRAINING_SETS)}")
    if not root.is_dir():
        make = f", or make clips: python datasets/make_synthetic.py --layout {LAYOUTS[data]}" if data in LAYOUTS else ""
        raise ValueError(f"{root}: no such folder; set --data_root, get {data} (datasets/README.md){make}")
    if data == "snu_film":
        samples = [sample for level in SNU_FILM for sample in _snu_film(root, level)]
    else:
        samples = _FINDERS[data](root, data, split)
    if not samples:
        raise ValueError(f"{root}: holds no sample of {data} ({split}); expected the layout of datasets/README.md")
    return samples


def groups(count: int) -> int:
    """How many groups of 9 frames, each beginning at the last of the one before, a video of `count` frames has."""
    return max(0, (count - GROUP) // HOP + 1)


def missing_part(data: str, samples: list[Sample]) -> str:
    """What of the published test set is not among the samples, in words; empty if nothing is."""
    if data in VIDEOS:
        videos = {sample.name.split("/")[0] for sample in samples}
        found, whole, unit = len(videos & set(VIDEOS[data])), len(VIDEOS[data]), "videos"
    else:
        found, whole, unit = len(samples), COUNTS.get(data, len(samples)), "samples"
    return "" if found == whole else f"{found} of {whole} {unit}"


def _vimeo(root: Path, data: str, split: str) -> list[Sample]:
    prefix, count = ("tri", 3) if data == "vimeo90k" else ("sep", 7)
    names = list_clips(root / f"{prefix}_{split}list.txt")
    labelled = _labelled(root / "flow") if data == "vimeo90k" else set()
    samples = []
    for name in names:
        frames = tuple(root / "sequences" / name / f"im{number}.png" for number in range(1, count + 1))
        flows = (root / "flow" / name / "flow_t0.flo", root / "flow" / name / "flow_t1.flo")
        samples.append(Sample(name, frames, flows if name in labelled else None))
    return samples


def _labelled(root: Path) -> set[str]:
    """Names `a/b` of the folders of labels, by a look into each `a` instead of one for each of 55,000 samples."""
    if not root.is_dir():
        return set()
    return {f"{folder.name}/{name}" for folder in root.iterdir() if folder.is_dir() for name in os.listdir(folder)}


def _gopro(root: Path, data: str, split: str) -> list[Sample]:
    if (root / ".synthetic").is_file():
        folders = _folders(root / split)
    else:
        places = (root, root / "train", root / "test")
        folders = [folder for place in places for folder in _folders(place) if folder.name in GOPRO[split]]
    return _grouped(sorted(folders, key=lambda folder: folder.name))


def _adobe240(root: Path, data: str, split: str) -> list[Sample]:
    return _grouped([folder for folder in _folders(root) if folder.name in ADOBE240])


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _grouped(videos: list[Path]) -> list[Sample]:
    samples = []
    for video in videos:
        frames = list_frames(video)
        for number in range(groups(len(frames))):
            own = frames[HOP * number : HOP * number + GROUP]
            samples.append(Sample(f"{video.name}/{number:04d}", tuple(own)))
    return samples


def _of_clip(clip: Clip, hop: int) -> list[Sample]:
    starts = range(0, len(clip) - hop, hop)
    return [Sample(f"{clip.name}/{start:04d}", clip.frames[start : start + hop + 1]) for start in starts]


def _ucf101(root: Path, data: str, split: str) -> list[Sample]:
    names = ("frame_00.png", "frame_01_gt.png", "frame_02.png")
    return [Sample(folder.name, tuple(folder / name for name in names)) for folder in _folders(root)]


def _snu_film(root: Path, data: str, split: str = "test") -> list[Sample]:
    listing = root / f"test-{data.removeprefix('snu_film_')}.txt"
    samples = []
    for line in list_clips(listing):  # a line names a triplet, too
        # The published lists begin with the folder of their author.
        parts = [re.sub(r"^(.*?/)??test/", "", path) for path in line.split() if re.search(r"(^|/)test/", path)]
        if len(parts) != 3 or len(line.split()) != 3:
            raise ValueError(f"{listing}: line {line!r}: expected three paths with a folder test in them")
        name = str(Path(parts[1]).with_suffix(""))
        samples.append(Sample(name, tuple(root / "test" / part for part in parts)))
    return samples


def _middlebury(root: Path, data: str, split: str) -> list[Sample]:
    inputs, truths = root / "other-data", root / "other-gt-interp"
    if not inputs.is_dir():
        inputs = truths = root
    samples = []
    for folder in _folders(truths):
        truth, scene = folder / "frame10i11.png", inputs / folder.name
        if truth.is_file():
            samples.append(Sample(folder.name, (scene / "frame10.png", truth, scene / "frame11.png")))
    return samples


_FINDERS = {
    "vimeo90k": _vimeo, "vimeo_septuplet": _vimeo, "gopro": _gopro, "adobe240": _adobe240, "ucf101": _ucf101,
    "middlebury": _middlebury,
} | dict.fromkeys(SNU_FILM, _snu_film)  # fmt: skip
