"""`-`: a clip as YUV4MPEG2 (y4m) on stdin or stdout, so that ffmpeg, vspipe or another paper stand before and behind.

A pipe is read once, in order: what is looked at beforehand is kept until it is asked for.
"""

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from common.media import deep_color, hdr
from common.media.containers import FILTER, explained, usual_matrix
from common.media.frame_writer import Writer
from common.media.segments import Segments
from common.media.video_reader import VideoReader

log = logging.getLogger(__name__)

PIPE = "-"
KIND = "yuv4mpegpipe"  # FFmpeg's name of y4m
FORMATS = ("yuv444p", "yuv422p", "yuv420p")  # the first is the usual one: between two papers no chroma is lost
DEEP = tuple(f"{name}10le" for name in FORMATS)  # the same for frames of more than 8 bits
TOLD = 1000  # times of frames that stand for all, since the rate is constant


class PipeReader(VideoReader):
    """Frames of a y4m stream; see `video_reader.open_clip`.

    The stream tells a rate and a range. Its matrix is what players take for that size, see `containers.usual_matrix`.

    Args:
        file: with a method `read(size)`, which gives less at the end only.
        begin: seconds to leave out.
        end: seconds after which nothing is read.
        deep: more than 8 bits come as uint16.

    Raises:
        ValueError: it is no y4m stream, or has no frame between `begin` and `end`.
    """

    def __init__(
        self, file, begin: Fraction = Fraction(0), end: Fraction | None = None, *, deep: bool = False
    ):  # fmt: skip
        self.deep = deep
        self.path, self.is_trimmed = Path(PIPE), bool(begin) or end is not None
        self.files, self.num_frames, self.metadata, self._said = [], None, {}, set()
        self.start, self.length = Fraction(0), None
        self._file, self._begin, self._end = _Counted(file), begin, end
        with explained("--input - holds no y4m: expected a stream as ffmpeg -i INPUT -f yuv4mpegpipe - makes"):
            self._container = av.open(self._file, format=KIND)
        stream = self._container.streams.video[0]
        self.time_base, self.frame_rate = stream.time_base, stream.average_rate
        self._frames, self._kept, self._is_given = self._decoded(stream), deque(), False
        first = next(self._frames, None)
        if first is None:
            raise ValueError("--input - holds no frame, or none between --start and --end: does what is before - work?")
        self._look(first, stream)
        self._images = self._converted(first)

    def _decoded(self, stream) -> Iterator:
        near = 1 / self.frame_rate / 4  # as of a file
        count = whole = 0
        for packet in self._container.demux(stream):
            for frame in packet.decode():
                time = count / self.frame_rate
                count += 1
                if self._end is not None and time >= self._end - near:
                    return  # what writes the stream is told by a broken pipe
                if time >= self._begin - near:
                    yield frame
            whole = packet.pos + packet.size if packet.size else whole
        self.is_cut_off = count > 0 and self._file.count > whole
        if self.is_cut_off:
            self.damage = f"it ends within frame {count}"
            self._say(self.damage)

    def _converted(self, frame) -> Iterator[tuple[np.ndarray, Fraction]]:
        converter, count = VideoReformatter(), 0
        while frame is not None:
            yield self._image(frame, count, converter), count / self.frame_rate
            count, frame = count + 1, next(self._frames, None)

    def at_least(self, count: int) -> int:
        """How many frames there are, counted up to `count`; they are kept."""
        while len(self._kept) < count and (item := next(self._images, None)):
            self._kept.append(item)
        return min(count, len(self._kept))

    def times(self) -> Iterator[Fraction]:
        """The times of the first frames; the others go on like them."""
        return (number / self.frame_rate for number in range(TOLD))

    def _read(self):
        if self._is_given:
            raise ValueError("--input - is a pipe, which is read once: expected a file")
        self._is_given = True
        while self._kept:
            yield self._kept.popleft()
        yield from self._images


class _Counted:
    """A file that counts the bytes read."""

    def __init__(self, file):
        self._file, self.count = file, 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


class PipeWriter(Writer):
    """Frames as a y4m stream; see `video_writer.open_writer`.

    It has one rate and no times: where a frame stays for longer, it is written as often as that takes.

    Args:
        descriptor: of the open file.
        frame_rate: in Hz.
        like: the reader of the frames, if it is of a video: its pixel shape is told.
        pix_fmt: one of `FORMATS` and `DEEP`; None: the first, of `DEEP` where frames are uint16.

    Raises:
        ValueError: no frame rate, or another pixel format.
    """

    def __init__(
        self, descriptor: int, frame_rate: Fraction | None, like: VideoReader | None, pix_fmt: str | None = None
    ):
        super().__init__(Path(PIPE), Segments(Path(PIPE)))
        if frame_rate is None:
            raise ValueError("--output - is a video, and images have no frame rate: expected --fps, such as --fps 24")
        self._format = pix_fmt
        if pix_fmt and pix_fmt not in FORMATS + DEEP:
            raise ValueError(f"--pix_fmt {pix_fmt}: y4m on stdout takes {', '.join(FORMATS + DEEP)}")
        self._rate, self._file = frame_rate, _Descriptor(descriptor, like.aspect if like else Fraction(1))
        self._converter = VideoReformatter()
        self._container = self._stream = self._latest = None
        self._place, self._is_broken = -1, False  # of the latest frame; whether nobody reads any more

    def _encode(self, image, index, time):
        if self._is_broken:  # which was told
            return
        place = max(self._place + 1, index if time is None else round(time * self._rate))
        with self._told():
            if self._container is None:
                self._format = self._format or (DEEP if image.dtype == np.uint16 else FORMATS)[0]
                self._begin(*image.shape[:2])
                place = 0
            for _ in range(self._place + 1, place):
                self._write(self._latest)
            self._latest = self._converted(image)
            self._write(self._latest)
        self._place = place

    def _converted(self, image: np.ndarray):
        matrix = usual_matrix(*image.shape[:2])
        if image.dtype == np.uint16:
            return deep_color.from_rgb(image, av.VideoFormat(self._format), matrix, self._converter)
        how = {"dst_colorspace": matrix, "dst_color_range": 1, "interpolation": FILTER}  # limited range
        return self._converter.reformat(av.VideoFrame.from_ndarray(image, format="rgb24"), format=self._format, **how)

    def _begin(self, height: int, width: int) -> None:
        self._container = av.open(self._file, "w", format=KIND, options={"flush_packets": "1", "strict": "-1"})
        self._stream = self._container.add_stream("wrapped_avframe", rate=self._rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, self._format
        self._stream.codec_context.color_range = 1

    def _write(self, frame) -> None:
        frame.pts = None
        self._container.mux(self._stream.encode(frame))

    def _finish(self, complete):
        if self._container is not None:
            with suppress(av.error.FFmpegError) if self._is_broken else self._told():
                self._container.close()

    @contextmanager
    def _told(self):
        try:
            yield
        except BrokenPipeError as error:
            self._is_broken = True
            raise BrokenPipeError("--output -: what reads it has ended before all was written") from error


class _Descriptor:
    """An open file without a buffer: what a broken pipe did not take is not tried again at the end of the program.

    PyAV cannot set the shape of pixels of a stream, so that the header leaves it open: here it is put in.
    """

    def __init__(self, number: int, aspect: Fraction):
        self._number, self._aspect = number, aspect

    def write(self, data: bytes) -> None:
        if data.startswith(b"YUV4MPEG2"):
            data = data.replace(b" A0:0 ", b" A%d:%d " % self._aspect.as_integer_ratio(), 1)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._number, rest) :]


def open_stdin(begin: Fraction | None, end: Fraction | None, deep: bool) -> PipeReader:
    """Open the stream on stdin.

    Raises:
        ValueError: as for `PipeReader`, or nobody writes to it.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError("--input - reads y4m from a pipe: expected ffmpeg -i INPUT -f yuv4mpegpipe - | before it")
    return PipeReader(sys.stdin.buffer, begin or Fraction(0), end, deep=deep)


def open_stdout(frame_rate: Fraction | None, like, options) -> PipeWriter:
    """Open a stream on stdout.

    Raises:
        ValueError: as for `PipeWriter`, a flag that y4m has no use for, or nobody reads it.
    """
    for name in ("codec", "crf", "preset"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} goes with a file: --output - is y4m, not encoded; of it --pix_fmt can be told")
    if os.isatty(1):
        raise ValueError("--output - writes y4m into a pipe: expected | ffmpeg -i - OUTPUT or the like behind it")
    like = like if isinstance(like, VideoReader) else None
    if like and like.transfer in hdr.CURVES:
        log.warning("--output -: y4m has no tags of HDR: what reads it has to be told its primaries and curve")
    return PipeWriter(1, frame_rate, like, options.pix_fmt)
