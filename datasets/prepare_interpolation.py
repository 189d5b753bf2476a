"""Test sets of frame interpolation: what to download, where it goes, a check of every file; Adobe240's frames.

python datasets/prepare_interpolation.py --set ucf101                       what to download
python datasets/prepare_interpolation.py --set ucf101 --check               read every frame
python datasets/prepare_interpolation.py --set adobe240 --source VIDEOS     decode its 8 test videos into ./datasets
"""

import re
import sys
from itertools import pairwise
from pathlib import Path
from textwrap import fill

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2
import numpy as np

from common import cli
from common.cli import UsageError
from common.media.image import list_frames, read_image, write_image
from common.media.video_reader import open_clip
from common.sets import file_lists
from common.sets.file_lists import FileSet, Item, Listing
from common.sets.resumable_jobs import run_jobs
from common.sets.vimeo90k import MARKER
from common.stop_request import StopRequest
from ifrnet.sets import ADOBE240, GOPRO, GROUP, SNU_FILM, Sample, find_samples

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
GOPRO_FRAMES = 34874  # that GOPRO_Large's blurry frames average: their number times that of the frames in each
SMALL = {"Dimetrodon": (584, 388), "Hydrangea": (584, 388), "RubberWhale": (584, 388), "Venus": (420, 380)}
MIDDLEBURY_SIZES = {
    name: SMALL.get(name, (640, 480))
    for name in (
        "Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea", "MiniCooper", "RubberWhale", "Urban2",
        "Urban3", "Venus", "Walking",
    )
}  # fmt: skip

UCF101_TEXT = """UCF101 in the selection of Deep Voxel Flow (Liu et al., ICCV 2017): 379 triplets, 256x256.

1. Download the test frames from
     https://liuziwei7.github.io/projects/VoxelFlow
   and unpack them in {root}; 0.3 GB at most when unpacked. See the page for the licence.
2. Read every frame, once:
     {script} --root {root} --check

{root}/ucf101_interp_ours/<id>           379 folders
├── frame_00.png, frame_02.png           the two inputs
├── frame_01_gt.png                      the truth
└── frame_01_ours.png                    that paper's result: not read"""

SNU_FILM_TEXT = """SNU-FILM (Choi et al., AAAI 2020): 4 x 310 triplets, easy to extreme, up to 1280x720.

1. Download the frames and the four lists from
     https://myungsub.github.io/CAIN
   and unpack them in {root}/SNU-FILM. What the lists name is 11 GB at most. See the page for the licence.
2. Read every frame that the lists name, once:
     {script} --root {root} --check

{root}/SNU-FILM
├── test-easy.txt, test-medium.txt, test-hard.txt, test-extreme.txt
│                                        310 lines each, of three paths: first, truth, last
└── test/GOPRO_test/...                  what the lists name, such as data/SNU-FILM/test/GOPRO_test/...;
                                         what stands before test/ does not matter"""

MIDDLEBURY_TEXT = """Middlebury OTHER, of the benchmark of optical flow: 12 triplets, 640x480 and smaller.

1. Download the two-frame colour images of the other data (other-color-twoframes) and their interpolation truth
   (other-gt-interp) from
     https://vision.middlebury.edu/flow/data/
   and unpack both in {root}/Middlebury; 0.04 GB at most when unpacked. See the page for the terms of use.
2. Read every frame, once:
     {script} --root {root} --check

{root}/Middlebury
├── other-data/<scene>/frame10.png, frame11.png      the two inputs
└── other-gt-interp/<scene>/frame10i11.png           the truth of 12 scenes; or all three in Middlebury/<scene>

640x480, but Dimetrodon, Hydrangea, RubberWhale 584x388 and Venus 420x380. The folder may be called Middlebury_other."""

GOPRO_TEXT = """GoPro, sharp frames at 240 a second, 1280x720 (Nah et al., CVPR 2017), for IFRNet x8.

1. Download GOPRO_Large_all.zip from
     https://seungjunnah.github.io/Datasets/gopro
   and unpack it in {root}: 34,874 frames or more, up to 2.8 MB each. The page states the licence. Not GOPRO_Large.zip:
   that is the set for deblurring.
2. Read every frame, once:
     {script} --root {root} --check

{root}/GOPRO_Large_all
├── train/<video>/000001.png     22 videos
└── test/<video>/000001.png      11 videos; or all 33 directly in GOPRO_Large_all

Test:
{tests}
The other 22 train. prepare_nah.py --make_blur makes blurry frames of them."""

ADOBE240_TEXT = """Adobe240: the 133 videos of high frame rate that DVD (Su et al., CVPR 2017) was made of, for IFRNet.

1. Download DeepVideoDeblurring_Dataset_Original_High_FPS_Videos.zip from
     http://www.cs.ubc.ca/labs/imager/tr/2017/DeepVideoDeblurring/
   and unpack it anywhere. The page states the terms of use.
2. Decode the 8 test videos; a frame of 1280x720 takes up to 2.8 MB. --all decodes every video:
     {script} --root {root} --source VIDEOS
3. Read every frame, once:
     {script} --root {root} --check

{root}/Adobe240/<video>/00000.png, 00001.png, ...

IFRNet's test list was never published. These 8 are MMEditing's, so its numbers are of other videos than the paper's:
{tests}"""


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code, 1 if a fault was found."""
    parser = file_lists.parser("Check a test set of frame interpolation; without --check, tell what to download.", SETS)
    parser.add_argument("--source", type=Path, help="adobe240: folder of its videos, to decode; what is there stays")
    parser.add_argument("--all", action="store_true", help="with --source: every video, not only the 8 of the test")
    options = parser.parse_args(argv)
    if options.source and options.set != "adobe240":
        raise UsageError(f"--source --set {options.set}: only adobe240 is decoded from videos; leave out --source")
    if options.all and not options.source:
        raise UsageError("--all is for --source: add it")
    if options.source:
        code = decode(options.source, options.root / "Adobe240", options.all, options.workers)
        if code or not options.check:
            return code
    return file_lists.run(options, SETS, __file__)


# What the folders hold


def samples_of(folder: Path, data: str, split: str = "test") -> tuple[list[Sample], list[str]]:
    """The samples that IFRNet would read, or a line that says why there are none."""
    try:
        return find_samples(folder.parent, data, split), []
    except ValueError as error:
        return [], [str(error)]


def list_ucf101(folder: Path) -> Listing:
    samples, faults = samples_of(folder, "ucf101")
    return [Item(sample.frames) for sample in samples], {"folders": len(samples)} if samples else {}, faults


def list_snu_film(folder: Path) -> Listing:
    """The triplets of all lists, which share frames."""
    items, counts, faults = [], {}, []
    for level in SNU_FILM:
        samples, wrong = samples_of(folder, level)
        items += [Item(sample.frames) for sample in samples]
        faults += wrong
        if samples:
            counts[f"{level.removeprefix('snu_film_')} triplets"] = len(samples)
    return items, counts, faults


def list_middlebury(folder: Path) -> Listing:
    samples, faults = samples_of(folder, "middlebury")
    items = [Item(sample.frames, size=MIDDLEBURY_SIZES.get(sample.name)) for sample in samples]
    missing = MIDDLEBURY_SIZES.keys() - {sample.name for sample in samples} if samples else ()
    return items, {}, faults + [f"{folder}: {name}/frame10i11.png is missing" for name in sorted(missing)]


def list_gopro(folder: Path) -> Listing:
    """The videos of both splits; a synthetic set has other names."""
    items, counts, faults = [], {}, []
    synthetic = (folder / MARKER).is_file()
    for split, names in GOPRO.items():
        own, wrong = list_videos(folder, "gopro", split, () if synthetic else names)
        items += own
        faults += wrong
        counts[f"{split} videos"] = len(own)
    number = counts["frames"] = sum(len(item.frames) for item in items)
    if not synthetic and not faults and number < GOPRO_FRAMES:
        faults.append(f"{folder}: {number} frames, expected {GOPRO_FRAMES} or more, which GOPRO_Large is made of")
    return items, counts, faults


def list_adobe240(folder: Path) -> Listing:
    """The test videos, and all others that are there."""
    items, faults = list_videos(folder, "adobe240", "test", ADOBE240)
    for video in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "@"))):
        if video.name not in ADOBE240:
            items.append(Item(tuple(list_frames(video))))
            faults += gaps(items[-1].frames)
    return items, {}, faults


def list_videos(folder: Path, data: str, split: str, names: tuple[str, ...]) -> tuple[list[Item], list[str]]:
    """The videos that samples of a set are made of, whole; a fault for each of the names that is none of them."""
    samples, faults = samples_of(folder, data, split)
    videos = list(dict.fromkeys(sample.frames[0].parent for sample in samples))
    if samples:
        missing = [name for name in names if name not in {video.name for video in videos}]
        faults += [f"{folder}: {split} video {name} is missing or has less than {GROUP} frames" for name in missing]
    items = [Item(tuple(list_frames(video))) for video in videos]
    return items, faults + [fault for item in items for fault in gaps(item.frames)]


def gaps(frames: tuple[Path, ...]) -> list[str]:
    """Where frames of a video are missing, by the numbers at the ends of their names."""
    numbers = [int(match[0]) if (match := re.search(r"\d+$", path.stem)) else -1 for path in frames]
    pairs = zip(pairwise(frames), pairwise(numbers), strict=True)
    return [f"{b}: follows {a.name}; get what is missing between them" for (a, b), (m, n) in pairs if n != m + 1]


# Adobe240: videos into frames


def decode(source: Path, folder: Path, everything: bool, workers: int) -> int:
    """Write the frames of videos that are missing, <folder>/<video>/00000.png and so on. Returns the exit code.

    Raises:
        UsageError: no video is found, or one twice.
        ValueError: a video is damaged, or its folder holds other frames.
    """
    if workers < 1:
        raise UsageError(f"--workers {workers}: expected 1 or more")
    if not source.is_dir():
        raise UsageError(f"--source {source}: no such folder; unpack the videos and name their folder")
    videos: dict[str, Path] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() not in VIDEO_SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if not everything and path.stem not in ADOBE240:
            continue
        if path.stem in videos:
            raise UsageError(f"{path.stem} is in {source} twice, as {videos[path.stem]} and {path}: remove one")
        videos[path.stem] = path
    if not videos:
        wanted = "video" if everything else f"video of the test ({', '.join(ADOBE240)})"
        raise UsageError(f"--source {source}: found no {wanted}; expected files ending in {' '.join(VIDEO_SUFFIXES)}")
    cv2.setNumThreads(1)  # videos are decoded side by side
    with StopRequest() as stop:
        done, _ = run_jobs(
            lambda path: decode_video(path, folder / path.stem, stop),
            list(videos.values()), workers=workers, title=folder.name, unit="video", stop=stop,
        )  # fmt: skip
    whole = [counts for counts in done if counts]
    if len(whole) < len(videos):
        left = len(videos) - len(whole)
        print(f"{folder}: stopped, {left} of {len(videos)} videos left; the same command goes on")
        return 128 + stop.signal
    frames, new = map(sum, zip(*whole, strict=True))
    print(f"{folder}: {len(whole)} videos, {frames} frames, {new} of them new")
    missing = [] if everything else [name for name in ADOBE240 if name not in videos]
    for name in missing:
        print(f"{source}: holds no video {name}")
    return 1 if missing else 0


def decode_video(path: Path, folder: Path, stop: StopRequest) -> tuple[int, int] | None:
    """Write the frames that are missing; the number of frames and of new ones, or None if a signal came before the end.

    Raises:
        ValueError: the video is damaged, or the folder holds a frame that is none of it.
    """
    clip = open_clip(path)
    there = set(list_frames(folder)) if folder.is_dir() else set()
    other = f"move {folder} away, or choose another --root"
    strange = [path for path in there if not re.fullmatch(r"\d{5,}\.png", path.name)]
    if strange:
        raise ValueError(f"{min(strange)} is no frame of {path}: {other}")
    if len(there) == sum(1 for _ in clip.times()) and there == {folder / f"{n:05d}.png" for n in range(len(there))}:
        return len(there), 0
    number = new = 0
    for image in clip:
        if stop.signal is not None:
            return None
        target = folder / f"{number:05d}.png"
        if target not in there:
            write_image(target, image)
            new += 1
        elif not np.array_equal(read_image(target), image):
            raise ValueError(f"{target} is there with other pixels than frame {number} of {path}: {other}")
        there.discard(target)
        number += 1
    if there:
        raise ValueError(f"{min(there)} is no frame of {path}, which has {number}: {other}")
    return number, new


def listed(videos: tuple[str, ...]) -> str:
    return fill(" ".join(videos), 100, initial_indent="  ", subsequent_indent="  ")


SETS = {
    "ucf101": FileSet("ucf101_interp_ours", UCF101_TEXT, list_ucf101, {"folders": 379}, (256, 256)),
    "snu_film": FileSet(
        "SNU-FILM", SNU_FILM_TEXT, list_snu_film,
        dict.fromkeys(("easy triplets", "medium triplets", "hard triplets", "extreme triplets"), 310),
    ),
    "middlebury": FileSet("Middlebury", MIDDLEBURY_TEXT, list_middlebury, {}, also="Middlebury_other"),
    "gopro": FileSet(
        "GOPRO_Large_all", GOPRO_TEXT.replace("{tests}", listed(GOPRO["test"])), list_gopro, {}, (1280, 720),
        told=lambda clips, frames: {
            "train videos": clips["train"], "test videos": clips["test"], "frames": sum(clips.values()) * frames
        },
    ),
    "adobe240": FileSet("Adobe240", ADOBE240_TEXT.replace("{tests}", listed(ADOBE240)), list_adobe240, {}),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(cli.run(main))
