import itertools
import logging
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from common.media.image import write_image
from common.media.video_reader import CONTAINERS, open_clip, open_writer

NTSC = Fraction(24000, 1001)


def moving(count, height=48, width=64):
    """Smooth frames, each unlike its neighbours."""
    texture = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    canvas = cv2.resize(texture, (width + 3 * count, height), interpolation=cv2.INTER_CUBIC)
    return [canvas[:, 3 * i : 3 * i + width] for i in range(count)]


def write(path, frames, times=None, **options):
    options = {"frame_rate": Fraction(25), **options}
    with open_writer(path, **options) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, times and times[index])
    return path


def write_with_sound(path, seconds=2.0, rate=25, codec="aac", video_start=0, audio_start=0):
    """A clip of flat frames and a tone, made with PyAV alone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "30", "preset": "ultrafast"})
        video.width, video.height = 64, 48
        audio = container.add_stream(codec, rate=48000)
        for index in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * index % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + video_start * rate, Fraction(1, rate)
            container.mux(video.encode(frame))
        tone = (np.sin(np.arange(round(seconds * 48000)) / 20) / 4).astype(np.float32)
        fifo_size = audio.codec_context.frame_size or 1024
        for start in range(0, len(tone), fifo_size):
            data = np.tile(tone[start : start + fifo_size], (2, 1))
            if audio.codec_context.format.name == "s16":
                frame = av.AudioFrame.from_ndarray((data * 32767).astype(np.int16).T.reshape(1, -1), "s16", "stereo")
            else:
                frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="stereo")
            frame.sample_rate = 48000
            frame.pts, frame.time_base = start + audio_start * 48000, Fraction(1, 48000)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def sound_of(path):
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        return [(round(float(p.pts * p.time_base), 4), bytes(p)) for p in container.demux(audio=0) if p.dts is not None]


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2), 1e-9))


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("size", [(48, 64), (47, 65)])
def test_every_frame_exact_rate_and_size(tmp_path, suffix, size):
    frames = moving(23, *size)
    for rate in (NTSC, 2 * NTSC, Fraction(60)):
        path = write(tmp_path / f"clip{suffix}", frames, frame_rate=rate, overwrite=True)
        clip = open_clip(path)
        got = list(clip.timed())
        assert (len(got), clip.frame_rate, clip.size) == (23, rate, size)
        assert [time for _, time in got] == [index / rate for index in range(23)]
        assert min(psnr(image, frame) for (image, _), frame in zip(got, frames, strict=True)) > 27
        assert os.listdir(tmp_path) == [path.name]
    assert len(list(clip)) == 23  # a second time


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


def test_sound_that_the_container_refuses_is_left_out_with_a_warning(tmp_path, caplog):
    source = write_with_sound(tmp_path / "in.mp4")
    with caplog.at_level(logging.WARNING):
        out = write(tmp_path / "out.webm", open_clip(source), audio_from=source)
    assert "sound" in caplog.text
    assert sound_of(out) is None
    assert len(list(open_clip(out))) == 50
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


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_times_are_known_without_decoding(tmp_path, suffix):
    even = write(tmp_path / f"even{suffix}", moving(23), frame_rate=NTSC)
    times = [Fraction(int(tick), 25) for tick in np.cumsum([0, *np.random.default_rng(1).integers(1, 4, 22)])]
    uneven = write(tmp_path / f"uneven{suffix}", moving(23), times)
    late = write_with_sound(tmp_path / "late.mkv", video_start=2, audio_start=1)
    for path in (even, uneven, late):
        clip = open_clip(path)
        assert list(clip.times()) == [time for _, time in clip.timed()]


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


@pytest.mark.parametrize(
    ("matrix", "full", "told"),
    [(matrix, full, True) for matrix in (1, 5, 6, 9) for full in (False, True)]
    + [(1, False, False), (6, False, False)],
)
def test_matrix_and_range_of_a_foreign_file(tmp_path, matrix, full, told):
    """YUV computed here by the standards' formulas, stored losslessly, read back as RGB; passed on through a writer."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    height, width = (720, 1280) if matrix == 1 and not told else (96, 128)
    rgb = np.array([200, 60, 30])
    r, g, b = rgb / 255
    y = red * r + (1 - red - blue) * g + blue * b
    yuv = np.array([y, (b - y) / (2 - 2 * blue) + 0.5, (r - y) / (2 - 2 * red) + 0.5])
    yuv = yuv * 255 + (0, 0.5, 0.5) if full else yuv * (219, 224, 224) + 16
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if told:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        planes = [np.full(width * height // (4 if i else 1), round(v), np.uint8) for i, v in enumerate(yuv)]
        frame = av.VideoFrame.from_ndarray(np.concatenate(planes).reshape(-1, width), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    copy = open_clip(write(tmp_path / "out.mp4", clip, like=clip))
    for image in (*clip, *copy):
        assert np.abs(image.astype(int) - rgb).max() <= 3
    assert copy.matrix == clip.matrix


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_phone_rotation_is_applied(tmp_path, degrees, mirrored):
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:24, :32] = (230, 60, 60)
    image[:24, 32:] = (60, 230, 60)
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height = 64, 48
        stream.set_display_rotation(degrees, hflip=mirrored)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    upright = np.rot90(image, degrees // 90)  # both counter-clockwise
    upright = upright[:, ::-1] if mirrored else upright
    clip = open_clip(path)
    assert clip.size == upright.shape[:2]
    assert psnr(next(iter(clip)), upright) > 25
    copy = write(tmp_path / "copy.mp4", clip, like=clip)
    assert psnr(next(iter(open_clip(copy))), upright) > 25


def test_pixel_shape_is_kept(tmp_path):
    path = tmp_path / "dvd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(moving(1)[0], format="rgb24")))
        container.mux(stream.encode(None))
    clip = open_clip(path)
    assert open_clip(write(tmp_path / "copy.mp4", clip, like=clip)).aspect == Fraction(16, 15)


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


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_real_ctrl_c_during_encoding(tmp_path):
    code = """if True:
        import os, signal, sys, threading, numpy as np
        from common.media.video_reader import open_writer
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
    with pytest.raises(ValueError, match="expected a folder, or a file ending in"):
        open_writer(f"{tmp_path}/{name}", frame_rate=25)


@pytest.mark.parametrize("rate", [None, 0, -1])
def test_frame_rate_is_needed(tmp_path, rate):
    with pytest.raises(ValueError, match="frame rate"):
        open_writer(tmp_path / "a.mp4", frame_rate=rate)
    assert open_writer(tmp_path / "a.mp4", frame_rate="24000/1001").frame_rate == NTSC
    assert open_writer(tmp_path / "a.mp4", frame_rate=29.97).frame_rate == Fraction(2997, 100)


def test_odd_names(tmp_path):
    name = "take:2 100%d ünï [x] 'q'.MP4"
    assert len(list(open_clip(write(tmp_path / name, moving(4))))) == 4


def test_folder_in_and_out(tmp_path):
    frames = moving(12)
    for index, frame in enumerate(frames):
        write_image(tmp_path / "in" / f"f{index}.png", frame)  # f2 comes before f10
    (tmp_path / "in" / "notes.txt").write_text("x")
    for source in (tmp_path / "in", f"{tmp_path}/in/*.png"):
        clip = open_clip(source)
        assert clip.names == [f"f{index}.png" for index in range(12)]
        assert (clip.num_frames, clip.frame_rate, clip.size) == (12, None, (48, 64))
        out = tmp_path / f"out-{Path(source).name.strip('*.')}"
        write(out, clip, frame_rate=None, like=clip, names=clip.names)
        again = open_clip(out)
        assert again.names == clip.names
        assert all(np.array_equal(a, b) for a, b in zip(again, frames, strict=True))
    with pytest.raises(ValueError, match="not empty"):
        open_writer(out)
    write(f"{tmp_path}/v1.2/", clip)
    assert sorted(os.listdir(tmp_path / "v1.2")) == [f"{index:08d}.png" for index in range(12)]
    with pytest.raises(ValueError, match="unique names"):
        open_writer(tmp_path / "twice", names=["a.jpg", "a.png"])
    assert [time for _, time in open_clip(write(tmp_path / "from.mp4", clip)).timed()] == [
        Fraction(n, 25) for n in range(12)
    ]
    assert len(list(open_clip(tmp_path / "in" / "f3.png"))) == 1


def test_bad_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_clip(tmp_path / "nothing.mp4")
    with pytest.raises(FileNotFoundError, match="pattern"):
        open_clip(tmp_path / "*.png")
    with pytest.raises(ValueError, match="no images"):
        open_clip(tmp_path)
    for index, frame in enumerate(moving(4)):
        write_image(tmp_path / f"{index}.png", frame)
    write_image(tmp_path / "2.png", moving(1, 48, 62)[0])
    with pytest.raises(ValueError, match=r"2\.png is 62x48: expected 64x48"):
        list(open_clip(tmp_path))
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"2\.png"):
        list(open_clip(tmp_path))


def test_broken_videos(tmp_path, caplog):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be opened"):
        open_clip(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.mp4 cannot be opened"):
        open_clip(tmp_path / "empty.mp4")
    sound = tmp_path / "sound.mka"
    with av.open(str(write_with_sound(tmp_path / "in.mp4"))) as source, av.open(str(sound), "w") as container:
        stream = container.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(ValueError, match="no video"):
        open_clip(sound)
    whole = write(tmp_path / "whole.mkv", moving(60), crf=4).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(write(tmp_path / "w.mp4", moving(60)).read_bytes()[:4000])
    with pytest.raises(ValueError, match=r"cut\.mp4 cannot be opened"):
        open_clip(tmp_path / "cut.mp4")
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])  # readable up to the cut
    assert 10 < len(list(open_clip(tmp_path / "cut.mkv"))) < 60


def test_damaged_frame_is_named(tmp_path):
    path = tmp_path / "png.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for frame in moving(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    good = list(open_clip(path))
    assert np.array_equal(good[4], moving(9)[4])  # RGB is not touched
    data = bytearray(path.read_bytes())
    position = [i for i in range(len(data)) if data[i : i + 4] == b"\x89PNG"][5]
    data[position : position + 60] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"frame 5 of .*png\.mov"):
        list(open_clip(path))


def test_damage_in_a_real_clip(real_data, tmp_path, caplog):
    original = real_data / "video" / "car-turn.mp4"
    with av.open(str(original)) as container:
        position, size = [(p.pos, p.size) for p in container.demux(video=0) if p.dts is not None][30]
    data = bytearray(original.read_bytes())
    data[position + size // 2 : position + size // 2 + 100] = bytes(100)
    (tmp_path / "concealed.mp4").write_bytes(data)
    assert len(list(open_clip(tmp_path / "concealed.mp4"))) == 81
    assert "frame 30 is damaged" in caplog.text
    data[position : position + 40] = bytes(40)
    (tmp_path / "lost.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=r"frame 2\d of .*lost\.mp4"):
        list(open_clip(tmp_path / "lost.mp4"))


def test_writer_refuses_other_sizes_and_types(tmp_path):
    with open_writer(tmp_path / "a.mp4", frame_rate=25) as writer:
        writer.write(moving(1)[0])
        with pytest.raises(ValueError, match="output frame 1 is 60x48"):
            writer.write(moving(1, 48, 60)[0])
        with pytest.raises(ValueError, match="uint8"):
            writer.write(moving(1)[0] / 255.0)
    assert len(list(open_clip(tmp_path / "a.mp4"))) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_error(tmp_path):
    (tmp_path / "a.part.mkv").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (300, 90, 120, 3)).astype(np.uint8)
    with pytest.raises(OSError, match="space"):
        write(tmp_path / "a.mkv", noise, crf=0)
    assert not (tmp_path / "a.mkv").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path):
    code = """if True:
        import sys, numpy as np, resource
        from common.media.video_reader import open_clip, open_writer
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
