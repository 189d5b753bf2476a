"""Stop and go on: what is kept of a conversion until it is whole, and the packets that a video is joined from.

A folder beside the output, of its name and `.segments`, tells of which conversion it is (`job.json`). Of a video it
holds the segments that are done, of `SEGMENT` frames each, in Matroska, each for itself; of a recurrent network the
result before the next one. Every run writes them, so that one that was stopped makes the same as one that was not. A
file has its name there only when it is whole, so kill -9 and a power cut leave nothing that is taken for it.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import torch
from av.bitstream import BitStreamFilterContext
from torch import Tensor, nn

from common import atomic, file_lock
from common.cli import UsageError
from common.media.video_reader import FolderReader, VideoReader

log = logging.getLogger(__name__)

SEGMENT = 100  # frames of the result: as many are lost at most
TICK = Fraction(1, 1000)  # Matroska's; what is stored are ticks of the result, however long: they stay exact
ENDING = ".segments"
ANNEXB = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}  # what an AVI takes these in other form by
# Of a command line: what may differ when it is gone on with.
APART = ("resume", "overwrite", "debug", "quiet", "offline", "from_the_box", "shard", "input", "output", "local_rank")


def frame_name(names: list[str] | None, index: int) -> str:
    """The PNG file of a frame of the result."""
    return f"{Path(names[index]).stem}.png" if names else f"{index:08d}.png"


class Segments:
    """The segments of a video, in a folder that nobody goes on from."""

    done = 0  # frames of the result that are there already
    replaces = False  # whether the output that is there is an earlier run's

    def __init__(self, output: Path):
        self.output = output
        self.folder: Path | None = None

    def begin(self) -> None:
        """Make the folder, at the first frame.

        Raises:
            OSError: it cannot be made.
        """
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(ENDING, f"{self.output.stem[:60]}.", self.output.parent))

    @property
    def is_kept(self) -> bool:
        """Whether something of the result is in the folder."""
        return bool(self.folder and any(self.folder.glob("*.mkv")))

    def path(self, index: int) -> Path:
        """Of the segment that begins with a frame of the result, once it is whole."""
        return self.folder / f"{index:08d}.mkv"

    def whole(self) -> list[Path]:
        """The segments from the first on, up to one that is missing."""
        found = []
        while self.folder and self.path(len(found) * SEGMENT).is_file():
            found.append(self.path(len(found) * SEGMENT))
        return found

    def shows(self, joined: Path) -> None:
        """Remember a file that is going to be the output."""

    def close(self, complete: bool) -> None:
        """Remove what is not needed any more."""
        if self.folder:
            shutil.rmtree(self.folder)


class Job(Segments):
    """A conversion that can be gone on with.

    Args:
        options: of the command line.
        reader: of the input.
        network: whose weights have to stay the same.
        names: of the frames in a folder; see `frame_name`.

    Raises:
        UsageError: an earlier run was stopped, and neither --resume nor --overwrite is given; or, with --resume, it was
            begun with another input, other flags or other weights.
        BlockingIOError: another process is at it.
    """

    def __init__(
        self, options, reader: VideoReader | FolderReader, network: object = None, names: list[str] | None = None
    ):
        super().__init__(Path(options.output))
        self.folder = folder_of(self.output)
        self._facts = _facts(options, reader, network)
        self._lasts = "-" not in (options.input, options.output)  # of a pipe nothing can be gone on with
        self._lock, self._has_begun, self._shown = None, False, []
        if not (self.folder / "job.json").is_file():
            if self.folder.exists() and any(f.name != "lock" and f.suffix != ".tmp" for f in self.folder.iterdir()):
                raise UsageError(f"{self.folder} is there, and of no conversion: move it, or give another --output")
            return
        self._hold()
        if getattr(options, "resume", None):
            self._go_on(names)
        elif not options.overwrite:
            raise UsageError(
                f"{self.output} was begun before, and stopped: expected --resume to go on, or --overwrite to begin "
                f"anew without {self.folder}"
            )

    def _hold(self) -> None:
        try:
            self._lock = file_lock.hold(self.folder / "lock")
        except BlockingIOError:
            raise BlockingIOError(f"{self.output} is being written by another process: wait for its end") from None

    def _go_on(self, names: list[str] | None) -> None:
        told = json.loads((self.folder / "job.json").read_text())
        begun, now = told["facts"], self._facts
        if other := next((key for key in {**begun, **now} if begun.get(key) != now.get(key)), None):
            flag = other.startswith("--")
            what = f"{other} {begun.get(other)}, not {now.get(other)}" if flag else f"another {other}"
            raise UsageError(
                f"--resume: {self.output} was begun with {what}: expected the same command, or --overwrite "
                f"without --resume to begin anew"
            )
        self.done = len(self.whole()) * SEGMENT or self._frames(names)
        self._shown = [stamp for stamp in told.get("outputs", ()) if stamp == _stamp(self.output)]
        self.replaces = self.output.is_dir() or bool(self._shown)

    def _frames(self, names: list[str] | None) -> int:
        """How many frames of a folder this conversion has written, up to the first that it has not."""
        began, count = (self.folder / "job.json").stat().st_mtime_ns, 0
        while names is None or count < len(names):
            file = self.output / frame_name(names, count)
            if not file.is_file() or file.stat().st_mtime_ns < began:
                break
            count += 1
        return count

    def begin(self) -> None:
        """Make the folder, at the first frame, or take it over.

        Raises:
            OSError: it cannot be made, or another process has.
        """
        if self._has_begun:
            return
        self._has_begun = True
        if self._lock is None:
            self._hold()
        if self.output.is_dir():
            atomic.remove_halves(self.output)
        if not self.done:
            for file in self.folder.iterdir():
                if file.name not in ("lock", "job.json"):  # that is replaced: never is there none
                    file.unlink()
            self._write()

    def _write(self, whole: bool = False) -> None:
        told = {"facts": self._facts, "outputs": self._shown, "whole": whole}
        atomic.write_text(self.folder / "job.json", json.dumps(told, indent=1))

    def keeping(self, results: Iterable[Tensor], first: int) -> Iterator[Tensor]:
        """The results as they come, the first of frame `first`; that before each segment is kept."""
        if not self._lasts:
            yield from results
            return
        for index, result in enumerate(results, first):
            if (index + 1) % SEGMENT == 0 and index >= self.done:
                self.begin()
                with atomic.replacing(self._state(index)) as file:
                    torch.save(result.cpu(), file)
                self._state(index - 2 * SEGMENT).unlink(missing_ok=True)
            yield result

    def kept(self, device: torch.device) -> tuple[int, Tensor | None]:
        """The last result that was kept among those that are done, and of which frame; 0 and None: there is none."""
        for index in range(self.done // SEGMENT * SEGMENT - 1, 0, -SEGMENT):
            with suppress(FileNotFoundError):
                return index, torch.load(self._state(index), weights_only=True).to(device)
        return 0, None

    def _state(self, index: int) -> Path:
        return self.folder / f"{index:08d}.state"

    def shows(self, joined: Path) -> None:
        """Remember a file that is going to be the output, or that before: a run that goes on may replace either."""
        self._shown = [*self._shown[-1:], _stamp(joined)]
        self._write()

    def close(self, complete: bool) -> None:
        """Remove what is not needed any more; the job of a part stays, else --resume would take that for the whole."""
        if complete or (self._has_begun and not self._lasts):
            self._write(whole=True)
            _remove(self.folder)
        elif self._has_begun:
            for file in self.folder.glob("*.part.mkv"):
                file.unlink()
            log.warning("%s is not whole: the same command with --resume goes on", self.output)
        if self._lock:
            self._lock.close()


def is_stopped(output: os.PathLike | str) -> bool:
    """Whether there is a conversion to go on with."""
    return (folder_of(output) / "job.json").is_file()


def remove_rest(output: Path) -> None:
    """Remove what a conversion left that was killed when its result was whole, or before it had begun."""
    folder = folder_of(output)
    with suppress(FileNotFoundError, NotADirectoryError, BlockingIOError):  # the last: it is at it just now
        names = os.listdir(folder)
        told = json.loads((folder / "job.json").read_text()) if "job.json" in names else {}
        is_whole = told.get("whole") and (output.is_dir() or _stamp(output) in told["outputs"])
        if is_whole or set(names) <= {"lock"}:
            with file_lock.hold(folder / "lock"):
                _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the folder of a job, at last what tells whose it is: who is killed here leaves no riddle."""
    last = ("job.json", "lock")
    for file in folder.iterdir():
        if file.name not in last:
            file.unlink()
    for name in last:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def folder_of(output: os.PathLike | str) -> Path:
    """Where the segments of an output are kept."""
    path = Path(output).absolute()
    return path.with_name(os.fsdecode(os.fsencode(path.name)[-200:]) + ENDING)  # names have limits, and differ at ends


def packets(paths: list[Path], gap: int, *, annexb: bool = False) -> Iterator[av.Packet]:
    """The packets of segments, with the ticks of showing and decoding that the encoder would tell of the whole.

    Args:
        paths: of the segments, in order.
        gap: ticks between two frames, about; what is decoded before the first is shown comes so much earlier.
        annexb: H.264 and H.265 as they are in streams without a container, which an AVI takes.
    """
    decoding = None  # of the packets to come; each is decoded when an earlier frame is shown
    for path in paths:
        with av.open(str(path)) as source:
            shown = sorted(packet.pts for packet in source.demux(video=0) if packet.size)
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            if decoding is None:
                depth = stream.codec_context.reorder_depth
                decoding = deque(shown[0] - gap * (depth - k) for k in range(depth))
            decoding.extend(shown)
            name = ANNEXB.get(stream.codec_context.name)
            change = BitStreamFilterContext(name, stream).filter if annexb and name else lambda packet: [packet]
            for packet in source.demux(stream):
                if packet.size:
                    packet.dts = decoding.popleft()
                    for changed in change(packet):
                        changed.stream = stream
                        yield changed


def _facts(options, reader: VideoReader | FolderReader, network: object) -> dict[str, object]:
    """What has to stay the same."""
    files = getattr(reader, "files", [reader.path])
    stamps = [(file.name, _stamp(file)) for file in files]
    digest = hashlib.blake2b(digest_size=16)
    for name, value in network.state_dict().items() if isinstance(network, nn.Module) else ():
        if isinstance(value, Tensor):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    flags = {f"--{key}": str(value) for key, value in sorted(vars(options).items()) if key not in APART}
    place = str(Path(reader.path).resolve())
    return {"input": [place, hashlib.sha256(repr(stamps).encode()).hexdigest()], "weights": digest.hexdigest(), **flags}


def _stamp(file: Path) -> list[int]:
    """Size and time of a file, which tell if it is the same one."""
    told = (file if file.exists() else file.parent).stat()  # of a frame in a file: that file
    return [told.st_size, told.st_mtime_ns]
