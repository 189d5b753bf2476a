"""One process at a time: a lock that ends with its process, however that ends."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

PAUSE = 0.1  # seconds between two looks at a lock that another process holds


def hold(path: Path) -> TextIO:
    """Hold a lock until the returned file is closed or the process ends.

    Args:
        path: a file that is made if needed, as its folder is; nothing is in it.

    Raises:
        BlockingIOError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+")
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BlockingIOError(f"{path}: another process holds it") from error
    return file


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process in such a `with` block, after waiting for others; the file is gone in the end."""
    while True:
        try:
            file = hold(path)
        except BlockingIOError:
            time.sleep(PAUSE)
            continue
        if path.is_file() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            break
        file.close()  # who held it before has removed this file: another process may hold a new one
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            path.unlink(missing_ok=True)
        file.close()
