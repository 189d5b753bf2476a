"""Time, from the packets of a file to its frames; the one place that a jumping clock, an edit list or an AVI troubles.

How time runs: a packet tells ticks of its stream; `packets` makes them run on where the file's clock jumps, by one
`Clock` for picture, sound and subtitles, so that they stay together; `PictureFrames` gives each frame its seconds;
`VideoReader` counts them from the first frame. A network puts frames between, in the same seconds. `VideoWriter` makes
ticks of them, later by what the sound began before the picture; `Tracks` moves sound and subtitles alike.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from statistics import mean, median_low

import av

from common.media.containers import main_picture

CLOCK_MAY_JUMP = 0x200  # FFmpeg's flag of containers whose clock may be set anew, such as MPEG-TS
FAR = 10  # seconds; a clock that runs on by more was set anew
NEAR = Fraction(1, 10)  # seconds; steps back of less are the carelessness of muxers
PRIMING = Fraction(1, 20)  # seconds; hidden sound of less only warms up a decoder
LOOK = 240  # packets that tell the frame rate
USUAL_RATES = [Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 144, 240)]
USUAL_RATES += [rate * 1000 / 1001 for rate in USUAL_RATES if rate in (24, 30, 60, 120)]


@dataclass
class _Line:
    """How far the packets of a stream have come, in seconds that run on."""

    stretch: int  # between which two jumps
    start: Fraction  # of the latest packet, in the order of decoding
    end: Fraction
    shown: Fraction  # until when its frames are shown


class Clock:
    """What has to be added to the times of packets, in seconds, so that they run on where the file's clock jumps.

    Between two jumps lies a stretch. The stream that comes to a new one first tells by how much it is moved, so that
    its own packets follow each other; the other streams take the same. `latest` is the end of all packets so far.
    """

    def __init__(self, container):
        self._jumps_on = bool(container.format.flags & CLOCK_MAY_JUMP)
        self._shifts = [Fraction(0)]  # one a stretch
        self._lines: dict[int, _Line] = {}
        self.latest = Fraction(0)

    @property
    def jumped(self) -> bool:
        """Whether the clock has jumped so far."""
        return len(self._shifts) > 1

    def shift(self, packet: av.Packet) -> Fraction:
        """Seconds to add to the times of a packet; call it for all packets in their order."""
        if packet.stream.type == "subtitle":  # too rare to tell
            return self._shifts[-1]
        index = packet.stream.index  # `packet.stream_index` is wrong for the last, empty one
        line, length = self._lines.get(index), (packet.duration or 0) * packet.time_base
        shown = None if packet.pts is None else packet.pts * packet.time_base + length
        if packet.dts is not None:
            line = self._lines[index] = self._go_on(line, packet.dts * packet.time_base, length, shown)
        elif line:  # it follows the one before
            line.start, line.end = line.end, line.end + length
        shift = self._shifts[line.stretch if line else -1]
        if shown is not None:
            shown += shift
            self.latest = max(self.latest, shown)
            if line:
                line.shown = max(line.shown, shown)
        return shift

    def _go_on(self, line: _Line | None, time: Fraction, length: Fraction, shown: Fraction | None) -> _Line:
        """The line after a packet decoded at `time`, in the first stretch where this follows what came before."""
        if line is None:
            stretch = len(self._shifts) - 1
            return _Line(stretch, time + self._shifts[stretch], time + self._shifts[stretch] + length, Fraction(0))
        stretch = line.stretch
        while stretch < len(self._shifts) and not self._follows(line, time + self._shifts[stretch], length):
            stretch += 1
        if stretch == len(self._shifts):
            # Matroska does not tell when frames are decoded: the guess may be late where a stretch begins.
            self._shifts.append(max(line.end - time, line.shown - (shown or line.shown) + length))
        time += self._shifts[stretch]
        return _Line(stretch, time, time + (length or max(time - line.start, Fraction(0))), line.shown)

    def _follows(self, line: _Line, time: Fraction, length: Fraction) -> bool:
        back = time < line.start - max(NEAR, 3 * length)
        return not back and not (self._jumps_on and time > max(self.latest, line.end) + FAR)


def packets(container, picture=None, clock: Clock | None = None) -> Iterator[av.Packet]:
    """All packets of the picture, of sound and of subtitles, their times moved as the `Clock` tells.

    Sound that an edit list hides is left out, but for the packets right before a track that only warm up its decoder.

    Args:
        container: an open input.
        picture: the video stream; None: a sound file.
        clock: that tells afterwards if the clock jumped.
    """
    clock = clock or Clock(container)
    hidden: dict[int, list[av.Packet] | None] = {}  # of sound: the packets before the first heard; None after it
    streams = [*([picture] if picture else []), *container.streams.audio, *container.streams.subtitles]
    for packet in container.demux(streams):
        shift = round(clock.shift(packet) / packet.time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        if packet.stream.type == "audio":
            before = hidden.setdefault(packet.stream.index, [])
            if packet.is_discard:
                if before is not None:
                    before.append(packet)
                continue
            hidden[packet.stream.index] = None
            if before and packet.pts is not None and (packet.pts - before[0].pts) * packet.time_base <= PRIMING:
                yield from before
        yield packet


class PictureFrames:
    """The frames of a video stream with their seconds, as the file tells them: `for frame, time in frames`.

    The time is None where the file tells none. An AVI tells places in the order of decoding only: its n-th frame to be
    shown has the n-th place. `packets` counts those seen, `hidden` those among them that an edit list hides.
    """

    def __init__(self, container, picture):
        self.clock = Clock(container)
        self.packets = self.hidden = 0
        self._container, self._picture = container, picture
        self._is_avi = container.format.name == "avi"

    def __iter__(self):
        places = deque()
        for packet in self._seen():
            if self._is_avi and packet.size:
                places.append(packet.dts)
            for frame in packet.decode():
                ticks = (places.popleft() if places else None) if self._is_avi else frame.pts
                yield frame, self._seconds(ticks)

    def times(self) -> Iterator[Fraction | None]:
        """The times of the packets that are shown, in the order of decoding, in a fraction of the time it takes."""
        for packet in self._seen():
            if packet.size and not packet.is_discard:  # the last packet marks the end and is empty
                yield self._seconds(packet.dts if self._is_avi else packet.pts)

    def _seconds(self, ticks):
        return None if ticks is None else ticks * self._picture.time_base

    def _seen(self):
        for packet in packets(self._container, self._picture, self.clock):
            if packet.stream.index == self._picture.index:
                self.packets += packet.size > 0
                self.hidden += packet.is_discard
                yield packet


def frame_rate(container) -> Fraction:
    """Of the main picture, in Hz; reads some packets where the container does not tell it reliably.

    Where frames have no times it is the rate of the stream's headers. Where the average and the nominal rate differ, or
    the rate is that of the container's ticks, it is that of the usual gap between two frames: long stills count little.
    """
    picture = main_picture(container)
    average, nominal = picture.average_rate, picture.guessed_rate
    rate = nominal or average or Fraction(25)
    if picture.start_time is not None and (rate > 120 or (average and abs(rate / average - 1) > 0.01)):
        times = list(islice(PictureFrames(container, picture).times(), LOOK))
        rate = usual_rate([time for time in times if time is not None]) or Fraction(25)
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if abs(ntsc / rate - 1) < 1e-6 else rate  # Matroska stores nanoseconds a frame


def usual_rate(times: Sequence[Fraction]) -> Fraction | None:
    """The frame rate that most gaps between frames at these times have, in Hz; None for fewer than two.

    It is one of the usual rates where one is within a tenth: recordings by a browser or a phone waver.
    """
    gaps = [b - a for a, b in pairwise(sorted(times)) if b > a]
    if not gaps:
        return None
    middle = median_low(gaps)
    rate = 1 / mean(gap for gap in gaps if middle / 2 < gap < middle * 3 / 2)
    nearest = min(USUAL_RATES, key=lambda usual: abs(usual / rate - 1))
    return nearest if abs(nearest / rate - 1) < 0.1 else rate.limit_denominator(1001)
