"""Clips as they are written: rates, times, sound, colours; what an interruption or a full disk leaves."""

import itertools
import os
import subprocess
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from common.media.containers import CONTAINERS
from common.media.image import write_image
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from tests.helpers.clips import NTSC, moving, sound_of, write_video, write_with_sound
from tests.helpers.pictures import psnr

write = partial(write_video, frame_rate=Fraction(25))


def test_rate_doubled_keeps_first_and_last_time(tmp_path):
    source = open_clip(write(tmp_path / "in.mp4", moving(10), frame_rate=NTSC))
    with open_writer(tmp_path / "out.mp4", frame_rate=2 * source.frame_rate, like=source) as writer:
        for image in source:
            writer.write(image)
            writer.write(image)
    clip = open_clip(tmp_path / "out.mp4")
    assert clip.frame_rate == Fraction(48000, 1001)
    assert [time for _, time in clip.timed()] == [n / (2 * NTSC) for n in range(20)]


def test_real_clip_copied(real_data, tmp_path):
    source = open_clip(real_data / "video" / "car-turn.mp4")
    with open_writer(tmp_path / "copy.mp4", frame_rate=source.frame_rate, like=source) as writer:
        for image, time in source.timed():
            writer.write(image, time)
    copy = open_clip(tmp_path / "copy.mp4")
    assert (copy.size, copy.frame_rate, copy.num_frames) == ((360, 640), 25, source.num_frames)
    quality = [(psnr(a, b), s == t) for (a, s), (b, t) in zip(source.timed(), copy.timed(), strict=True)]
    assert len(quality) == 81
    assert min(q for q, _ in quality) > 38
    assert all(same for _, same in quality)


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("aac", ".mkv"), ("libopus", ".webm")])
def test_sound_copied_byte_for_byte(tmp_path, codec, suffix):
    source = write_with_sound(tmp_path / "in.mkv", codec=codec)
    clip = open_clip(source)
    out = write(tmp_path / f"out{suffix}", clip, frame_rate=clip.frame_rate, like=clip, audio_from=source)
    before, after = sound_of(source), sound_of(out)
    assert [data for _, data in before] == [data for _, data in after]
    assert len(list(open_clip(out))) == 50
    origin = after[0][0] - before[0][0]  # Matroska starts at the encoder's priming, before zero
    assert max(abs(t - s - origin) for (s, _), (t, _) in zip(before, after, strict=True)) < 2e-3


def test_sound_keeps_its_place_when_the_video_starts_late(tmp_path):
    source = write_with_sound(tmp_path / "in.mkv", video_start=2, audio_start=1)
    clip = open_clip(source)
    assert next(clip.timed())[1] == 0
    out = write(tmp_path / "out.mkv", clip, frame_rate=clip.frame_rate, like=clip, audio_from=source)

    def lead(path):  # seconds from the first frame to the first sound
        with av.open(str(path)) as container:
            first = {s.type: s.start_time * s.time_base for s in container.streams}
        return float(first["audio"] - first["video"])

    assert lead(out) == pytest.approx(lead(source), abs=2e-3)
    assert lead(out) < -0.9


def test_silence_stays_silence(tmp_path):
    silent = write(tmp_path / "silent.mp4", moving(3))
    assert sound_of(write(tmp_path / "silent2.mp4", moving(3), audio_from=silent)) is None


def test_variable_frame_rate_keeps_its_times(tmp_path):
    steps = np.random.default_rng(1).integers(10, 40, 40)
    times = [Fraction(int(tick), 600) for tick in np.concatenate(([0], np.cumsum(steps)))]
    frames = moving(len(times))
    base = open_clip(write(tmp_path / "base.mp4", frames[:2]))  # an ordinary time base
    source = open_clip(write(tmp_path / "in.mp4", frames, times, frame_rate=24, like=base))
    assert [time for _, time in source.timed()] == times
    rate = source.frame_rate
    with open_writer(tmp_path / "copy.mp4", frame_rate=rate, like=source) as writer:
        for image, time in source.timed():
            writer.write(image, time)
    assert [time for _, time in open_clip(tmp_path / "copy.mp4").timed()] == times
    middle = [(a + b) / 2 for a, b in itertools.pairwise(times)]
    both = sorted(times + middle)
    out = write(tmp_path / "x2.mp4", moving(len(both)), both, frame_rate=2 * rate, like=source)
    assert [time for _, time in open_clip(out).timed()] == both
    out = write(tmp_path / "x2.mkv", moving(len(both)), both, frame_rate=2 * rate, like=source)
    assert max(abs(a - b) for (_, a), b in zip(open_clip(out).timed(), both, strict=True)) <= Fraction(3, 2000)


@pytest.mark.parametrize("size", [(96, 128), (95, 127), (720, 1280)])
def test_flat_colours_come_back(tmp_path, size):
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [128, 128, 128], [90, 30, 200]]
    )
    frames = [np.broadcast_to(c.astype(np.uint8), (*size, 3)) for c in colours[: 3 if size[0] > 100 else 7]]
    for suffix in (".mp4", ".webm"):
        clip = open_clip(write(tmp_path / f"c{suffix}", frames, overwrite=True))
        assert clip.matrix == (1 if size[0] == 720 else 6)
        for image, frame in zip(clip, frames, strict=True):
            assert np.abs(image.astype(int) - frame).max() <= 3


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_interrupt_leaves_a_playable_file(tmp_path, suffix):
    frames = moving(60)
    source = write_with_sound(tmp_path / "in.mp4", seconds=4)
    path = tmp_path / f"out{suffix}"

    def interrupted():
        yield from frames[:37]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, interrupted(), audio_from=source)
    got = list(open_clip(path))
    assert len(got) == 37
    assert psnr(got[-1], frames[36]) > 25
    if sound := sound_of(path):
        assert 1.3 < sound[-1][0] < 1.6  # the sound stops with the picture
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", path.name]


def test_an_avi_holds_h264_in_one_form(tmp_path):
    write(tmp_path / "out.avi", moving(4))
    start_codes = (b"\0\0\1", b"\0\0\0\1")  # of streams without a container; what Matroska keeps begins with a 1
    with av.open(str(tmp_path / "out.avi")) as container:
        stream = container.streams.video[0]
        assert bytes(stream.codec_context.extradata).startswith(start_codes)
        assert bytes(next(container.demux(stream))).startswith(start_codes)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_real_ctrl_c_during_encoding(tmp_path):
    code = """if True:
        import os, signal, sys, threading, numpy as np
        from common.media.video_writer import open_writer
        frame = np.random.default_rng(0).integers(0, 256, (360, 640, 3)).astype(np.uint8)
        with open_writer(sys.argv[1], frame_rate=25) as writer:
            threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                while True:
                    writer.write(frame)
            finally:
                print(writer.count)
    """
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.mp4")], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert "KeyboardInterrupt" in done.stderr
    assert abs(len(list(open_clip(tmp_path / "out.mp4"))) - int(done.stdout)) <= 1  # one may be on its way in


def test_an_existing_file_survives_failure_and_is_not_overwritten_unasked(tmp_path):
    path = write(tmp_path / "out.mp4", moving(3))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="exists"):
        open_writer(path, frame_rate=25)
    with pytest.raises(RuntimeError), open_writer(path, frame_rate=25, overwrite=True):
        raise RuntimeError  # before the first frame
    assert path.read_bytes() == before
    write(path, moving(5), overwrite=True)
    assert len(list(open_clip(path))) == 5


def test_output_is_never_the_input(tmp_path, monkeypatch):
    clip = open_clip(write(tmp_path / "a.mp4", moving(3)))
    monkeypatch.chdir(tmp_path)
    for options in ({"like": clip}, {"audio_from": clip.path}):
        with pytest.raises(ValueError, match="is the input"):
            open_writer("../" + tmp_path.name + "/a.mp4", frame_rate=25, overwrite=True, **options)
    for frame in moving(2):
        write_image(tmp_path / "frames" / f"{frame.sum()}.png", frame)
    for source in ("frames", "frames/*.png"):
        with pytest.raises(ValueError, match="is the input"):
            open_writer("frames", like=open_clip(source), overwrite=True)


@pytest.mark.parametrize("name", ["out.exe", "out.mp4.txt", ".mp4", "out.gif", "out.png", "b.py/"])
def test_hostile_output_names(tmp_path, name):
    (tmp_path / "b.py").write_text("x")
    with pytest.raises(ValueError, match=r"expected a folder \(with a final slash, .*\), or a file ending in"):
        open_writer(f"{tmp_path}/{name}", frame_rate=25)


@pytest.mark.parametrize("rate", [None, 0, -1])
def test_frame_rate_is_needed(tmp_path, rate):
    with pytest.raises(ValueError, match="frame rate"):
        open_writer(tmp_path / "a.mp4", frame_rate=rate)
    assert open_writer(tmp_path / "a.mp4", frame_rate="24000/1001").frame_rate == NTSC
    assert open_writer(tmp_path / "a.mp4", frame_rate=29.97).frame_rate == Fraction(2997, 100)


def test_writer_refuses_other_sizes_and_types(tmp_path):
    with open_writer(tmp_path / "a.mp4", frame_rate=25) as writer:
        writer.write(moving(1)[0])
        with pytest.raises(ValueError, match="output frame 1 is 60x48"):
            writer.write(moving(1, 48, 60)[0])
        with pytest.raises(ValueError, match="uint8"):
            writer.write(moving(1)[0] / 255.0)
    assert len(list(open_clip(tmp_path / "a.mp4"))) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "a.segments").mkdir()
    (tmp_path / "a.segments/joined.mkv").symlink_to("/dev/full")
    monkeypatch.setattr("tempfile.mkdtemp", lambda *_: tmp_path / "a.segments")
    noise = np.random.default_rng(0).integers(0, 256, (300, 90, 120, 3)).astype(np.uint8)
    with pytest.raises(
        OSError, match=r"a\.mkv: could not be written \(No space .*; what was made of it is in .*/a\.segments"
    ):
        write(tmp_path / "a.mkv", noise, crf=0)
    assert not (tmp_path / "a.mkv").exists()


def test_what_cannot_be_written_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for name in ("file/a.mp4", "file/deep/frames/"):
        with pytest.raises(ValueError, match=r"file is a file, expected a folder$"):
            open_writer(f"{tmp_path}/{name}", frame_rate=25)
    monkeypatch.setattr("tempfile.mkdtemp", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(OSError, match=r"a\.mp4: could not be written \(Permission denied\)$"):
        write(tmp_path / "a.mp4", moving(2))


def test_names_as_long_as_a_disk_takes_them(tmp_path):
    path = write(tmp_path / ("名" * 80 + "." * 11 + ".mp4"), moving(2))
    assert os.listdir(tmp_path) == [path.name]


def test_no_file_of_another_is_written_to(tmp_path):
    """The name that a half-written file would have may be the input's own, or anybody's."""
    source = write(tmp_path / "clip.part.mp4", moving(50))
    (tmp_path / "clip.part2.mp4").write_bytes(b"mine")
    before = source.read_bytes()
    clip = open_clip(source)
    with open_writer(tmp_path / "clip.mp4", frame_rate=25, like=clip, audio_from=source) as writer:
        for image, time in clip.timed():
            writer.write(image, time)
            assert source.read_bytes() == before
    assert len(list(open_clip(tmp_path / "clip.mp4"))) == 50
    assert (tmp_path / "clip.part2.mp4").read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4", "clip.part.mp4", "clip.part2.mp4"]


def test_a_part_takes_no_place_of_a_whole(tmp_path, caplog):
    path = write(tmp_path / "out.mp4", moving(20))
    before = path.read_bytes()

    def interrupted():
        yield from moving(7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, interrupted(), overwrite=True)
    part = tmp_path / "out.part.mp4"
    assert path.read_bytes() == before
    assert len(list(open_clip(part))) == 7
    assert f"{path} stays as it was; what was made of the new one is {part}" in caplog.text
    writer = open_writer(tmp_path / "late.mp4", frame_rate=25)
    with writer:
        writer.write(moving(1)[0])
        (tmp_path / "late.mp4").write_bytes(b"mine")  # by somebody else, meanwhile
    assert (tmp_path / "late.mp4").read_bytes() == b"mine"
    assert len(list(open_clip(tmp_path / "late.part.mp4"))) == 1


def test_the_last_frame_lasts_as_long_as_the_one_before(tmp_path):
    def length(ticks):
        path = write(tmp_path / "out.mp4", moving(len(ticks)), [Fraction(n, 30) for n in ticks], frame_rate=30,
                     overwrite=True)  # fmt: skip
        with av.open(str(path)) as container:
            return round(container.duration / av.time_base * 30, 3)

    assert length([0, 1, 2, 302, 303, 304]) == 305
    assert length([0, 3, 6, 9]) == 12
    assert length([0, 1, 2, 302]) == 303  # that before was a still
    assert length([0]) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path):
    code = """if True:
        import sys, numpy as np, resource
        from common.media.video_reader import open_clip
        from common.media.video_writer import open_writer
        frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
        folder, count = sys.argv[1], int(sys.argv[2])
        with open_writer(folder + "/a.mp4", frame_rate=25, crf=40, overwrite=True) as writer:
            for index in range(count):
                writer.write(np.roll(frame, index, 1))
        clip = open_clip(folder + "/a.mp4")
        with open_writer(folder + "/b.mp4", frame_rate=25, like=clip, audio_from=clip.path, overwrite=True) as writer:
            for image, time in clip.timed():
                writer.write(image, time)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    root = Path(__file__).parents[3]
    peak = [
        int(subprocess.check_output([sys.executable, "-c", code, str(tmp_path), str(count)], cwd=root))
        for count in (50, 250)
    ]
    assert peak[1] - peak[0] < 20_000  # KiB; 200 frames are 45,000
