"""Writers of frames, one after the other, in threads of their own: what all have in common, and that of a folder."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from fractions import Fraction
from pathlib import Path
from threading import Lock

import numpy as np

from common.media.containers import QUEUE, THREADS, check_size
from common.media.image import LEVELS, write_image
from common.media.segments import Segments, frame_name


class Writer:
    """Checks frames and hands them, in order, to worker threads; one, unless they may be encoded side by side."""

    def __init__(self, path: Path, segments: Segments, threads: int = 1):
        self.path, self._segments = path, segments
        self.count = 0  # frames accepted
        self._size = None
        self._jobs = deque()
        self._worker, self._most = ThreadPoolExecutor(threads), QUEUE + threads - 1  # jobs at once

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(complete=kind is None)

    def write(self, image: np.ndarray, time: Fraction | None = None) -> None:
        """Append a frame.

        Args:
            image: HxWx3 uint8 or uint16 RGB; the caller may change it afterwards. None stands for one that is there
                already, of a conversion that is gone on with.
            time: seconds, growing, as from `timed()`, for variable frame rates; None: count / frame_rate. Folders
                ignore it.

        Raises:
            ValueError: another type, or another size than the first frame's.
            OSError: this frame or one of the few before it could not be written, as on a full disk.
        """
        if self.count < self._segments.done:
            image = None
        else:
            if image.dtype not in LEVELS or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(
                    f"cannot write a frame of {image.dtype} {image.shape}: expected HxWx3 uint8 or uint16 RGB"
                )
            self._size = self._size or image.shape
            check_size(f"output frame {self.count}", image.shape, self._size)
            image = image.copy()
        if len(self._jobs) == self._most:
            self._jobs.popleft().result()  # waits, and raises what went wrong there
        self._jobs.append(self._worker.submit(self._encode, image, self.count, time))
        self.count += 1

    def close(self, complete: bool = True) -> None:
        """Finish the clip; with `complete=False` the sound ends with the last frame. Called by the `with` block."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._jobs.append(worker.submit(self._end, list(self._jobs), complete))  # there Ctrl-C does no harm
            worker.shutdown()
            for job in self._jobs:
                job.result()

    def _end(self, jobs: list[Future], complete: bool) -> None:
        wait(jobs)  # with several threads the last frames are still being written
        self._finish(complete and not any(job.exception() for job in jobs))


class FolderWriter(Writer):
    """PNG files; see `open_writer`."""

    def __init__(self, path: Path, names: Sequence[str] | None, segments: Segments):
        super().__init__(path, segments, THREADS)
        self._names, self._begins = names, Lock()
        if names and len({Path(name).stem for name in names}) < len(names):
            raise ValueError(f"some input frames differ in folder or extension only: expected unique names in {path}")
        path.mkdir(parents=True, exist_ok=True)

    def _encode(self, image, index, time):
        if image is None:
            return
        if self._names and index >= len(self._names):
            raise ValueError(f"{self.path} gets more frames than the {len(self._names)} names given: give no names")
        with self._begins:
            self._segments.begin()
        write_image(self.path / frame_name(self._names, index), image)

    def _finish(self, complete):
        self._segments.close(complete)
