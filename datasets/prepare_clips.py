"""Any videos become a set of clips to train and test on.

python datasets/prepare_clips.py --source holiday.mp4 videos/ --root datasets/clips_mine
python datasets/prepare_clips.py --root datasets/clips_mine --blur       blurry twins, for pvdnet
python datasets/prepare_clips.py --root datasets/clips_mine --check      read everything
"""

import os
import re
import sys
import threading
from collections import defaultdict
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2

from common import cli
from common.cli import UsageError
from common.media.video_reader import open_clip
from common.sets import clip_files
from common.sets.clip_cutting import SMALLEST, WIDEST, Reduction, cut
from common.sets.clip_sources import digest_of, find_sources, splits_of, stem_of
from common.sets.resumable_jobs import claim, run_jobs
from common.stop_request import StopRequest

VERSION = 1  # raise it whenever the same sources give other clips


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code, 1 if a source is broken or a fault was found."""
    parser = cli.Parser(description="Cut videos into a set of clips.")
    add = parser.add_argument
    add("--source", type=Path, nargs="+", help="videos, folders of videos, folders of frames")
    add("--root", type=Path, default=Path("./datasets/clips_mine"), help="folder of the set")
    add("--size", help=f"most width of a frame, {WIDEST} unless given; or WxH, cut and reduced to exactly that")
    add("--keep_size", action="store_true", help="do not reduce frames, by 1.5 or more as else")
    add("--test_share", type=float, default=0.1, help="of the sources, that are for testing")
    add("--licence", default="", help="of the sources, for the manifest")
    add("--blur", action="store_true", help="make blurry twins of what is sharp, for pvdnet")
    add("--check", action="store_true", help="read everything and list what is wrong")
    add("--workers", type=int, default=os.cpu_count(), help="sources cut at once")
    options = parser.parse_args(argv)
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    if not 0 <= options.test_share < 1:
        raise UsageError(f"--test_share {options.test_share:g}: expected 0 or more, and less than 1")
    if not (options.source or options.blur or options.check):
        raise UsageError("give --source VIDEOS, --blur or --check; see --help")
    reduction = parse_size(options)
    cv2.setNumThreads(1)  # the threads share the cores already
    code = 0
    with StopRequest() as stop:
        if options.source:
            code = make(options, reduction, stop)
        if options.blur and code in (0, 1):
            rows = clip_files.read_manifest(options.root)
            if not rows:
                raise UsageError(f"{options.root} holds no clips: add --source")
            if left := clip_files.add_blur(options.root, rows, workers=options.workers, stop=stop):
                print(f"{options.root}: stopped, {left} of {len(rows)} clips left; the same command goes on")
                return 128 + stop.signal
    if options.check and code in (0, 1):
        found = clip_files.faults(options.root)
        print(
            *found,
            f"{options.root}: " + (f"{len(found)} fault{'s' * (len(found) > 1)}" if found else "no fault"),
            sep="\n",
        )
        return 1 if found else code
    return code


def parse_size(options) -> Reduction:
    """What --size and --keep_size ask for.

    Raises:
        UsageError: no sizes, or both.
    """
    if options.size is None:
        return Reduction(keep=options.keep_size)
    if options.keep_size:
        raise UsageError("--size and --keep_size do not go together")
    numbers = [int(number) for number in re.findall(r"\d+", options.size)]
    if not re.fullmatch(r"\d+(x\d+)?", options.size) or min(numbers) < SMALLEST or any(n % 2 for n in numbers):
        raise UsageError(f"--size {options.size}: expected even numbers from {SMALLEST} up, such as 640 or 448x256")
    return Reduction(size=tuple(numbers)) if len(numbers) == 2 else Reduction(widest=numbers[0])


def make(options, reduction: Reduction, stop: StopRequest) -> int:
    """Cut the sources that are not cut yet. Returns the exit code: 1 if one is broken, 128 + a signal if it stopped.

    Raises:
        UsageError: the folder holds another set.
    """
    root, workers = options.root, options.workers
    found = find_sources(options.source)
    made_by = {
        "made_by": "datasets/prepare_clips.py", "version": VERSION, "size": options.size,
        "keep_size": options.keep_size, "test_share": options.test_share, "licence": options.licence,
    }  # fmt: skip
    claim(root / "clips.json", made_by, "clips", "files of unknown origin: choose another --root")
    pairs, left = run_jobs(
        lambda source: (digest_of(source), source), found, workers=workers, title="read", unit="file", stop=stop
    )
    if left:
        return stopped(root, left, stop)
    sources = {}  # by digest; of files with the same bytes the first
    for digest, source in sorted(pairs, key=lambda pair: pair[1]):
        if sources.setdefault(digest, source) != source:
            print(f"{source} has the same bytes as {sources[digest]}: left out")
    rows = intact(root, sources)
    jobs = [(digest, source) for digest, source in sources.items() if digest not in rows]
    lock = threading.Lock()

    def work(job):
        digest, source = job
        try:
            new = cut_source(source, digest, options, reduction, stop)
        except ValueError as error:
            remove(root, stem_of(source, digest))
            return f"{source}: left out: {error}"
        if new is None:
            return None
        with lock:
            rows[digest] = new
            clip_files.write_manifest(root, [row for clips in rows.values() for row in clips])
        return "" if new else f"{source}: no clip in it: no {clip_files.SHORTEST} frames of one shot in which all moves"

    done, left = run_jobs(work, jobs, workers=workers, title="cut", unit="source", stop=stop)
    if unfinished := left + sum(message is None for message in done):
        return stopped(root, unfinished, stop)
    for message in sorted(filter(None, done)):
        print(message, file=sys.stderr)
    clips = place(root, [row for clips in rows.values() for row in clips], options.test_share)
    for split in clip_files.SPLITS:
        part = [row for row in clips if row["split"] == split]
        frames, videos = sum(int(row["frames"]) for row in part), len({row["sha256"] for row in part})
        print(f"{root / split}: {len(part)} clips, {frames} frames, of {videos} sources")
    return 1 if any(": left out: " in message for message in done) else 0


def stopped(root: Path, left: int, stop: StopRequest) -> int:
    print(f"{root}: stopped, {left} sources left; the same command goes on")
    return 128 + stop.signal


def intact(root: Path, sources: dict[str, Path]) -> dict[str, list[dict[str, str]]]:
    """The lines of the manifest by source, of those whose clips are all there; what is there of others is removed.

    Raises:
        UsageError: clips of a source are there that is not among `sources`.
    """
    rows = defaultdict(list)
    for row in clip_files.read_manifest(root):
        if row["sha256"] not in sources:
            raise UsageError(f"{root} holds clips of {row['source']}, which --source does not name: name all sources")
        rows[row["sha256"]].append(row)
    for split in clip_files.SPLITS:  # of a run that was killed
        for path in (root / split).glob(".*.tmp"):
            path.unlink()
    for digest, source in sources.items():
        if any(clip_files.array_fault(clip_files.path_of(root, row), row) for row in rows[digest]) or not rows[digest]:
            del rows[digest]
            remove(root, stem_of(source, digest))
    return dict(rows)


def remove(root: Path, stem: str) -> None:
    """Remove the clips of a source."""
    for split in clip_files.SPLITS:
        for path in (root / split).glob(f"{stem}_*.npy"):
            path.unlink()


def cut_source(source: Path, digest: str, options, reduction: Reduction, stop: StopRequest) -> list | None:
    """Write the clips of a source; returns their lines of the manifest, or None where a signal came.

    Raises:
        ValueError: it is broken, or too small.
    """
    split, reader = splits_of([digest], options.test_share)[digest], open_clip(source)
    told = {"split": split, "source": source.name, "sha256": digest, "licence": options.licence}
    rows = []
    for number, piece in enumerate(cut(map(reduction, reader))):
        if stop.signal is not None:
            return None
        row = clip_files.row_of(f"{stem_of(source, digest)}_{number:03}", piece.images, piece.numbers, **told)
        clip_files.write_array(clip_files.path_of(options.root, row), piece.images)
        rows.append(row)
    if reader.damage:
        raise ValueError(reader.damage)
    return rows


def place(root: Path, rows: list[dict[str, str]], test_share: float) -> list[dict[str, str]]:
    """Move the clips whose split is another, now that all sources are known; returns the lines of the manifest."""
    splits = splits_of({row["sha256"] for row in rows}, test_share)
    for row in rows:
        for kind in ("", "_blur"):
            here = clip_files.path_of(root, row, kind)
            there = clip_files.path_of(root, row | {"split": splits[row["sha256"]]}, kind)
            if here != there and here.is_file():
                there.parent.mkdir(parents=True, exist_ok=True)
                here.rename(there)
        row["split"] = splits[row["sha256"]]
    clip_files.write_manifest(root, rows)
    return rows


if __name__ == "__main__":
    sys.exit(cli.run(main))
