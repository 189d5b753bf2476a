"""Times of packets and frames: clocks that jump, edit lists, AVI, streams without times, rates that nobody tells."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from common.media.containers import main_picture, open_input
from common.media.packet_times import CLOCK_MAY_JUMP, Clock, PictureFrames, packets, usual_rate
from common.media.video_reader import open_clip
from tests.helpers.clips import flash_and_beep, moving, places_of, write_video, write_with_sound

EVEN = [Fraction(n, 25) for n in range(50)]


def ticking(index, ticks, length=4, kind="video"):
    """A packet of a stream whose ticks are hundredths of a second."""
    stream = SimpleNamespace(index=index, type=kind)
    return SimpleNamespace(stream=stream, dts=ticks, pts=ticks, duration=length, time_base=Fraction(1, 100))


def clock(flags=CLOCK_MAY_JUMP):
    return Clock(SimpleNamespace(format=SimpleNamespace(flags=flags)))


def moved(clock, packets):
    return [packet.dts + 100 * clock.shift(packet) for packet in packets]


def test_both_streams_are_moved_by_the_same_at_every_jump():
    jumping = clock()
    starts = [0, 500_000, 300, 300]  # on, back, and again
    order = []
    for start in starts:
        order += [ticking(0, start + 4 * n) for n in range(25)]
        order[-3:-3] = [ticking(1, start + 5 * n, 5, "audio") for n in range(20)]  # ends while the picture goes on
    times = moved(jumping, order)
    of = lambda index: [time for time, packet in zip(times, order, strict=True) if packet.stream.index == index]  # noqa: E731
    assert of(0) == [4 * n for n in range(100)]
    assert of(1) == [5 * n for n in range(80)]
    assert jumping.jumped
    assert jumping.latest == 4


def test_what_is_no_jump():
    even = [ticking(0, 4 * n) for n in range(5)]
    for packet, flags in (
        (ticking(0, 16 + 900), CLOCK_MAY_JUMP),  # 9 seconds later
        (ticking(0, 16 + 5000), 0),  # a still in a container whose clock is whole
        (ticking(0, 12), CLOCK_MAY_JUMP),  # the carelessness of muxers
        (ticking(1, 700, kind="audio"), CLOCK_MAY_JUMP),  # a stream that begins late
        (ticking(2, 50_000, kind="subtitle"), CLOCK_MAY_JUMP),  # rare
        (ticking(0, None), CLOCK_MAY_JUMP),
    ):
        whole = clock(flags)
        moved(whole, even)
        assert whole.shift(packet) == 0
        assert not whole.jumped
    sound = clock()  # runs on while the picture stands for a minute: no jump when that goes on
    moved(sound, [ticking(0, 0), *(ticking(1, 5 * n, 5, "audio") for n in range(1200)), ticking(0, 6000)])
    assert not sound.jumped


@pytest.mark.parametrize("starts", [(0, 5000), (5000, 0), (0, 0), (20, 3, 900)])
@pytest.mark.parametrize("codec", [None, "aac"])
def test_a_joined_transport_stream_is_one_clip(tmp_path, caplog, starts, codec):
    joined = tmp_path / "joined.ts"
    for number, start in enumerate(starts):
        piece = flash_and_beep(tmp_path / f"{number}.ts", 25, flash=10, codec=codec, start=start)
        with joined.open("ab") as file:
            file.write(piece.read_bytes())
    clip = open_clip(joined)
    times = [time for _, time in clip.timed()]
    slack = Fraction(1, 20) if codec else 0  # sound of a piece may last a packet longer
    assert len(times) == 25 * len(starts)
    assert [abs(time - Fraction(n, 25)) <= slack * len(starts) for n, time in enumerate(times)] == [True] * len(times)
    assert list(clip.times()) == times
    assert caplog.text.count("its clock jumps; what follows is moved, sound and picture alike") == 1
    assert clip.damage is None


def test_packets_without_times_count_until_the_next_that_has_one():
    program = clock()  # as an MPEG program stream tells one time for a group of pictures
    piece = [ticking(0, 50), *(ticking(0, None) for _ in range(24))]
    assert [program.shift(packet) for packet in piece + piece] == [0] * 25 + [1] * 25


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "aac"), (".mkv", None), (".vob", None), (".webm", None)])
def test_other_joined_files_run_on_too(tmp_path, suffix, codec):
    path = tmp_path / f"in{suffix}"
    if suffix == ".webm":
        write_video(path, moving(25), frame_rate=25)
    else:
        flash_and_beep(path, 25, flash=10, codec=codec)
    path.write_bytes(path.read_bytes() * 2)
    clip = open_clip(path)
    times = [time for _, time in clip.timed()]
    assert len(times) == 50
    assert max(abs(a - b) for a, b in zip(times, EVEN, strict=True)) < Fraction(1, 40)
    assert list(clip.times()) == times


def test_sound_hidden_by_an_edit_list_is_left_out_and_priming_is_not():
    def heard(hidden):
        """Which of ten packets of a track, 20 ms each, are given; `hidden` are marked."""
        stream = SimpleNamespace(index=0, type="audio")
        track = [
            SimpleNamespace(stream=stream, dts=n, pts=n, duration=1, time_base=Fraction(1, 50), is_discard=n in hidden)
            for n in range(10)
        ]
        container = SimpleNamespace(
            format=SimpleNamespace(flags=0),
            streams=SimpleNamespace(audio=(stream,), subtitles=()),
            demux=lambda streams: iter(track),
        )
        return [packet.dts for packet in packets(container)]

    assert heard([]) == list(range(10))
    assert heard([0, 1]) == list(range(10))
    assert heard([0, 1, 2]) == [3, 4, 5, 6, 7, 8, 9]
    assert heard([0, 1, 2, 3, 4, 5]) == [6, 7, 8, 9]
    assert heard([4, 5, 9]) == [0, 1, 2, 3, 6, 7, 8]


def test_pictures_hidden_by_an_edit_list_are_not_missed(tmp_path, caplog):
    path = write_with_sound(tmp_path / "in.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4  # of the picture, the first track: version, entries, length and start of the first
    length, start = (int.from_bytes(data[at + place : at + place + 4]) for place in (8, 12))
    with open_input(path) as container:
        tick = container.streams.video[0].time_base
    data[at + 8 : at + 12] = (length - 480).to_bytes(4)  # thousandths of a second
    data[at + 12 : at + 16] = (start + round(Fraction(480, 1000) / tick)).to_bytes(4)
    path.write_bytes(data)
    clip = open_clip(path)
    assert [time for _, time in clip.timed()] == EVEN[:38]
    assert list(clip.times()) == EVEN[:38]
    assert clip.damage is None
    assert caplog.text == ""
    with open_input(path) as container:
        pictures = PictureFrames(container, main_picture(container))
        assert len(list(pictures)) == 38
        assert (pictures.packets, pictures.hidden) == (50, 12)


def test_reordered_frames_of_an_avi_have_their_places(tmp_path):
    path = tmp_path / "b.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "b-adapt": "0", "g": "20"})
        stream.width, stream.height = 64, 48
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    got = list(clip.timed())
    assert [time for _, time in got] == EVEN
    assert list(clip.times()) == EVEN
    assert [round(float(image.mean()) / 5) for image, _ in got] == list(range(50))
    assert clip.start == 0


@pytest.mark.parametrize(("codec", "rate"), [("libx264", 60), ("libx265", 60), ("libx265", 24), ("libx264", 30)])
def test_a_raw_stream_has_the_rate_of_its_headers(tmp_path, codec, rate):
    path = tmp_path / ("raw.h264" if codec == "libx264" else "raw.hevc")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"x265-params": "log-level=none"})
        stream.width, stream.height = 96, 64
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 8 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert clip.frame_rate == rate
    assert [time for _, time in clip.timed()] == [Fraction(n, rate) for n in range(30)]


def test_the_usual_gap_is_the_rate():
    waver = np.random.default_rng(0).integers(-8, 9, 100).tolist()
    browser = np.cumsum([0, *(33 + ms for ms in waver)]).tolist()
    assert usual_rate([Fraction(ms, 1000) for ms in browser]) == 30
    assert usual_rate([Fraction(n, 30) for n in (0, 1, 2, 302, 303, 304)]) == 30  # a still of ten seconds
    assert usual_rate([Fraction(n, 60) for n in (0, 300, 301)]) == 60
    assert usual_rate([Fraction(round(n * 1001 / 24), 1000) for n in range(200)]) == Fraction(24000, 1001)
    assert usual_rate([Fraction(n, 2) for n in (4, 1, 2, 3)]) == 2  # no usual one is near
    assert usual_rate([Fraction(1)]) is None


def test_a_recording_of_a_browser_tells_no_rate(tmp_path):
    ticks = places_of(np.random.default_rng(3).integers(26, 41, 30))
    path = tmp_path / "browser.webm"
    with av.open(str(path), "w", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=1000, options={"deadline": "realtime"})
        stream.width, stream.height, stream.time_base = 64, 48, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), tick % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert clip.frame_rate == 30
    assert [time for _, time in clip.timed()] == [Fraction(tick, 1000) for tick in ticks]
