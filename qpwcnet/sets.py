"""What training and evaluation read: the data sets as they lie on disk, as lists of pairs with flow and of triplets.

Nothing is opened here but lists: a file that is missing or broken is named when it is read.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.media.flow_file import read_flow
from common.media.image import list_frames, read_clip
from common.sets.clips import Clip, find_clips, is_clip_set
from common.sets.vimeo90k import list_clips, read_text

FLOW_SETS = ("sintel_clean", "sintel_final", "chairs", "kitti15", "things", "flow_pair")
TRIPLET_SETS = ("vimeo90k", "ytvos", "middlebury")
SETS = FLOW_SETS + TRIPLET_SETS
TRAINING_SETS = tuple(name for name in SETS if name not in ("flow_pair", "middlebury"))
FOLDERS = {
    "sintel_clean": "MPI-Sintel", "sintel_final": "MPI-Sintel", "chairs": "FlyingChairs", "kitti15": "KITTI",
    "things": "FlyingThings3D", "flow_pair": "flow_pair", "vimeo90k": "vimeo_triplet", "ytvos": "YouTube-VOS",
    "middlebury": "Middlebury",
}  # fmt: skip
LAYOUTS = {  # that can be made
    "sintel_clean": "sintel", "sintel_final": "sintel", "chairs": "chairs", "kitti15": "kitti15",
    "vimeo90k": "vimeo_triplet",
}  # fmt: skip
MIDDLEBURY_OTHER = "Middlebury_other"  # the folder may be called so, too
# Samples of the published test sets, where their number is known; of Sintel and KITTI they are the training part.
COUNTS = {
    "sintel_clean": 1041, "sintel_final": 1041, "chairs": 640, "kitti15": 200, "vimeo90k": 3782, "middlebury": 12,
}  # fmt: skip

CHAIRS_LISTS = ("chairs_split.txt", "FlyingChairs_train_val.txt")  # the same list, under two names
CHAIRS_PARTS = {"train": "1", "test": "2"}
YTVOS_FOLDERS = {"train": ("train",), "test": ("valid", "test")}  # the first that is there


@dataclass(frozen=True)
class Pair:
    """Two frames and the flow from the first to the second.

    Attributes:
        name: unique in its set, with slashes.
        first: image file.
        second: image file.
        flow: .flo, .png (KITTI) or .pfm file, or a path that `read_flow` finds in an array; None where nobody knows
            the flow.
        cut: whether it is cut to the training's size; else it is resized.
    """

    name: str
    first: Path
    second: Path
    flow: Path | None = None
    cut: bool = False


@dataclass(frozen=True)
class Triplet:
    """Three frames of one video at equal distances; the one in the middle is what interpolation is to make.

    `cut` as of `Pair`.
    """

    name: str
    frames: tuple[Path, Path, Path]
    cut: bool = False


def find_pairs(data_root: str | Path, data: str, split: str) -> list[Pair]:
    """List the pairs of a set, in the order of their names.

    Sintel and KITTI publish the flow of their training parts only, and that is where networks are compared: both splits
    are the same there. Of a set of clips the test list is fixed: of each clip whose flows are known, the pair of its
    ends and those from the middle to either; where none are known, every frame and the next one.

    Args:
        data_root: folder of the data sets.
        data: one of `FLOW_SETS`, or a set of clips, for testing; training draws pairs of clips as it goes.
        split: "train" (only of `TRAINING_SETS`) or "test", which is FlyingChairs' validation part.

    Raises:
        ValueError: a folder or list is missing, is damaged or holds no pair; or the set has no such split.
    """
    if is_clip_set(data):
        clips = find_clips(data_root, data, split, least=2)
        known = [clip for clip in clips if clip.flow]
        return [pair for clip in known or clips for pair in (_known_pairs if known else _next_pairs)(clip)]
    return _find(data_root, data, split, FLOW_SETS)


def find_triplets(data_root: str | Path, data: str, split: str) -> list[Triplet]:
    """List the triplets of a set, in the order of its list or of its names.

    YouTube-VOS comes as videos: its triplets are the frames 1-3, 4-6, 7-9 and so on of each, so that no frame is in two
    of them; what is left at the end of a video is not used. Of clips every second frame is the middle of a triplet.

    Args:
        data_root: folder of the data sets.
        data: one of `TRIPLET_SETS`, or a set of clips, for testing; training draws triplets of clips as it goes.
        split: "train" (only of `TRAINING_SETS`) or "test".

    Raises:
        ValueError: a folder or list is missing, is damaged or holds no triplet; or the set has no such split.
    """
    if is_clip_set(data):
        clips = find_clips(data_root, data, split, least=3)
        return [triplet_of(clip, middle, 1) for clip in clips for middle in range(1, len(clip) - 1, 2)]
    return _find(data_root, data, split, TRIPLET_SETS)


def missing_part(data: str, samples: list[Pair] | list[Triplet]) -> str:
    """What of the published test set is not among the samples, in words; empty if nothing is, or nobody knows."""
    whole = COUNTS.get(data, len(samples))
    return "" if len(samples) == whole else f"{len(samples)} of {whole} samples"


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Read the files of a pair.

    Returns:
        first, second: HxWx3 uint8 RGB.
        flow: HxWx2 float32 in pixels, x to the right then y down; 0 where it is unknown, whatever the file holds there.
        valid: HxW bool, False where the flow is unknown. Both are None for a pair without flow.

    Raises:
        ValueError: a file is missing or broken, or they differ in size.
    """
    first, second = read_clip((pair.first, pair.second))
    if pair.flow is None:
        return first, second, None, None
    flow, valid = read_flow(pair.flow)
    if flow.shape[:2] != first.shape[:2]:
        (height, width), (h, w) = flow.shape[:2], first.shape[:2]
        raise ValueError(f"{pair.flow}: flow of {width}x{height} pixels, but {w}x{h} was expected, as of {pair.first}")
    return first, second, np.where(valid[..., None], flow, np.float32(0)), valid


def _find(data_root: str | Path, data: str, split: str, sets: tuple[str, ...]) -> list:
    if data not in sets:
        raise ValueError(f"data {data}: expected one of {', '.join(sets)}")
    if split not in ("train", "test"):
        raise ValueError(f"split {split}: expected train or test")
    root = Path(data_root, FOLDERS[data])
    if data == "middlebury" and not root.is_dir() and root.with_name(MIDDLEBURY_OTHER).is_dir():
        root = root.with_name(MIDDLEBURY_OTHER)
    if split == "train" and data not in TRAINING_SETS:
        trains = [name for name in sets if name in TRAINING_SETS]
        raise ValueError(f"{data} is for testing: train on one of {', '.join(trains)}")
    if not root.is_dir():
        make = f", or make clips: python datasets/make_synthetic.py --layout {LAYOUTS[data]}" if data in LAYOUTS else ""
        raise ValueError(f"{root}: no such folder; set --data_root, get {data} (datasets/README.md){make}")
    samples = _FINDERS[data](root, data, split)
    if not samples:
        raise ValueError(f"{root}: holds no sample of {data} ({split}); expected the layout of datasets/README.md")
    return samples


# Clips


def pair_of(clip: Clip, number: int, end: int) -> Pair:
    """A frame of a clip and its first (`end` 0) or last one (1), with the flow between them."""
    flow = Path(clip.flow, f"{number:08d}", str(end))
    return Pair(f"{clip.name}/{number:04d}_{end}", clip.frames[number], clip.frames[-end], flow, cut=True)


def triplet_of(clip: Clip, middle: int, distance: int) -> Triplet:
    """A frame of a clip, and those so many frames before and behind it."""
    frames = clip.frames[middle - distance], clip.frames[middle], clip.frames[middle + distance]
    return Triplet(f"{clip.name}/{middle:04d}", frames, cut=True)


def _known_pairs(clip: Clip) -> list[Pair]:
    middle = len(clip) // 2
    return [pair_of(clip, 0, 1)] + [pair_of(clip, middle, end) for end in (0, 1) if len(clip) > 2]


def _next_pairs(clip: Clip) -> list[Pair]:
    return [Pair(f"{clip.name}/{number:04d}", *frames, cut=True) for number, frames in enumerate(pairwise(clip.frames))]


# Pairs


def _sintel(root: Path, data: str, split: str) -> list[Pair]:
    frames = _folder(root / "training" / data.removeprefix("sintel_"), "the frames of this pass")
    pairs = []
    for flow in sorted(_folder(root / "training/flow", "the flow of every pair").glob("*/frame_*.flo")):
        scene, number = flow.parent.name, _number(flow, "frame_")
        first, second = (frames / scene / f"frame_{n:04d}.png" for n in (number, number + 1))
        pairs.append(Pair(f"{scene}/{number:04d}", first, second, flow))
    return pairs


def _chairs(root: Path, data: str, split: str) -> list[Pair]:
    listing = next((root / name for name in CHAIRS_LISTS if (root / name).is_file()), None)
    if listing is None:
        raise ValueError(f"{root}: holds neither {' nor '.join(CHAIRS_LISTS)}; get the list (datasets/README.md)")
    parts = read_text(listing).split()
    if not set(parts) <= {"1", "2"}:
        raise ValueError(f"{listing}: expected a line a pair, 1 for training or 2 for validation; get it again")
    flows = sorted(_folder(root / "data", "two frames and a flow of every pair").glob("*_flow.flo"))
    if len(parts) != len(flows):
        raise ValueError(f"{listing}: {len(parts)} lines, but {root / 'data'} holds {len(flows)} flows; get it again")
    pairs = []
    for flow, part in zip(flows, parts, strict=True):
        if part == CHAIRS_PARTS[split]:
            name = flow.name.removesuffix("_flow.flo")
            first, second = (flow.with_name(f"{name}_img{n}.ppm") for n in (1, 2))
            pairs.append(Pair(name, first, second, flow))
    return pairs


def _kitti15(root: Path, data: str, split: str) -> list[Pair]:
    frames = _folder(root / "training/image_2", "the frames of the left colour camera")
    pairs = []
    for flow in sorted(_folder(root / "training/flow_occ", "the flow of every pair").glob("*_10.png")):
        name = flow.stem.removesuffix("_10")
        pairs.append(Pair(name, frames / f"{name}_10.png", frames / f"{name}_11.png", flow))
    return pairs


def _things(root: Path, data: str, split: str) -> list[Pair]:
    frames = _folder(root / "frames_finalpass" / split.upper(), "the frames of the final pass")
    flows = _folder(root / "optical_flow" / split.upper(), "the flow of every frame")
    pairs = []
    for folder in sorted(flows.glob("*/*/into_future/left")):
        numbers = sorted(_number(flow, "OpticalFlowIntoFuture_", "_L") for flow in folder.glob("*_L.pfm"))
        clip = Path(*folder.relative_to(flows).parts[:2])  # such as A/0000
        place = frames / clip / "left"
        # Frames come as WebP or PNG. The flow of the last one leads to a frame that was not published.
        suffix = ".webp" if numbers and (place / f"{numbers[0]:04d}.webp").is_file() else ".png"
        for number in numbers[:-1]:
            first, second = (place / f"{n:04d}{suffix}" for n in (number, number + 1))
            flow = folder / f"OpticalFlowIntoFuture_{number:04d}_L.pfm"
            pairs.append(Pair(f"{clip.as_posix()}/{number:04d}", first, second, flow))
    return pairs


def _flow_pair(root: Path, data: str, split: str) -> list[Pair]:
    frames, flows = list_frames(root), sorted(root.glob("*.flo"))
    if (len(frames), len(flows)) != (2, 1):
        found = f"{len(frames)} frames and {len(flows)} .flo files"
        raise ValueError(f"{root}: {found}; expected two frames and the flow that another program computed for them")
    return [Pair(frames[0].stem, *frames, flows[0])]


# Triplets


def _vimeo(root: Path, data: str, split: str) -> list[Triplet]:
    return [
        Triplet(name, tuple(root / "sequences" / name / f"im{number}.png" for number in (1, 2, 3)))
        for name in list_clips(root / f"tri_{split}list.txt")
    ]


def _ytvos(root: Path, data: str, split: str) -> list[Triplet]:
    places = [root / part / "JPEGImages" for part in YTVOS_FOLDERS[split]]
    place = _folder(next((place for place in places if place.is_dir()), places[0]), "a folder of frames for each video")
    triplets = []
    for video in sorted(path for path in place.iterdir() if path.is_dir()):
        frames = list_frames(video)
        for start in range(0, len(frames) - 2, 3):
            three = tuple(frames[start : start + 3])
            triplets.append(Triplet(f"{video.name}/{three[1].stem}", three))
    return triplets


def _middlebury(root: Path, data: str, split: str) -> list[Triplet]:
    inputs, truths = root / "other-data", root / "other-gt-interp"
    if not inputs.is_dir():
        inputs = truths = root
    triplets = []
    for truth in sorted(truths.glob("*/frame10i11.png")):
        scene = inputs / truth.parent.name
        triplets.append(Triplet(scene.name, (scene / "frame10.png", truth, scene / "frame11.png")))
    return triplets


def _folder(path: Path, what: str) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder; expected {what} (datasets/README.md)")
    return path


def _number(path: Path, prefix: str, suffix: str = "") -> int:
    text = path.stem.removeprefix(prefix).removesuffix(suffix)
    if not text.isdecimal():
        raise ValueError(f"{path}: expected a name such as {prefix}0001{suffix}{path.suffix}; move it away")
    return int(text)


_FINDERS = {
    "sintel_clean": _sintel, "sintel_final": _sintel, "chairs": _chairs, "kitti15": _kitti15, "things": _things,
    "flow_pair": _flow_pair, "vimeo90k": _vimeo, "ytvos": _ytvos, "middlebury": _middlebury,
}  # fmt: skip
