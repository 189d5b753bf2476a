"""Sets of files as they were published: what to download, and a check that reads every file once."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from common.cli import Parser, UsageError
from common.media.flow_file import read_flow
from common.media.image import read_image
from common.sets.resumable_jobs import run_jobs
from common.sets.vimeo90k import MARKER
from common.stop_request import StopRequest


@dataclass(frozen=True)
class Item:
    """Files that belong together: frames, and the flow from one of them.

    `size` is width and height of all in pixels; None: the set's, or else that of the first.
    """

    frames: tuple[Path, ...]
    flow: Path | None = None
    size: tuple[int, int] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.frames, self.flow) if self.flow else self.frames


Listing = tuple[list[Item], dict[str, int], list[str]]  # of a folder: see `FileSet.list_items`


@dataclass(frozen=True)
class FileSet:
    """A set as it was published.

    Attributes:
        folder: its name below the folder of the data sets.
        instructions: what to download, with {script} and {root}.
        list_items: tells what the folder should hold, by the files that are there; how many of which things, such as
            "scenes", it found; and a line for each fault that it sees in passing.
        counts: the published number of these things; what is not in it, is not compared.
        size: width and height of all frames, None where they differ.
        told: the counts of a synthetic set, from its clips of each split and its frames a clip.
        also: another name that the folder may have.
    """

    folder: str
    instructions: str
    list_items: Callable[[Path], Listing]
    counts: dict[str, int]
    size: tuple[int, int] | None = None
    told: Callable[[dict[str, int], int], dict[str, int]] | None = None
    also: str | None = None


def parser(description: str, sets: dict[str, FileSet]) -> Parser:
    """The flags of the scripts that check such sets; the first set is the default."""
    made = Parser(description=description)
    made.add_argument("--set", default=next(iter(sets)), choices=sets, help="which set")
    made.add_argument(
        "--root", "--data_root", dest="root", type=Path, default=Path("./datasets"), help="folder of the data sets"
    )
    made.add_argument("--check", action="store_true", help="read every file, list what is wrong")
    made.add_argument("--workers", type=int, default=os.cpu_count(), help="files read at once")
    return made


def run(options: argparse.Namespace, sets: dict[str, FileSet], script: str) -> int:
    """Check a set, or tell what to download; returns the exit code, 1 if a fault was found.

    Args:
        options: of `parser`.
        sets: by name.
        script: path of the script, for the commands that the instructions show.

    Raises:
        UsageError: `--workers` is less than 1.
        ValueError: a synthetic set is damaged.
    """
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    published = sets[options.set]
    if not options.check:
        command = f"python datasets/{Path(script).name} --set {options.set}"
        print(published.instructions.format(script=command, root=options.root))
        return 0
    cv2.setNumThreads(1)  # decoding lets go of the interpreter, so threads share the cores
    folder = options.root / published.folder
    if published.also and not folder.is_dir() and (options.root / published.also).is_dir():
        folder = options.root / published.also
    return check(folder, contents(folder, published), options.workers)


def contents(folder: Path, published: FileSet) -> FileSet:
    """What the set in `folder` should hold; a synthetic one tells by itself.

    Raises:
        ValueError: what it tells is damaged.
    """
    marker = folder / MARKER
    if published.told is None or not marker.is_file():
        return published
    try:
        told = json.loads(marker.read_text())
        width, height = map(int, told["size"].split("x"))
        return replace(published, counts=published.told(told["clips"], int(told["frames"])), size=(width, height))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{marker}: damaged; make the clips again (datasets/make_synthetic.py --force)") from None


def check(folder: Path, expected: FileSet, workers: int) -> int:
    """Read every file; print a line a fault and a summary. Returns the exit code."""
    if not folder.is_dir():
        print(f"{folder}: no such folder; see what to download without --check")
        return 1
    items, found, faults = expected.list_items(folder)
    for what, number in found.items():
        if number != expected.counts.get(what, number):
            faults.append(f"{folder}: {number} {what}, expected {expected.counts[what]}")
    if not items and not faults:
        faults.append(f"{folder}: holds no file of the set; see its layout without --check")
    flows = {item.flow for item in items}
    paths = list(dict.fromkeys(path for item in items for path in item.files))
    with StopRequest() as stop:
        done, left = run_jobs(
            lambda path: (path, read_size(path, path in flows)),
            paths, workers=workers, title=expected.folder, unit="file", stop=stop,
        )  # fmt: skip
    faults += file_faults(items, dict(done), expected.size)
    for fault in faults:
        print(fault)
    if left:
        print(f"{folder}: stopped, {left} of {len(paths)} files left to read")
        return 128 + stop.signal
    number = f"{len(faults)} fault{'s' * (len(faults) > 1)}"
    print(f"{folder}: {number}" if faults else f"{folder}: complete, every file readable")
    return 1 if faults else 0


def read_size(path: Path, is_flow: bool) -> tuple[int, int] | str:
    """Width and height of a frame or a flow in pixels, or what is wrong with the file."""
    try:
        height, width = (read_flow(path)[0] if is_flow else read_image(path)).shape[:2]
    except ValueError as error:
        return str(error)
    return width, height


def file_faults(items: list[Item], sizes: dict[Path, tuple[int, int] | str], size: tuple[int, int] | None) -> list[str]:
    """What is wrong with the files that were read; a file is named once, though it may be in several items."""
    faults = []
    for item in items:
        due = item.size or size
        for path in item.files:
            found = sizes.get(path)  # None: not read, or named before
            if found is None:
                continue
            if isinstance(found, str):
                faults.append(found)
            else:
                due = due or found
                if found == due:
                    continue
                faults.append(f"{path}: {found[0]}x{found[1]} pixels, expected {due[0]}x{due[1]}; get it again")
            del sizes[path]
    return faults
