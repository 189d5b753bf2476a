"""A download of Vid4 or SPMCS-30 into our layout (common/sets/vid4_spmcs.py), and its low-resolution frames.

The command line that `datasets/prepare_vid4.py` and `prepare_spmcs.py` share.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.atomic import write_bytes
from common.cli import Parser, UsageError
from common.media.image import list_frames, read_image, write_image
from common.sets.resumable_jobs import run_jobs
from common.sets.vid4_spmcs import LOWS, ClipSet, check, contents, low_size, made_low, match_low, read_sized
from common.sets.vimeo90k import MARKER, is_whole_png
from common.stop_request import StopRequest

# How the folders of a download are called.
FOLDERS = {"GT": "GT", "HR": "GT", "truth": "GT", "LR_bicubic": "BIx4"} | {kind: kind for kind in LOWS}


def main(argv: list[str], published: ClipSet) -> int:
    """The command line of both scripts; returns the exit code, 1 if a fault was found."""
    name = published.folder
    parser = Parser(description=f"Prepare and check {name}; without a flag, tell what to download.")
    parser.add_argument("--root", type=Path, default=Path("./datasets"), help="folder of the data sets")
    parser.add_argument("--source", type=Path, help=f"the unpacked download: copy its frames into --root, as {name}")
    parser.add_argument(
        "--make", nargs="+", choices=[kind.replace("x4", "") for kind in LOWS], metavar="KIND",
        help="write low-resolution frames, BI or BD, or BIup_direct: BI enlarged, for TOFlow; what is there stays",
    )  # fmt: skip
    parser.add_argument("--rounding", choices=("once", "per-axis"), help="of --make BI; once unless given")
    parser.add_argument("--mend", action="store_true", help="write frames again that are there, but damaged")
    parser.add_argument("--check", action="store_true", help="read every frame under --root and list what is wrong")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="frames read or made at once")
    options = parser.parse_args(argv)
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    if options.rounding and "BI" not in (options.make or ()):
        raise UsageError("--rounding is for --make BI: add it")
    if options.mend and not (options.make or options.source):
        raise UsageError("--mend is for --make and --source: add one")
    if not (options.source or options.make or options.check):
        script = f"python datasets/{Path(sys.argv[0]).name}"
        print(published.instructions.format(script=script, root=options.root))
        return 0
    folder, code = options.root / name, 0
    cv2.setNumThreads(1)  # decoding lets go of the interpreter, so threads share the cores
    with StopRequest() as stop:
        if options.source:
            code = arrange(folder, published, options, stop)
        if options.make and code < 128:
            code = max(code, make(folder, published, options, stop))
    if options.check and code < 128:
        code = max(code, check(folder, contents(folder, published), options.workers))
    return code


# Laying out


def arrange(folder: Path, published: ClipSet, options, stop: StopRequest) -> int:
    """Copy the clips of a download to where the readers look for them. Returns the exit code.

    PNG files are copied as they are, others become PNG. What is there already must have the same pixels.

    Raises:
        UsageError: no clip is found, or one is found twice, or the folder of one holds other files.
        ValueError: a clip is not whole, or a frame is damaged or differs from the one that is there.
    """
    source, jobs = options.source, []
    if not source.is_dir():
        raise UsageError(f"--source {source}: no such folder; unpack the download and name its folder")
    if (folder / MARKER).exists():
        raise UsageError(f"{folder} holds synthetic clips, which are not mixed with others: move it away")
    for (kind, clip), place in find_clips(source, published).items():
        frames, facts = list_frames(place), published.facts(clip)
        if len(frames) != facts.frames:
            raise ValueError(f"{place}: {len(frames)} frames, expected {facts.frames}: get the whole clip")
        targets = [folder / kind / clip / f"{number:08d}.png" for number in range(facts.frames)]
        others = set(list_frames(targets[0].parent)) - set(targets) if targets[0].parent.is_dir() else ()
        if others:
            raise UsageError(f"{min(others)} is there under a name of its own: move {targets[0].parent} away")
        size = low_size(kind, facts.size)
        jobs += [(path, target, size, options.mend) for path, target in zip(frames, targets, strict=True)]
    copied, left = run_jobs(copy_frame, jobs, workers=options.workers, title=published.folder, unit="frame", stop=stop)
    if left:
        print(f"{folder}: stopped, {left} of {len(jobs)} frames left; the same command goes on")
        return 128 + stop.signal
    print(f"{folder}: {len(jobs)} frames, {sum(copied)} of them new")
    return 0


def find_clips(source: Path, published: ClipSet) -> dict[tuple[str, str], Path]:
    """The folders of frames in a download, by kind (GT or one of `LOWS`) and clip.

    Found are <clip>/truth, GT/<clip> and the like (see `FOLDERS`); where no true frames are called so, those of <clip>.

    Raises:
        UsageError: none is found, or one twice.
    """
    named, plain = [], []
    for place, folders, _ in os.walk(source.resolve()):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "@")))
        place = Path(place)
        if not list_frames(place):
            continue
        if place.name in FOLDERS:
            named.append((FOLDERS[place.name], place.parent.name, place))
        elif place.parent.name in FOLDERS:
            named.append((FOLDERS[place.parent.name], place.name, place))
        else:
            plain.append(("GT", place.name, place))
    found = {}
    for kind, clip, place in named if "GT" in {kind for kind, _, _ in named} else named + plain:
        if not published.facts(clip):
            continue
        if (kind, clip) in found:
            twice = f"{clip} is in {source} twice, as {found[kind, clip]} and {place}"
            raise UsageError(f"{twice}: name the folder of one as --source")
        found[kind, clip] = place
    if not found:
        names = f" ({', '.join(published.clips)})" if published.clips else ""
        raise UsageError(f"--source {source}: found no clip of {published.folder}{names}; see it without flags")
    return found


def copy_frame(job: tuple[Path, Path, tuple[int, int], bool]) -> bool:
    """Copy a frame of this width and height; whether that was needed.

    Raises:
        ValueError: it is damaged or of another size, or its target is there with other pixels.
    """
    path, target, size, mend = job
    image = read_sized(path, size)
    if target.exists() and not (mend and defect(target)):
        if defect(target):
            raise ValueError(f"{defect(target)}; --mend writes it again")
        if not np.array_equal(read_image(target), image):
            raise ValueError(f"{target} is there with other pixels than {path}: move it away, or choose another --root")
        return False
    if path.suffix.lower() == ".png":
        write_bytes(target, path.read_bytes(), sync=False)
    else:
        write_image(target, image)
    return True


# Making low-resolution frames


def make(folder: Path, published: ClipSet, options, stop: StopRequest) -> int:
    """Write the low-resolution frames that are missing; print a line a folder. Returns the exit code.

    A folder that holds frames of another kind stays as it is and is named: 1 if it is no folder of what was asked for.

    Raises:
        ValueError: a true frame is missing or damaged.
    """
    if not (folder / "GT").is_dir():
        raise UsageError(f"{folder / 'GT'}: no such folder; get {published.folder} (datasets/README.md), see --source")
    clips = sorted(path for path in (folder / "GT").iterdir() if path.is_dir() and list_frames(path))
    code = 0
    for short in dict.fromkeys(options.make):
        kind = short[:2] + "x4" + short[2:]
        jobs = []
        for clip in clips:
            truths = list_frames(clip)
            targets = [folder / kind / clip.name / f"{path.stem}.png" for path in truths]
            missing, notes, wrong = plan(kind, truths, targets, options.rounding, options.mend)
            for note in notes:
                print(note)
            code = max(code, int(wrong))
            jobs += [(kind, truths[number], targets[number], options.rounding) for number in missing]
        done, left = run_jobs(make_frame, jobs, workers=options.workers, title=kind, unit="frame", stop=stop)
        if left:
            print(f"{folder / kind}: stopped, {left} of {len(jobs)} frames left; the same command goes on")
            return 128 + stop.signal
        print(f"{folder / kind}: {len(done)} new frames")
    return code


def plan(
    kind: str, truths: list[Path], targets: list[Path], rounding: str | None, mend: bool
) -> tuple[list[int], list[str], bool]:
    """What to make for one clip: numbers of frames, lines to print, and whether something is wrong."""
    folder = targets[0].parent
    there = list_frames(folder) if folder.is_dir() else []
    if not there:
        return list(range(len(targets))), [], False
    if set(there) <= set(targets):
        damaged = list(damaged_frames(kind, truths, targets))
        if damaged and not mend:
            return [], [f"{message}; --mend writes it again" for _, message in damaged], True
        broken = {number for number, _ in damaged}
        whole = [number for number, path in enumerate(targets) if path.exists() and number not in broken]
        made = made_low(read_image(truths[whole[0]]), kind, rounding) if whole else None
        if not whole or np.array_equal(read_image(targets[whole[0]]), made):
            return sorted({*range(len(targets))} - {*whole}), [], False
        pair = targets[whole[0]], truths[whole[0]]
    else:
        pair = there[0], truths[0]
    try:
        match = match_low(*map(read_image, pair), kind)
    except ValueError as error:
        return [], [f"{folder} stays as it is: {error}"], True
    note = f"{folder} stays as it is, {len(there)} frames: {match}"
    if len(there) == len(truths) and match.fits and match.name in LOWS[kind]:
        return [], [note], False
    return [], [f"{note}; move it away to make {kind}"], True


def damaged_frames(kind: str, truths: list[Path], targets: list[Path]) -> Iterator[tuple[int, str]]:
    """Numbers of the frames that are there and cannot be read, and why. Whole ones of another size do not count."""
    height, width, _ = read_image(truths[0]).shape
    for number, path in enumerate(targets):
        if path.exists() and not is_whole_png(path, low_size(kind, (width, height))):
            message = defect(path)
            if message:
                yield number, message


def defect(path: Path) -> str:
    """Why a frame cannot be read; empty if it can."""
    try:
        read_image(path)
    except ValueError as error:
        return str(error).removesuffix("; copy, download or extract it again")
    return ""


def make_frame(job: tuple[str, Path, Path, str | None]) -> None:
    kind, truth, target, rounding = job
    write_image(target, made_low(read_image(truth), kind, rounding))
