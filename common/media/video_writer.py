"""The writer of a video file with its sound, and `open_writer`, which chooses it or that of a folder."""

import logging
import math
import os
from collections.abc import Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from common import atomic
from common.media import deep_color
from common.media.containers import (
    CONTAINERS,
    FILTER,
    STILL,
    UNKNOWN,
    usual_matrix,
)
from common.media.encoders import Encoding
from common.media.frame_writer import FolderWriter, Writer
from common.media.segments import ANNEXB, SEGMENT, TICK, Segments, packets
from common.media.tracks import texts, tracks_of
from common.media.video_reader import FolderReader, VideoReader

log = logging.getLogger(__name__)


WRITABLE = f"a folder (with a final slash, whatever its name), or a file ending in {' '.join(CONTAINERS)}"


class VideoWriter(Writer):
    """A video file; see `open_writer`."""

    def __init__(
        self, path: Path, frame_rate: Fraction, like, tracks_from, encoding: Encoding, overwrite: bool,
        segments: Segments,
    ):  # fmt: skip
        super().__init__(path, segments)
        self.frame_rate = frame_rate
        self._kind = CONTAINERS[path.suffix.lower()]
        self._encoding = encoding
        encoding.check(self._kind)
        if like and like.hdr and not encoding.tells(self._kind):
            log.warning("%s: not taken over: display and light of HDR (h264, h265 and av1 take them)", like.path)
        self._like, self._overwrite = like, overwrite
        self._tracks = tracks_of(tracks_from, like, self._kind) if tracks_from else None
        self._converter = VideoReformatter()
        self._container = self._stream = self._open = None  # of the segment that is written, and its file
        self._last, self._time, self._length = -math.inf, None, 1 / frame_rate  # of the last frame: ticks, seconds
        # One tick divides 1 / frame_rate, and the source's own ticks as often as frames are put in between.
        ticks = like.time_base.denominator * max(1, round(frame_rate / like.frame_rate)) if like else 90_000
        ticks = math.lcm(ticks, frame_rate.numerator)
        if ticks > 10_000_000:  # containers have 32 bits
            ticks = frame_rate.numerator * max(1, 1_000_000 // frame_rate.numerator)
        self._tick = 1 / frame_rate if self._kind.format == "avi" else Fraction(1, ticks)
        self._lead = round(self._tracks.lead / self._tick) if self._tracks else 0  # ticks before the first frame
        with self._named():
            path.parent.mkdir(parents=True, exist_ok=True)

    def _encode(self, image, index, time):
        with self._named():
            self._place(index / self.frame_rate if time is None else time)
            if image is not None:
                self._encode_frame(image, index)
                if (index + 1) % SEGMENT == 0:
                    self._end_segment(self._segments.path(index + 1 - SEGMENT))

    def _place(self, time):
        """Give the next frame its ticks."""
        self._last = max(round(time / self._tick) + self._lead, self._last + 1)
        if self._time is not None and 0 < time - self._time < STILL / self.frame_rate:
            self._length = time - self._time  # a frame lasts as long as the one before it, unless that was a still
        self._time = time

    def _encode_frame(self, image, index):
        if self._container is None:
            self._segments.begin()
            self._begin_segment(self._segments.path(index), *image.shape[:2], image.dtype == np.uint16)
        context = self._stream.codec_context
        if image.dtype == np.uint16:
            frame = deep_color.from_rgb(image, context.format, context.colorspace, self._converter)
        else:
            frame = self._converter.reformat(
                av.VideoFrame.from_ndarray(image, format="rgb24"),
                format=context.pix_fmt,
                dst_colorspace=context.colorspace or None,
                dst_color_range=context.color_range,
                interpolation=FILTER,
            )
        for tag in ("colorspace", "color_primaries", "color_trc"):  # ProRes takes them from the frame
            setattr(frame, tag, getattr(context, tag))
        frame.pts, frame.time_base = self._last, self._tick
        self._store(frame)

    def _begin_segment(self, path: Path, height: int, width: int, deep: bool) -> None:
        self._open = path.with_suffix(".part.mkv")
        container = av.open(str(self._open), "w", format="matroska", options={"avoid_negative_ts": "disabled"})
        told = self._like and self._like.hdr
        stream = self._encoding.add_stream(container, self._kind, self.frame_rate, height, width, deep=deep, hdr=told)
        stream.time_base = stream.codec_context.time_base = self._tick
        is_rgb = stream.codec_context.format.is_rgb
        stream.codec_context.color_range = 2 if is_rgb else 1  # full, limited
        matrix = self._like.matrix if self._like else usual_matrix(height, width)
        stream.codec_context.colorspace = 0 if is_rgb else matrix
        stream.codec_context.color_primaries = self._like.primaries if self._like else UNKNOWN
        stream.codec_context.color_trc = self._like.transfer if self._like else UNKNOWN
        if self._like and self._like.aspect != 1:
            stream.codec_context.sample_aspect_ratio = self._like.aspect
        container.start_encoding()
        self._container, self._stream = container, stream

    def _store(self, frame) -> None:
        for packet in self._stream.encode(frame):
            packet.time_base = TICK
            self._container.mux(packet)

    def _end_segment(self, whole: Path | None = None) -> None:
        """Close the segment that is written, and give it the name of one that is whole."""
        try:
            self._store(None)  # what the encoder still holds
        finally:
            container, self._container = self._container, None
            container.close()
        if whole:
            atomic.sync_file(self._open)
            os.replace(self._open, whole)
            self._open = None

    def _finish(self, complete):
        try:
            with self._named():
                if self._container is not None:
                    self._end_segment()
                parts = self._segments.whole() + ([self._open] if self._open else [])
                if parts and self.count and self.count >= self._segments.done:  # else nothing new
                    self._join(parts, complete)
            self._segments.close(complete)
        finally:
            if self._tracks:
                self._tracks.close()

    def _join(self, parts: list[Path], complete: bool) -> None:
        """Make the file of its segments, without encoding again, and of the tracks."""
        part = self._segments.folder / f"joined{self.path.suffix}"
        container = held = None
        gap = round(1 / self.frame_rate / self._tick)
        try:
            for packet in packets(parts, gap, annexb=self._kind.format == "avi"):
                if container is None:
                    container, stream = self._joined(part, packet.stream)
                    lead = packet.dts - packet.pts
                else:
                    container.mux(held)
                    if self._tracks:
                        container.mux(self._tracks.until((held.pts - self._lead) * self._tick))
                packet.stream, packet.time_base, packet.duration = stream, self._tick, round(self._length / self._tick)
                held = packet
            held.duration += self._last + lead - held.dts  # MP4 ends after the last one, in the order of decoding
            container.mux(held)
            if self._tracks:
                container.mux(self._tracks.until(math.inf if complete else self._time + self._length))
                container.mux(self._tracks.rest())
        finally:
            if container:
                container.close()
        atomic.sync_file(part)
        if self.path.exists() and not ((complete and self._overwrite) or self._segments.replaces):
            log.warning(
                "%s stays as it was; what was made of the new one is %s", self.path, beside := atomic.unused(self.path)
            )
            os.replace(part, beside)
        else:
            self._segments.shows(part)
            os.replace(part, self.path)

    def _joined(self, part: Path, segment):
        """The container to write, begun, and its video stream, like that of a segment."""
        container = av.open(str(part), "w", format=self._kind.format)
        stream = container.add_stream_from_template(segment, opaque=True)
        stream.time_base, stream.rate = self._tick, self.frame_rate
        if self._kind.format == "avi" and segment.codec_context.name in ANNEXB:
            stream.codec_context.extradata = None  # its key frames bring what Matroska keeps there, in another form
        if self._kind.format in ("mp4", "mov"):
            codec = segment.codec_context  # players by Apple expect hvc1; ProRes's tag is all that Matroska keeps of it
            tag = {"hevc": "hvc1", "prores": bytes(codec.extradata or b"").decode("latin1")}.get(codec.name)
            stream.codec_context.codec_tag = tag or stream.codec_context.codec_tag
        if self._like:
            container.metadata.update(texts(self._like.metadata))
        if self._tracks:
            self._tracks.connect(container, stream)
        container.start_encoding()
        return container, stream

    @contextmanager
    def _named(self):
        """Errors of the disk and of FFmpeg name the file."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            done = f"; what was made of it is in {self._segments.folder}" if self._segments.is_kept else ""
            raise OSError(f"{self.path}: could not be written ({error.strerror or error}){done}") from error


def is_folder(path: str | os.PathLike) -> bool:
    """Whether an output is meant as a folder of PNG files."""
    ends_in_slash = os.fspath(path).endswith(("/", os.sep))
    path = Path(path)
    return path.is_dir() or ends_in_slash or (not path.suffix and path.name.lower() not in CONTAINERS)


def open_writer(
    path: str | os.PathLike,
    *,
    frame_rate: Fraction | float | str | None = None,
    like: VideoReader | FolderReader | None = None,
    audio_from: str | os.PathLike | None = None,
    names: Sequence[str] | None = None,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    segments: Segments | None = None,
) -> VideoWriter | FolderWriter:
    """Open a clip for writing; use it in a `with` block and call its `write(image, time=None)`.

    A video is written in segments, which are joined at the end of the `with` block. Ctrl-C and exceptions reach it:
    the file is playable and holds what was done; where an earlier file is, that stays, and the new one is named beside
    it (NAME.part.mp4). A name that somebody else's file has is never taken.
    H.264 by default, in limited-range yuv420p (of 10 bits for frames of uint16), which cannot hold odd sizes: these
    become yuv444p, exact in size but refused by some players. WebM is VP9. Matroska and WebM round times to
    milliseconds, AVI to whole frames.

    Args:
        path: .mp4 .mov .mkv .avi .webm, or a folder for PNG frames (no extension, or it exists, or it ends in a slash).
        frame_rate: in Hz, exact as Fraction or "24000/1001"; videos need it.
        like: the reader that the frames come from: its colour tags, pixel shape and time base are taken over, and it is
            guarded against being overwritten.
        audio_from: video or sound file whose sound, subtitles, fonts and chapters are copied, in their place relative
            to the first frame. Sound that the container does not take is encoded anew; what is left out is told.
        names: of the frames in a folder, such as `reader.names`; else 00000000.png and so on.
        codec: one of `ENCODERS`; ffv1 keeps every bit of the frames.
        crf: the encoder's constant rate factor, 0 (largest) to 51 or 63; at x264's 16 the eye sees no loss.
        preset: the encoder's name or number of a speed.
        pix_fmt: FFmpeg's name of a pixel format, such as yuv444p10le.
        overwrite: replace an existing file, or write into a folder that is not empty (other files in it stay).
        segments: a `Job` that may be gone on with; None: nobody will.

    Raises:
        ValueError: the output exists, is the input or has an unknown extension; the frame rate is missing; the encoder
            does not take what it is asked for.
    """
    folder = is_folder(path)
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_file() if folder else suffix not in CONTAINERS:
        raise ValueError(f"cannot write {path}: expected {WRITABLE}")
    files = getattr(like, "files", [])
    blocker = next(folder for folder in path.absolute().parents if folder.exists())
    if not blocker.is_dir():
        raise ValueError(f"cannot write {path}: {blocker} is a file, expected a folder")
    inputs = {Path(file).resolve() for file in (audio_from, like and like.path, *files) if file}
    if path.resolve() in inputs | {file.resolve().parent for file in files}:
        raise ValueError(f"the output {path} is the input: expected another path for the output")
    segments = segments or Segments(path)
    if not (overwrite or segments.replaces) and path.exists() and (path.is_file() or any(path.iterdir())):
        raise ValueError(f"{path} exists{' and is not empty' * folder}: give another output, or --overwrite")
    encoding = Encoding(codec, crf, preset, pix_fmt)
    if folder:
        if encoding != Encoding():
            raise ValueError(f"{path} is a folder of PNG files: --codec, --crf, --preset and --pix_fmt go with a video")
        return FolderWriter(path, names, segments)
    if frame_rate is None or Fraction(frame_rate) <= 0:
        raise ValueError(f"frame rate {frame_rate} for {path}: expected a positive number (--fps 24000/1001)")
    frame_rate = Fraction(frame_rate).limit_denominator(1001 if isinstance(frame_rate, float) else 100_000)
    return VideoWriter(
        path, frame_rate, like if isinstance(like, VideoReader) else None, audio_from, encoding, overwrite, segments
    )
