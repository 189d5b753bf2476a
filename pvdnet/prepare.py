"""What `datasets/prepare_dvd.py` and `prepare_nah.py` share: a download into our layout, and a check of every frame."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
from tqdm import tqdm

from common.cli import Parser, UsageError
from common.media.image import list_frames, read_image
from pvdnet.sets import SUBFOLDERS, folders_under

MARKER = ".synthetic"  # datasets/make_synthetic.py leaves it in what it made


@dataclass(frozen=True)
class Split:
    """What a complete split holds."""

    videos: int
    frames: int | None  # in all videos; None: not published
    lengths: dict[str, int | None]  # frames of the videos whose names are published; None as above


@dataclass(frozen=True)
class PublishedSet:
    """A data set as its authors hand it out.

    `split_of` takes the folder of a video in the download and tells its split; None where it belongs to none.
    """

    data: str
    instructions: str
    splits: dict[str, Split]
    split_of: Callable[[Path], str | None]


def main(argv: list[str], published: PublishedSet) -> int:
    """The command line of both scripts; returns the exit code, 1 if a fault was found."""
    parser = Parser(description=f"Prepare and check {published.data}; without a flag, tell what to download.")
    parser.add_argument("--root", type=Path, default=Path("./datasets"), help="folder of the data sets")
    parser.add_argument("--source", type=Path, help="the unpacked download: link (or copy) its frames into --root")
    parser.add_argument("--check", action="store_true", help="read every frame under --root and list what is wrong")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="frames decoded at once")
    options = parser.parse_args(argv)
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    if options.source:
        arrange(options.source, options.root, published)
    if options.check:
        return check(options.root, published, options.workers)
    if not options.source:
        print(published.instructions.format(script=f"python datasets/{Path(sys.argv[0]).name}", root=options.root))
    return 0


def arrange(source: Path, root: Path, published: PublishedSet) -> None:
    """Put the videos of a download where the readers look for them; `source` itself is left as it is.

    Frames are hard links where the file system allows it, else copies. A split appears under its name only when it is
    complete, and one that is there is never touched.

    Raises:
        UsageError: no video is found, one is found twice or without its sharp frames, or a split is there already.
    """
    if not source.is_dir():
        raise UsageError(f"--source {source}: no such folder; unpack the download and name its folder")
    blurry, sharp = SUBFOLDERS[published.data]
    found: dict[Path, dict[str, Path]] = {}  # folder of a split: its videos
    for folder in folders_under(source):
        split = published.split_of(folder.resolve().parent) if folder.name == blurry else None
        if split is None:
            continue
        video = folder.resolve().parent
        if not (folder.parent / sharp).is_dir():
            raise UsageError(f"{folder.parent} holds {blurry} without {sharp}: unpack the download again")
        videos = found.setdefault(root / f"{split}_{published.data}", {})
        if video.name in videos:
            raise UsageError(
                f"{video.name} is in {source} twice, as {videos[video.name]} and {video}: name one --source"
            )
        videos[video.name] = video
    if not found:
        raise UsageError(f"--source {source}: found no video with {blurry} and {sharp} that belongs to a split")
    for target in found:
        if os.path.lexists(target):
            raise UsageError(f"{target} is there already: move it away, choose another --root, or only --check it")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is unfinished is removed
    for target, videos in found.items():
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            for name, video in tqdm(videos.items(), target.name, unit="video", disable=None):
                for kind in (blurry, sharp):
                    (temporary / name / kind).mkdir(parents=True)
                    for frame in list_frames(video / kind):
                        _link(frame, temporary / name / kind / frame.name)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        print(f"{target}: {len(videos)} videos")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copy2(source, target)


def check(root: Path, published: PublishedSet, workers: int) -> int:
    """Read every frame of both splits; print a line a fault and a summary. Returns the exit code."""
    count = 0
    for name, split in published.splits.items():
        for fault in faults(root / f"{name}_{published.data}", split, SUBFOLDERS[published.data], workers):
            tqdm.write(fault, file=sys.stdout)
            count += 1
    summary = f"{count} fault{'s' * (count > 1)}" if count else "complete, every frame readable"
    print(f"{published.data} in {root}: {summary}")
    return 1 if count else 0


def faults(folder: Path, split: Split, subfolders: tuple[str, str], workers: int) -> Iterator[str]:
    """Everything that is wrong with one split.

    Args:
        folder: of the split.
        split: what it should hold; a synthetic set tells by itself.
        subfolders: names of a video's folders of blurry and of sharp frames.
        workers: frames decoded at once.

    Yields:
        A line a fault, which names the file or folder.
    """
    if not folder.is_dir():
        yield f"{folder}: no such folder"
        return
    if (folder / MARKER).is_file():
        try:
            split = _synthetic(folder)
        except (OSError, ValueError, KeyError, TypeError):
            yield f"{folder / MARKER}: damaged; make the clips again (datasets/make_synthetic.py --force)"
            return
    videos = sorted({path.parent for path in folders_under(folder) if path.name in subfolders})
    frames = {video: [_frames(video / kind) for kind in subfolders] for video in videos}
    for video, lists in frames.items():
        yield from _pair_faults(video, subfolders, lists)
    lengths = {video.relative_to(folder).as_posix(): len(blurry) for video, (blurry, _) in frames.items()}
    yield from _count_faults(folder, split, lengths)
    yield from _frame_faults({video: blurry + sharp for video, (blurry, sharp) in frames.items()}, folder.name, workers)


def _synthetic(folder: Path) -> Split:
    """What the marker of a synthetic set says that it holds."""
    marker = json.loads((folder / MARKER).read_text())
    videos = sum(marker["clips"].values())
    return Split(videos, videos * marker["frames"], {})


def _frames(folder: Path) -> list[Path]:
    return list_frames(folder) if folder.is_dir() else []


def _pair_faults(video: Path, subfolders: tuple[str, str], lists: list[list[Path]]) -> Iterator[str]:
    """Folders that are missing or empty, frames without their partner."""
    stems = [{path.stem for path in paths} for paths in lists]
    for kind, own in zip(subfolders, stems, strict=True):
        if not own:
            yield f"{video / kind}: " + ("holds no frames" if (video / kind).is_dir() else "no such folder")
    if all(stems):
        for paths, other, kind in zip(lists, stems[::-1], subfolders[::-1], strict=True):
            for path in paths:
                if path.stem not in other:
                    yield f"{path}: has no frame of this name in {kind}"


def _count_faults(folder: Path, split: Split, lengths: dict[str, int]) -> Iterator[str]:
    """Videos and frames that are too many or too few."""
    if len(lengths) != split.videos:
        yield f"{folder}: {len(lengths)} videos, expected {split.videos}"
    if split.frames is not None and sum(lengths.values()) != split.frames:
        yield f"{folder}: {sum(lengths.values())} frames, expected {split.frames}"
    for name, expected in split.lengths.items():
        if name not in lengths:
            yield f"{folder / name}: missing"
        elif expected is not None and lengths[name] != expected:
            yield f"{folder / name}: {lengths[name]} frames, expected {expected}"


def _frame_faults(videos: dict[Path, list[Path]], title: str, workers: int) -> Iterator[str]:
    """Files that cannot be read, and those that differ in size from the first of their video."""
    jobs = [(video, path) for video, paths in videos.items() for path in paths]
    sizes: dict[Path, tuple[int, int]] = {}
    cv2.setNumThreads(1)  # decoding lets go of the interpreter, so threads share the cores
    with ThreadPool(workers) as pool, tqdm(total=len(jobs), desc=title, unit="frame", disable=None) as bar:
        for (video, path), found in zip(jobs, pool.imap(_size, [path for _, path in jobs]), strict=True):
            bar.update()
            if isinstance(found, str):
                yield found
            elif found != sizes.setdefault(video, found):
                (width, height), (w, h) = found, sizes[video]
                yield f"{path}: {width}x{height} pixels, expected {w}x{h} as the first frame of the video"


def _size(path: Path) -> tuple[int, int] | str:
    """Width and height of a frame, or what is wrong with it."""
    try:
        height, width, _ = read_image(path).shape
    except (ValueError, OSError) as error:
        return str(error)
    return width, height
