"""What training and evaluation read: the data sets as they lie on disk, as lists of samples.

Nothing is opened here but lists: a file that is missing or broken is named when it is read.
"""

from dataclasses import dataclass
from pathlib import Path

from common.degrade.by_name import CLIPWISE, DEGRADATIONS, DRAWN, NOISE
from common.media.frame_windows import neighbour_indices
from common.media.image import list_frames
from common.sets import clips as clip_sets
from common.sets.clips import Clip, clip_set
from common.sets.vimeo90k import list_clips, read_text

WINDOW = 7  # frames that the network sees to better the middle one
TASKS = ("interp", "denoise", "deblock", "sr")
TASK_OF = dict.fromkeys(NOISE, "denoise") | {"bicubic_x4": "sr"}  # of degradations; the others are compression
SUFFIXES = ("", *(f"_{name}" for name in DEGRADATIONS))  # behind the name of a set of clips
VID4_PADDING = "reflection_circle"  # of the windows at the ends of a clip, as MMagic scores
CLIP_STEP = 4  # of a set of clips every fourth frame is made better in testing: neighbours tell the same
CLIP_PADDING = "replicate"  # likewise, of any clips, as of your own video


@dataclass(frozen=True)
class DataSet:
    """A set to train on or to test with.

    `folder` lies in the data root; `task` is what the set is for; `degradation` (one of `DEGRADATIONS`) makes the input
    of its frames; `count` tells how many samples its published test list has.
    """

    folder: str
    task: str
    degradation: str = ""
    count: int = 0
    trains: bool = True


SETS = {
    "vimeo90k": DataSet("vimeo_triplet", "interp", count=3782),
    "ucf101": DataSet("ucf101_interp_ours", "interp", count=379, trains=False),
    **{f"vimeo_{name}": DataSet("vimeo_septuplet", TASK_OF.get(name, "deblock"), name, 7824) for name in DEGRADATIONS},
    "vid4": DataSet("Vid4", "sr", "bi_x4", 171, trains=False),
}
TRAINING_SETS = tuple(name for name, data in SETS.items() if data.trains)
FLOW_SETS = ("sintel", "chairs")
MAKE = {"vimeo_triplet": "vimeo_triplet", "vimeo_septuplet": "vimeo_septuplet", "Vid4": "vid4"}  # folder: layout


def data_set(name: str) -> DataSet:
    """What a name of `--data` means: one of `SETS`, or a set of clips with one of `SUFFIXES` behind it.

    Raises:
        KeyError: neither.
    """
    folder, suffix = clip_set(name, SUFFIXES)
    if not folder:
        return SETS[name]
    degradation = suffix.removeprefix("_")
    return DataSet(folder, TASK_OF.get(degradation, "deblock") if degradation else "interp", degradation)


def is_shared(name: str) -> bool:
    """Whether samples of a set share frames that look alike in each, so that they need to be made only once."""
    return name == "vid4" or (name not in SETS and data_set(name).degradation not in (*DRAWN, *CLIPWISE))


@dataclass(frozen=True)
class Sample:
    """What one result is made from.

    Attributes:
        name: unique in its set, with slashes: clip/sequence of Vimeo, clip/frame of Vid4 and of sets of clips.
        frames: the two frames around the target, or the seven around and with it, before `degradation`.
        target: the true frame.
        degradation: what is done to the frames when they are read; empty: nothing.
        flows: where labels from the target to the two frames (.flo, pixels) are, if there are any.
    """

    name: str
    frames: tuple[Path, ...]
    target: Path
    degradation: str = ""
    flows: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class FlowSample:
    """Two frames and the flow from the first to the second (.flo, pixels)."""

    name: str
    frames: tuple[Path, Path]
    flow: Path


def find_samples(data_root: str | Path, data: str, split: str, *, prepared: bool = False) -> list[Sample]:
    """List the samples of a set, in the order of its list or of its names.

    Args:
        data_root: folder of the data sets.
        data: one of `SETS`, or a set of clips, for testing.
        split: "train" (only of `TRAINING_SETS`) or "test".
        prepared: read frames that prepare_vimeo90k.py --degrade wrote, instead of degrading them when they are read.

    Raises:
        ValueError: the folder or its list is missing or holds no sample; or the set has no such split.
    """
    entry = data_set(data)
    if data not in SETS:
        clips = find_clips(data_root, data, split)
        return [sample for clip in clips for sample in _of_clip(clip, entry.degradation)]
    root = Path(data_root, entry.folder)
    if split == "train" and not entry.trains:
        raise ValueError(f"{data} is for testing: train on one of {', '.join(TRAINING_SETS)}")
    if not root.is_dir():
        make = MAKE.get(entry.folder)
        clips = f", or make clips: python datasets/make_synthetic.py --layout {make}" if make else ""
        raise ValueError(f"{root}: no such folder; set --data_root, get {data} (datasets/README.md){clips}")
    if data == "vimeo90k":
        samples = _triplets(root, split)
    elif data == "ucf101":
        samples = _ucf101(root)
    elif data == "vid4":
        samples = _vid4(root)
    else:
        samples = _septuplets(root, split, entry.degradation, prepared)
    if not samples:
        raise ValueError(f"{root}: holds no sample of {data} ({split}); expected the layout of datasets/README.md")
    return samples


def find_clips(data_root: str | Path, data: str, split: str = "train") -> list[Clip]:
    """The clips of a set of clips that are long enough, of three frames or more.

    Raises:
        ValueError: there are none.
    """
    return clip_sets.find_clips(data_root, data_set(data).folder, split, least=3)


def _of_clip(clip: Clip, degradation: str) -> list[Sample]:
    """To test with: every second frame, between its neighbours; or, with a degradation, every fourth frame."""
    samples = []
    for number in range(0, len(clip), CLIP_STEP) if degradation else range(1, len(clip) - 1, 2):
        window = (number - 1, number + 1)
        if degradation:
            window = neighbour_indices(number, WINDOW, len(clip), padding=CLIP_PADDING)
        target = clip.frames[number]
        frames = tuple(clip.frames[k] for k in window)
        samples.append(Sample(f"{clip.name}/{target.stem}", frames, target, degradation))
    return samples


def _triplets(root: Path, split: str) -> list[Sample]:
    samples = []
    for name in list_clips(root / f"tri_{split}list.txt"):
        first, target, last = (root / "sequences" / name / f"im{number}.png" for number in (1, 2, 3))
        flows = (root / "flow" / name / "flow_t0.flo", root / "flow" / name / "flow_t1.flo")
        samples.append(Sample(name, (first, last), target, flows=flows))
    return samples


def _septuplets(root: Path, split: str, degradation: str, prepared: bool) -> list[Sample]:
    folder = root / "degraded" / degradation
    if prepared and not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder; make it (python datasets/prepare_vimeo90k.py --layout vimeo_septuplet "
            f"--degrade {degradation}), or leave out --prepared"
        )
    samples = []
    for name in list_clips(root / f"sep_{split}list.txt"):
        sharp = [root / "sequences" / name / f"im{number}.png" for number in range(1, WINDOW + 1)]
        made = [folder / name / f"im{number:04}.png" for number in range(1, WINDOW + 1)]
        frames = tuple(made if prepared else sharp)
        samples.append(Sample(name, frames, sharp[WINDOW // 2], "" if prepared else degradation))
    return samples


def _ucf101(root: Path) -> list[Sample]:
    samples = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        first, target, last = (folder / f"{name}.png" for name in ("frame_00", "frame_01_gt", "frame_02"))
        samples.append(Sample(folder.name, (first, last), target))
    return samples


def _vid4(root: Path) -> list[Sample]:
    samples = []
    truths, ready = root / "GT", root / "BIx4up_direct"
    for clip in sorted(path for path in truths.iterdir() if path.is_dir()) if truths.is_dir() else ():
        targets = list_frames(clip)
        if len(targets) < WINDOW:
            raise ValueError(f"{clip}: {len(targets)} frames; expected {WINDOW} or more")
        inputs = [ready / clip.name / path.name for path in targets] if (ready / clip.name).is_dir() else targets
        for number, target in enumerate(targets):
            window = neighbour_indices(number, WINDOW, len(targets), padding=VID4_PADDING)
            degradation = "" if inputs[number] != target else SETS["vid4"].degradation
            samples.append(Sample(f"{clip.name}/{target.stem}", tuple(inputs[k] for k in window), target, degradation))
    return samples


def find_flow_samples(data_root: str | Path, data: str) -> list[FlowSample]:
    """List the training pairs of a set with known flow.

    Args:
        data_root: folder of the data sets.
        data: one of `FLOW_SETS`: MPI-Sintel (clean and final pass), FlyingChairs (the training part of its split).

    Raises:
        ValueError: the folder is missing or holds no pair, or the split does not fit.
    """
    root = Path(data_root, {"sintel": "MPI-Sintel", "chairs": "FlyingChairs"}[data])
    if not root.is_dir():
        raise ValueError(
            f"{root}: no such folder; set --data_root, get {data} (datasets/README.md), or make clips: "
            f"python datasets/make_synthetic.py --layout {data}"
        )
    samples = _sintel(root) if data == "sintel" else _chairs(root)
    if not samples:
        raise ValueError(f"{root}: holds no pair with flow; expected the layout of datasets/README.md")
    return samples


def _sintel(root: Path) -> list[FlowSample]:
    samples = []
    for pass_ in ("clean", "final"):
        for flow in sorted((root / "training" / "flow").glob("*/frame_*.flo")):
            scene, number = flow.parent.name, int(flow.stem.removeprefix("frame_"))
            frames = [root / "training" / pass_ / scene / f"frame_{n:04}.png" for n in (number, number + 1)]
            samples.append(FlowSample(f"{pass_}/{scene}/{number:04}", tuple(frames), flow))
    return samples


def _chairs(root: Path) -> list[FlowSample]:
    flows = sorted((root / "data").glob("*_flow.flo"))
    listing = root / "chairs_split.txt"
    parts = read_text(listing).split() if listing.is_file() else ["1"] * len(flows)
    if len(parts) != len(flows):
        raise ValueError(f"{listing}: {len(parts)} lines, but {root / 'data'} holds {len(flows)} flows; get it again")
    samples = []
    for flow, part in zip(flows, parts, strict=True):
        stem = flow.name.removesuffix("_flow.flo")
        frames = tuple(flow.with_name(f"{stem}_img{n}.ppm") for n in (1, 2))
        samples += [FlowSample(stem, frames, flow)] if part == "1" else []
    return samples
