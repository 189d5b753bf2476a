"""What else is in a video file: sound, subtitles, fonts, chapters and titles, taken over into the result."""

import io
import logging
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.stream import Disposition

from common.media.containers import CONTAINERS, Kind, main_picture, open_input
from common.media.packet_times import LOOK, NEAR, packets
from common.media.video_reader import VideoReader

log = logging.getLogger(__name__)

# Of a file's or track's metadata: what is not true of a copy.
UNTRUE = ("encoder", "major_brand", "minor_version", "compatible_brands", "duration", "timecode", "rotate")
UNTRUE += ("bps", "number_of_", "_statistics_")


def texts(metadata: dict[str, str]) -> dict[str, str]:
    """Title, language and the like: the metadata that a copy keeps."""
    return {key: text for key, text in metadata.items() if not key.lower().startswith(UNTRUE)}


def takes(kind: Kind, stream, *, encoded: bool = False) -> bool:
    """Whether a container takes a copy of a sound or subtitle stream, or its sound `encoded`: it is tried in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=kind.format) as trial:
            _Encoder(trial, stream, kind.sound) if encoded else trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


class Tracks:
    """The tracks of a file beside its picture: copied as they are, or, sound, encoded where no copy is taken.

    `lead` is by how much sound begins before the first frame, in seconds: by so much the frames come later in a result
    that loses none of it. What the result cannot hold is told in one line.

    Args:
        path: of the file, a video or sound.
        start: of its first frame, in seconds by the file's clock.
        kind: of the container to write.
        trimmed: sound before the first frame is left out, too; as in an AVI, whose tracks all begin at once.
        length: seconds after the first frame from which on everything is left out.
    """

    def __init__(
        self, path: str | os.PathLike, start: Fraction, kind: Kind, *, trimmed=False, length: Fraction | None = None
    ):
        self._path, self._start, self._kind = path, start, kind
        self._leads, self._length = not (trimmed or kind.format == "avi"), math.inf if length is None else length
        self._source = open_input(path)
        self._picture = main_picture(self._source)
        others = [s for s in self._source.streams if not self._picture or s.index != self._picture.index]
        self._copied = [s for s in others if s.type in ("audio", "subtitle") and takes(kind, s)]
        refused = [s for s in others if s not in self._copied]
        sound = [s for s in refused if s.type == "audio" and s.codec_context is not None]
        self._encoded = [s for s in sound if takes(kind, s, encoded=True)]
        self._fonts = [s for s in refused if s.type == "attachment" and kind.format == "matroska"]
        self._tell([s for s in refused if s not in self._encoded and s not in self._fonts])
        sounds = {s.index for s in (*self._copied, *self._encoded) if s.type == "audio"}
        self.lead = max(start - _beginning(path, sounds, start), Fraction(0)) if self._leads else Fraction(0)
        self._outputs, self._latest = {}, {}  # by the index in the source: the stream, the time of its last packet
        self._packets = packets(self._source, self._picture)
        self._next = next(self._packets, None)

    def _tell(self, lost: list) -> None:
        chapters = self._source.chapters()
        for stream in self._encoded:
            log.warning("%s: its sound in %s is encoded anew, as %s", self._path, _codec(stream), self._kind.sound)
        # MP4 keeps the names of chapters in a track of its own
        what = [_described(stream) for stream in lost if not (stream.type == "data" and chapters)]
        if chapters and self._kind.format == "avi":
            what.append("chapters (an .mkv takes them)")
        if what:
            log.warning("%s: not taken over: %s", self._path, ", ".join(dict.fromkeys(what)))

    def connect(self, container, picture) -> None:
        """Add the tracks to a container that is not yet started, and their texts; those of the picture to `picture`."""
        for stream in self._source.streams:  # their order stays
            if stream in self._copied:
                output = container.add_stream_from_template(stream)
            elif stream in self._encoded:
                output = _Encoder(container, stream, self._kind.sound)
            else:
                continue
            self._outputs[stream.index] = output
            stored = output.stream if isinstance(output, _Encoder) else output
            stored.metadata.update(texts(stream.metadata))
            if name := stream.metadata.get("name"):  # as MP4 calls the title of a track
                stored.metadata.setdefault("title", name)
            stored.disposition = stream.disposition
        for font in self._fonts:
            container.add_attachment(font.name or "font", font.mimetype or "application/octet-stream", font.data)
        if self._picture:
            picture.metadata.update(texts(self._picture.metadata))
            picture.disposition = self._picture.disposition
        container.set_chapters(list(self._chapters()))

    def _chapters(self) -> Iterator[dict]:
        for chapter in self._source.chapters():
            tick = chapter["time_base"]
            start, end = (chapter[key] * tick - self._start for key in ("start", "end"))
            if (end > 0 or self._leads) and start < self._length:
                start, end = max(start + self.lead, 0), min(end, self._length) + self.lead
                yield {**chapter, "start": round(start / tick), "end": round(end / tick)}

    def until(self, time: Fraction | float) -> Iterator[av.Packet]:
        """The packets not given before that start up to `time`, in seconds after the first frame."""
        while (packet := self._next) is not None and self._seconds(packet) <= min(time, self._length):
            yield from self._moved(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def rest(self) -> Iterator[av.Packet]:
        """What the encoders still hold; ask for it at the end."""
        for output in self._outputs.values():
            if isinstance(output, _Encoder):
                yield from output.stream.encode(None)

    def _seconds(self, packet: av.Packet) -> Fraction:
        """When it starts, after the first frame; what has no time goes with what comes next."""
        ticks = packet.pts if packet.dts is None else packet.dts
        return Fraction(-1) if ticks is None else ticks * packet.time_base - self._start

    def _moved(self, packet: av.Packet) -> Iterator[av.Packet]:
        index = packet.stream.index
        output = self._outputs.get(index)
        if output is None:
            return
        if not self._leads and self._seconds(packet) + (packet.duration or 0) * packet.time_base / 2 < 0:
            return
        if isinstance(output, _Encoder):
            yield from output.encode(packet, self.lead - self._start)
            return
        if not packet.size or (packet.pts is None and packet.dts is None):  # the last one is empty
            return
        shift = round((self.lead - self._start) / packet.time_base)
        pts = (packet.dts if packet.pts is None else packet.pts) + shift
        dts = pts if packet.dts is None else packet.dts + shift
        if packet.stream.type == "subtitle":
            pts = dts = max(pts, 0)
        packet.dts = self._latest[index] = max(dts, self._latest.get(index, dts - 1) + 1)
        packet.pts = max(pts, packet.dts)
        packet.stream = output
        yield packet


class _Encoder:
    """Sound that is encoded anew."""

    def __init__(self, container, source, name: str):
        context, rates = source.codec_context, av.Codec(name, "w").audio_rates
        rate = context.sample_rate if rates is None or context.sample_rate in rates else 48000
        # An old file may tell a number only, which no encoder takes.
        layout = {"1 channels": "mono", "2 channels": "stereo"}.get(context.layout.name, context.layout)
        self.stream = container.add_stream(name, rate=rate, layout=layout, bit_rate=96_000 * context.channels)
        self._name = source.container.name.removeprefix("file:")
        self._position = self._form = None  # of the next sample; of all frames
        self._is_told = False

    def encode(self, packet: av.Packet, shift: Fraction) -> Iterator[av.Packet]:
        """The packets that are ready; `shift` is what is added to its time, in seconds."""
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = [None]
        for frame in frames:
            form = frame and (frame.sample_rate, frame.format.name, frame.layout.name)
            self._form = self._form or form
            if form is None or form != self._form:
                if not self._is_told:
                    log.warning("%s: pieces of its sound, damaged or of another form, are left out", self._name)
                self._is_told = True
                continue
            if frame.pts is not None:  # else it follows the one before
                place = round((frame.pts * frame.time_base + shift) * frame.sample_rate)
                if self._position is None or abs(place - self._position) > NEAR * frame.sample_rate:
                    self._position = place  # the first, or one after a gap
            elif self._position is None:
                continue
            frame.pts, frame.time_base = self._position, Fraction(1, frame.sample_rate)
            self._position += frame.samples
            yield from self.stream.encode(frame)


def tracks_of(path: str | os.PathLike, like: VideoReader | None, kind: Kind) -> Tracks:
    """The tracks of a file, a video or sound; `like` may be its reader."""
    if like is None or not os.path.samefile(like.path, path):
        with open_input(path) as container:
            if main_picture(container) is None:
                return Tracks(path, Fraction(0), kind)
        like = VideoReader(Path(path))
    return Tracks(path, like.start, kind, trimmed=like.is_trimmed, length=like.length)


def _beginning(path: str | os.PathLike, sounds: set[int], start: Fraction) -> Fraction:
    """When the first of some sound streams is heard, by the file's clock like `start`, which stands for a late one."""
    first = {}
    with open_input(path) as source:
        for packet in islice(packets(source, main_picture(source)), LOOK):
            if packet.stream.index in sounds and packet.pts is not None and not packet.is_discard:
                first.setdefault(packet.stream.index, packet.pts * packet.time_base)
    return min(first.values(), default=start)


def _codec(stream) -> str:
    return stream.codec_context.codec.canonical_name


def _described(stream) -> str:
    """A track, and the containers that would take it."""
    if stream.type == "video":
        return "the cover picture" if stream.disposition & Disposition.attached_pic else "another picture"
    if stream.type == "attachment":
        return f"{stream.name or 'an attachment'} (an .mkv takes it)"
    if stream.type == "data":
        return "tracks of data"  # of a telephone's sensors and the like
    if stream.type not in ("audio", "subtitle") or stream.codec_context is None:
        return f"track {stream.index} ({stream.type}, of a kind that FFmpeg does not know)"
    holders = [suffix for suffix, kind in CONTAINERS.items() if takes(kind, stream)]
    remedy = f" ({' '.join(holders)} would hold them)" if holders else ""
    return f"{'sound' if stream.type == 'audio' else 'subtitles'} in {_codec(stream)}{remedy}"
