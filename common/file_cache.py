"""Files that one process reads again and again, such as the frames that several table rows share, kept in memory."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class Kept:
    """What was made of files, the latest first, up to a number of bytes; none while nobody is `keeping`."""

    def __init__(self):
        self.most, self.held, self._lock = 0, 0, Lock()
        self._values: OrderedDict[tuple, tuple] = OrderedDict()

    @contextmanager
    def keeping(self, most: int):
        """In a `with` block, keep up to `most` bytes."""
        self.most = most
        try:
            yield
        finally:
            self.most, self.held = 0, 0
            self._values.clear()

    def get(self, path: Path, kind: str, make: Callable[[], T], copy: Callable[[T], T], size: Callable[[T], int]) -> T:
        """What `make` makes of the file, or a copy of what it made before; a file that changed is another one.

        Args:
            path: the file.
            kind: what is made of it, where several things are.
            make: reads it.
            copy: of what `make` gives, so that nobody changes what is kept.
            size: its bytes in memory.
        """
        if not self.most or not path.is_file():
            return make()
        facts = path.stat()
        key = (path.absolute(), kind, facts.st_mtime_ns, facts.st_size)
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return copy(self._values[key][0])
        value = make()
        with self._lock:
            if key not in self._values and size(value) <= self.most:
                self._values[key] = (copy(value), size(value))
                self.held += size(value)
            while self.held > self.most:
                self.held -= self._values.popitem(last=False)[1][1]
        return value


FILES = Kept()
