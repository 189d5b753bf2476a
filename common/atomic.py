"""Files that appear whole or not at all: a hidden neighbour is written, and renamed when it is complete."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A file to write in a `with` block, which takes the place of `path` at its end; after an error nothing is left.

    Args:
        path: the file; its folder is made if needed.
        sync: bring it to the disk first, so that a power cut leaves the old file or the new one. It takes milliseconds:
            leave it out for pictures by the thousand.

    Raises:
        OSError: it cannot be written; the line names it.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")  # starts with a dot: no listing of frames sees it
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        raise OSError(f"{path}: could not be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # the folder may be none
            temporary.unlink(missing_ok=True)


def remove_halves(folder: Path) -> None:
    """Remove from a folder what was being written when a process was killed; nobody else may write there."""
    for file in folder.glob(".*.tmp"):
        if re.fullmatch(r"\.[0-9a-f]{32}\.tmp", file.name):
            file.unlink()


def write_bytes(path: str | os.PathLike, data: bytes, *, sync: bool = True) -> None:
    """Write a file as `replacing` does."""
    with replacing(path, sync=sync) as file:
        file.write(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text in UTF-8 as `replacing` does."""
    write_bytes(path, text.encode())


def sync_file(path: Path) -> None:
    """Bring a file to the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def unused(path: Path) -> Path:
    """A new, empty file beside `path`, such as clip.part.mp4, whose name nobody had."""
    for number in count(1):
        part = path.with_name(f"{path.stem[:60]}.part{number if number > 1 else ''}{path.suffix}")  # names have limits
        with suppress(FileExistsError), open(part, "xb"):
            return part


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system allows it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
