"""The free set: 113 clips of open licences and 49 photographs, by the list datasets/free.csv.

python datasets/prepare_free.py --fetch                    download the originals, cut and reduce them
python datasets/prepare_free.py --source FOLDER --blur     take the finished clips, and make blurry twins
python datasets/prepare_free.py --check                    read everything
"""

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2
import numpy as np

from common import atomic, cli
from common.checkpoints.download import fetch, sha256_of
from common.cli import UsageError
from common.media.image import read_image, write_image
from common.media.video_reader import open_clip
from common.sets import clip_files
from common.sets.resumable_jobs import claim, run_jobs
from common.stop_request import StopRequest

LIST = Path(__file__).with_name("free.csv")
GITHUB = "https://raw.githubusercontent.com"
PARTS = {"upper": 0.25, "": 0.5, "lower": 0.75}  # of the rows that are cut off, those above what is kept


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code, 1 if something is missing or wrong."""
    parser = cli.Parser(description="Make and check the free set of clips and photographs.")
    add = parser.add_argument
    add("--root", type=Path, default=Path("./datasets/free"), help="folder of the set")
    add("--source", type=Path, help="folder where the finished clips lie: train/*.mp4 and photos/*.jpg")
    add("--fetch", action="store_true", help="download the originals; what is there already stays")
    add("--mirror", default=GITHUB, help="address that stands for GitHub's raw files")
    add("--blur", action="store_true", help="make blurry twins, for pvdnet")
    add("--check", action="store_true", help="read everything and list what is wrong")
    add("--list", type=Path, default=LIST, help="the list of what the set is made of")
    add("--workers", type=int, default=os.cpu_count(), help="clips made at once")
    options = parser.parse_args(argv)
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    if options.source and options.fetch:
        raise UsageError("--source and --fetch: give the one where the clips come from")
    if not (options.source or options.fetch or options.check or options.blur):
        raise UsageError("give --fetch, --source FOLDER, --blur or --check; see --help")
    cv2.setNumThreads(1)  # the threads share the cores already
    with options.list.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    code = make(lines, options) if options.source or options.fetch or options.blur else 0
    return check(lines, options.root) if options.check and not code else code


def make(lines: list[dict[str, str]], options) -> int:
    """Write what is missing. Returns the exit code."""
    root, kept = options.root, {row["clip"]: row for row in clip_files.read_manifest(options.root)}
    if options.source and not options.source.is_dir():
        raise UsageError(f"--source {options.source}: no such folder")
    if options.source or options.fetch:
        made_by = {"made_by": "datasets/prepare_free.py", "of": "finished clips" if options.source else "originals"}
        claim(root / "clips.json", made_by, "clips", "files of another origin: choose another --root")
    elif not kept:
        raise UsageError(f"{root} holds no clips: add --fetch or --source")
    jobs = defaultdict(list)  # the lines of one original, which is decoded once
    for line in lines if options.source or options.fetch else ():
        if not is_made(line, root, kept):
            jobs[line["file"] if options.source else (line["source"], line["path"])].append(line)
    with StopRequest() as stop:
        work = partial(guarded, finished if options.source else fetched, options=options)
        done, left = run_jobs(work, list(jobs.values()), workers=options.workers, title="free", unit="file", stop=stop)
        for rows, fault in done:
            kept |= {row["clip"]: row for row in rows}
            if fault:
                print(fault, file=sys.stderr)
        rows = list(kept.values())
        clip_files.write_manifest(root, rows)
        clip_files.write_csv(root / "SOURCES.csv", lines[0], (line for line in lines if is_made(line, root, kept)))
        if options.blur and not left:
            left = clip_files.add_blur(root, rows, workers=options.workers, stop=stop)
        if left:
            print(f"{root}: stopped, {left} left; the same command goes on")
            return 128 + stop.signal
    missing = sum(bool(fault) for _, fault in done)
    print(f"{root}: {len(rows)} clips" + (f"; {missing} files missing" if missing else ""))
    return 1 if missing else 0


def guarded(work, lines: list[dict[str, str]], options) -> tuple[list[dict[str, str]], str]:
    """The lines of the manifest that `work` made, and what kept it from making them."""
    try:
        return list(work(lines, options)), ""
    except ValueError as error:
        return [], f"{', '.join(line['file'] for line in lines)}: {error}"


def is_photo(line: dict[str, str]) -> bool:
    return line["file"].startswith("photos/")


def is_made(line: dict[str, str], root: Path, kept: dict[str, dict[str, str]]) -> bool:
    """Whether the file of a line of the list is there."""
    if is_photo(line):
        return (root / line["file"]).is_file()
    row = kept.get(Path(line["file"]).stem)
    return row is not None and not clip_files.array_fault(clip_files.path_of(root, row), row)


def finished(lines: list[dict[str, str]], options) -> Iterator[dict[str, str]]:
    """Take the finished file of a line.

    Raises:
        ValueError: it is missing, damaged, or of another length or size.
    """
    (line,) = lines
    path = options.source / line["file"]
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    if is_photo(line):
        read_image(path)
        atomic.write_bytes(options.root / line["file"], path.read_bytes(), sync=False)
        return
    frames = list(open_clip(path))
    told = (int(line["frames"]), int(line["height"]), int(line["width"]), 3)
    if np.shape(frames) != told:
        raise ValueError(f"{path}: frames {np.shape(frames)}, expected {told}")
    yield write(line, frames, sha256_of(path), options.root)


def write(line: dict[str, str], frames: list[np.ndarray], sha256: str, root: Path) -> dict[str, str]:
    """Write a clip; returns its line of the manifest."""
    first = int(line["first_frame"])
    row = clip_files.row_of(
        Path(line["file"]).stem, frames, range(first, first + len(frames)), split=line["split"], sha256=sha256,
        source=f"{line['source']} {line['path']}", licence=line["licence"],
    )  # fmt: skip
    clip_files.write_array(clip_files.path_of(root, row), frames)
    return row


def fetched(lines: list[dict[str, str]], options) -> Iterator[dict[str, str]]:
    """Fetch the original of some lines, cut and reduce it.

    Raises:
        ValueError: it has no address, cannot be had, or is damaged or shorter than the list tells.
    """
    kind, repository = lines[0]["source"].split(":", 1)
    path = options.root / "originals" / repository / lines[0]["version"] / lines[0]["path"]
    if not path.is_file():
        if kind != "github":
            raise ValueError(f"{repository} ({kind}) has no direct address: put its {lines[0]['path']} at {path}")
        address = f"{options.mirror}/{repository}/{lines[0]['version']}/{quote(lines[0]['path'])}"
        fetch([address], path)
    if is_photo(lines[0]):
        for line in lines:
            write_image(options.root / line["file"], reduced(read_image(path), line))
        return
    wanted = {int(line["first_frame"]) + k for line in lines for k in range(int(line["frames"]))}
    frames = {}
    for number, frame in enumerate(open_clip(path)):
        if number in wanted:
            frames[number] = frame
        if number == max(wanted):
            break
    if len(frames) < len(wanted):
        raise ValueError(f"{path} has fewer frames than {LIST.name} tells")
    digest = sha256_of(path)
    for line in lines:
        first = int(line["first_frame"])
        clip = [reduced(frames[number], line) for number in range(first, first + int(line["frames"]))]
        yield write(line, clip, digest, options.root)


def reduced(image: np.ndarray, line: dict[str, str]) -> np.ndarray:
    """The part of an image that a line tells, reduced to its size by area averaging; turned if the image is upright."""
    width, height = int(line["width"]), int(line["height"])
    native = [int(number) for number in line["native"].split("x")]
    rows, columns = image.shape[:2]
    if (rows > columns) != (native[1] > native[0]):
        width, height = height, width
    factor = min(rows / height, columns / width)
    kept = [min(length, round(side * factor)) for length, side in ((rows, height), (columns, width))]
    top, left = int((rows - kept[0]) * PARTS[line["part"]]), (columns - kept[1]) // 2
    part = image[top : top + kept[0], left : left + kept[1]]
    return cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_AREA)


def check(lines: list[dict[str, str]], root: Path) -> int:
    """Read everything; print a line a fault. Returns the exit code."""
    found = clip_files.faults(root)
    kept = {row["clip"] for row in clip_files.read_manifest(root)}
    for line in lines:
        if is_photo(line):
            try:
                read_image(root / line["file"])
            except ValueError as error:
                found.append(str(error))
        elif Path(line["file"]).stem not in kept:
            found.append(f"{root / clip_files.MANIFEST}: {Path(line['file']).stem} is missing")
    whole = f"complete: {len(kept)} clips, every file readable"
    print(*found, f"{root}: {len(found)} fault{'s' * (len(found) > 1)}" if found else f"{root}: {whole}", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
