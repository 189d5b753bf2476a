"""Files that appear whole or not at all: a hidden neighbour is written, and renamed when it is complete."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def write_bytes(path: str | os.PathLike, data: bytes, *, sync: bool = True) -> None:
    """Write a file as `replacing` does."""
    with replacing(path, sync=sync) as file:
        file.write(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text in UTF-8 as `replacing` does."""
    write_bytes(path, text.encode())


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system allows it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
