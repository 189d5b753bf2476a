"""Clips as they are read: frames, rates, times, colours, rotation, folders; what is broken, and how it is told."""

import os
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.codec.context import Flags
from av.stream import Disposition

from common.media import video_reader
from common.media.containers import CONTAINERS
from common.media.image import read_image, write_image
from common.media.video_reader import missing_numbers, open_clip
from common.media.video_writer import open_writer
from tests.helpers.clips import NTSC, moving, write_folder, write_video, write_with_sound
from tests.helpers.pictures import psnr

write = partial(write_video, frame_rate=Fraction(25))


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


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_times_are_known_without_decoding(tmp_path, suffix):
    even = write(tmp_path / f"even{suffix}", moving(23), frame_rate=NTSC)
    times = [Fraction(int(tick), 25) for tick in np.cumsum([0, *np.random.default_rng(1).integers(1, 4, 22)])]
    uneven = write(tmp_path / f"uneven{suffix}", moving(23), times)
    late = write_with_sound(tmp_path / "late.mkv", video_start=2, audio_start=1)
    for path in (even, uneven, late):
        clip = open_clip(path)
        assert list(clip.times()) == [time for _, time in clip.timed()]


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


def encoded(path, frames, codec="libx264", pix_fmt="yuv420p", options=None, **attributes):
    """Frames of `av`, or arrays in RGB, as a file of another program; attributes are those of the encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            frame = frame if isinstance(frame, av.VideoFrame) else av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", [8, 10, 14])
def test_a_matrix_that_cannot_be_converted_is_told(tmp_path, matrix):
    frames = []
    for image in moving(2):
        frames.append(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"))
        frames[-1].colorspace = matrix
    path = encoded(tmp_path / "odd.mp4", frames, colorspace=matrix)
    with pytest.raises(ValueError, match=rf"odd\.mp4: colour matrix {matrix} cannot be converted; expected one"):
        open_clip(path)


def test_ten_bits_become_eight_with_a_line_and_true_tags(tmp_path, caplog):
    path = encoded(
        tmp_path / "hdr.mkv", moving(3), "libx265", "yuv420p10le", {"x265-params": "log-level=none"},
        colorspace=9, color_primaries=9, color_trc=16, color_range=1,
    )  # fmt: skip
    clip = open_clip(path)
    assert (clip.matrix, clip.primaries, clip.transfer) == (9, 9, 16)
    copy = open_clip(write(tmp_path / "copy.mp4", clip, like=clip))
    assert caplog.messages == [f"{path}: its 10 bits a channel become 8; curve and colours stay as its tags tell"]
    assert (copy.matrix, copy.primaries, copy.transfer) == (9, 9, 16)  # the values are still on that curve
    assert min(psnr(a, b) for a, b in zip(copy, clip, strict=True)) > 27


def test_alpha_that_is_dropped_is_told(tmp_path, caplog):
    opaque = [np.dstack([image, np.full((48, 64), 255, np.uint8)]) for image in moving(2)]
    hole = [image.copy() for image in opaque]
    for image in hole:
        image[:9, :9, 3] = 0
    for name, images, told in (("opaque", opaque, 0), ("hole", hole, 1)):
        frames = [av.VideoFrame.from_ndarray(image, format="rgba") for image in images]
        open_clip(encoded(tmp_path / f"{name}.mov", frames, "png", "rgba"))
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(images[0], cv2.COLOR_RGBA2BGRA))
        open_clip(tmp_path / f"{name}.png")
        assert (
            caplog.messages
            == [f"{tmp_path / name}.{end}: its alpha channel is dropped" for end in ("mov", "png")][: 2 * told]
        )
    open_clip(encoded(tmp_path / "four.mov", moving(2), "prores_ks", "yuva444p10le"))
    assert f"{tmp_path}/four.mov: its alpha channel is dropped" in caplog.messages


@pytest.mark.parametrize("interlaced", [False, True])
def test_interlaced_video_is_told_the_way_out(tmp_path, caplog, interlaced):
    flags = (Flags.interlaced_dct | Flags.interlaced_me) * interlaced
    clip = open_clip(encoded(tmp_path / "dvd.mpg", moving(3), "mpeg2video", flags=flags))
    assert len(list(clip)) == 3
    assert caplog.messages == interlaced * [
        f"{clip.path}: it is interlaced and its combs stay; better give what ffmpeg -i INPUT -vf bwdif makes of it"
    ]


@pytest.mark.parametrize("marked", [None, 0, 1])
def test_the_stream_that_is_marked_or_else_the_largest_is_taken(tmp_path, marked):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height = (32, 32) if number == 0 else (64, 48)
            stream.disposition = Disposition.default * (marked == number)
        for stream in streams:
            for _ in range(5):
                frame = np.zeros((stream.height, stream.width, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    assert open_clip(path).size == ((32, 32) if marked == 0 else (48, 64))


def test_photographs_stand_upright(tmp_path):
    turned = moving(1)[0]
    for orientation, upright in (
        (1, turned),
        (6, np.rot90(turned, -1)),
        (8, np.rot90(turned)),
        (3, turned[::-1, ::-1]),
    ):
        file = tmp_path / "photo.jpg"
        jpeg = cv2.imencode(".jpg", turned[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        exif = b"Exif\0\0MM\0*" + (8).to_bytes(4) + (1).to_bytes(2)  # one entry: the orientation, a short
        exif += (0x112).to_bytes(2) + (3).to_bytes(2) + (1).to_bytes(4) + orientation.to_bytes(2) + bytes(6)
        file.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:])
        clip = open_clip(file)
        assert clip.size == upright.shape[:2]
        assert psnr(next(iter(clip)), upright) > 30
        assert psnr(read_image(file), turned) > 30  # frames of data sets are meant as stored


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".h264"])
@pytest.mark.parametrize(("start", "end"), [(17, None), (None, 31), (17, 31), (30, 31), (0, 500)])
def test_a_part_of_a_video(tmp_path, suffix, start, end):
    path = tmp_path / f"in{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=NTSC, options={"g": "12", "bf": "0" if suffix == ".h264" else "2"}
        )
        stream.width, stream.height = 64, 48
        for number in range(50):
            frame = np.full((48, 64, 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    clip = open_clip(path, *(None if number is None else number / clip_rate(path) for number in (start, end)))
    shown = range(start or 0, min(end or 50, 50))
    got = list(clip.timed())
    assert [round(float(image.mean()) / 5) for image, _ in got] == list(shown)
    assert [time for _, time in got] == [number / clip.frame_rate for number in range(len(shown))]
    assert list(clip.times()) == [time for _, time in got]
    assert clip.num_frames in (len(shown), None)
    assert clip.damage is None


def clip_rate(path):
    return open_clip(path).frame_rate


def test_a_part_that_is_not_there(tmp_path):
    path = write(tmp_path / "in.mp4", moving(10))
    for times in ((1, None), (Fraction(1, 5), Fraction(1, 5)), (Fraction(1, 5), Fraction(1, 10)), (0, 0)):
        with pytest.raises(ValueError, match=r"in\.mp4 has no frame between --start and --end: expected times"):
            open_clip(path, *times)
    write_image(tmp_path / "a.png", moving(1)[0])
    with pytest.raises(ValueError, match="is no video, --start and --end do not go with it: choose images by"):
        open_clip(tmp_path, Fraction(1))


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


def test_images_are_read_side_by_side_and_come_in_order(tmp_path, monkeypatch):
    frames = moving(9)
    write_folder(tmp_path, frames)
    (tmp_path / "shot_6.png").write_bytes(b"no image")
    reader, together, old = open_clip(tmp_path), threading.Barrier(3), video_reader.read_image

    def read(file, **how):
        if file.stem in ("shot_0", "shot_1", "shot_2"):
            together.wait(timeout=20)  # fails unless three are here at once
        return old(file, **how)

    monkeypatch.setattr(video_reader, "THREADS", 3)
    monkeypatch.setattr(video_reader, "read_image", read)
    found = []
    with pytest.raises(ValueError, match=r"shot_6\.png"):  # told when it is reached
        found.extend(reader)
    assert len(found) == 6
    assert all(np.array_equal(a, b) for a, b in zip(found, frames[:6], strict=True))


def test_a_sequence_with_gaps_is_told(tmp_path, caplog):
    for number in (8, 9, 10, 13, 14):
        write_image(tmp_path / f"take [2]/f_{number}.png", moving(1)[0])
    clip = open_clip(f"{tmp_path}/take [2]/*.png")  # brackets of a folder are no pattern
    assert clip.names == [f"f_{number}.png" for number in (8, 9, 10, 13, 14)]
    assert caplog.messages == [f"{tmp_path}/take [2]/*.png: between its first and last image 2 numbers are missing"]
    for names, missing in (
        (["a2.png", "a4.png", "a6.png"], 0),
        (["1.png", "b.png"], 0),
        (["1.png", "2.png", "9.png"], 6),
    ):
        assert missing_numbers(names) == missing


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
    reader = open_clip(tmp_path / "cut.mkv")
    assert 10 < len(list(reader)) < 60
    assert reader.damage.startswith("it ends after ")


def test_damaged_frame_is_named(tmp_path):
    path = tmp_path / "png.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for frame in moving(9):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    reader = open_clip(path)
    good = list(reader)
    assert reader.damage is None
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
    reader = open_clip(tmp_path / "concealed.mp4")
    assert len(list(reader)) == 81
    assert reader.damage == "frame 30 is damaged, the decoder guessed part of it"
    assert "frame 30 is damaged" in caplog.text
    data[position : position + 40] = bytes(40)
    (tmp_path / "lost.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=r"frame 2\d of .*lost\.mp4"):
        list(open_clip(tmp_path / "lost.mp4"))
