"""Codecs of the picture: what each is called with, lossless to the bit, and what is refused before anything is made."""

from fractions import Fraction

import av
import numpy as np
import pytest

from common.media.containers import CONTAINERS
from common.media.encoders import ENCODERS, Encoding
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from tests.helpers.clips import moving, times_of, write_video
from tests.helpers.pictures import psnr


def codec_of(path):
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.codec.canonical_name, context.pix_fmt


@pytest.mark.parametrize(
    ("codec", "suffix", "name", "pix_fmt", "odd"),
    [
        ("h264", ".mp4", "h264", "yuv420p", "yuv444p"),
        ("h265", ".mp4", "hevc", "yuv420p", "yuv444p"),
        ("h265", ".mkv", "hevc", "yuv420p", "yuv444p"),
        ("av1", ".webm", "av1", "yuv420p", "yuv420p"),
        ("av1", ".mp4", "av1", "yuv420p", "yuv420p"),
        ("vp9", ".mkv", "vp9", "yuv420p", "yuv420p"),
        ("prores", ".mov", "prores", "yuv422p10le", "yuv444p12le"),
        ("ffv1", ".mkv", "ffv1", "bgr0", "bgr0"),
    ],
)
def test_every_codec_keeps_frames_sizes_and_times(tmp_path, codec, suffix, name, pix_fmt, odd):
    for size, expected in (((64, 80), pix_fmt), ((63, 81), odd)):
        frames = moving(12, *size)
        path = write_video(tmp_path / f"out{suffix}", frames, frame_rate=30, codec=codec, overwrite=True)
        assert codec_of(path) == (name, expected)
        clip = open_clip(path)
        assert (clip.size, clip.frame_rate) == (size, 30)
        assert times_of(path) == [Fraction(n, 30) for n in range(12)]
        assert min(psnr(a, b) for a, b in zip(clip, frames, strict=True)) > 27


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4"])
@pytest.mark.parametrize("size", [(48, 64), (47, 65)])
def test_ffv1_is_lossless_to_the_bit(tmp_path, suffix, size):
    frames = list(np.random.default_rng(0).integers(0, 256, (5, *size, 3)).astype(np.uint8))
    clip = open_clip(write_video(tmp_path / f"out{suffix}", frames, frame_rate=25, codec="ffv1"))
    assert all(np.array_equal(a, b) for a, b in zip(clip, frames, strict=True))
    again = open_clip(write_video(tmp_path / "again.mkv", clip, frame_rate=25, codec="ffv1", like=clip))
    assert all(np.array_equal(a, b) for a, b in zip(again, frames, strict=True))


def test_rate_factor_preset_and_pixel_format_reach_the_encoder(tmp_path):
    frames = [np.random.default_rng(n).integers(0, 256, (96, 128, 3)).astype(np.uint8) for n in range(5)]

    def size(name, **options):
        return write_video(tmp_path / name, frames, frame_rate=25, **options).stat().st_size

    for codec, preset in (("h264", "ultrafast"), ("h265", "ultrafast"), ("av1", "12"), ("vp9", "8")):
        usual = size(f"{codec}.mkv", codec=codec)
        assert size(f"{codec}_40.mkv", codec=codec, crf=40) < 0.8 * usual
        assert size(f"{codec}_fast.mkv", codec=codec, preset=preset) != usual
    size("deep.mkv", codec="h265", pix_fmt="yuv444p10le")
    assert codec_of(tmp_path / "deep.mkv") == ("hevc", "yuv444p10le")
    rgb = write_video(tmp_path / "rgb.mkv", moving(5), frame_rate=25, codec="h265", pix_fmt="gbrp", crf=4)
    assert min(psnr(a, b) for a, b in zip(open_clip(rgb), moving(5), strict=True)) > 40


@pytest.mark.parametrize(
    ("suffix", "asked", "message"),
    [
        (".mp4", {"codec": "mpeg9"}, "--codec mpeg9: expected one of h264, h265, av1, vp9, ffv1, prores"),
        (".mp4", {"codec": "prores"}, r"--codec prores does not go into mp4: it goes into \.mov \.mkv, with"),
        (".webm", {"codec": "h264"}, r"--codec h264 does not go into webm: it goes into \.mp4 \.mov \.mkv \.avi"),
        (".mkv", {"codec": "ffv1", "crf": 3}, "--crf 3: ffv1 has no rate factor"),
        (".mov", {"codec": "prores", "preset": "slow"}, "--preset slow: prores has no presets"),
        (".mp4", {"preset": "sloow"}, "--codec h264 --preset sloow does not go into mp4"),
        (".mp4", {"pix_fmt": "yuv999"}, r"--codec h264 --pix_fmt yuv999 .*\(yuv420p, .*yuv444p10le"),
        (".mp4", {"crf": -5}, "--codec h264 --crf -5 does not"),
        ("/", {"crf": 5}, "is a folder of PNG files: --codec, --crf, --preset and --pix_fmt go with a video"),
    ],
)
def test_what_an_encoder_does_not_take_is_told_at_once(tmp_path, suffix, asked, message):
    with pytest.raises(ValueError, match=message):
        open_writer(f"{tmp_path}/out{suffix}", frame_rate=25, **asked)
    assert list(tmp_path.iterdir()) == []


def test_every_container_takes_its_usual_codec():
    for kind in CONTAINERS.values():
        Encoding().check(kind)
        assert kind.codec in ENCODERS


@pytest.mark.parametrize(
    ("suffix", "flags", "deep"),
    [
        (".mp4", {}, True),
        (".mkv", {"codec": "h265"}, True),
        (".mkv", {"codec": "ffv1"}, True),
        (".mov", {"codec": "prores"}, True),
        (".mkv", {"codec": "av1", "pix_fmt": "yuv420p10le"}, True),
        (".mp4", {"pix_fmt": "yuv420p"}, False),
        (".webm", {"pix_fmt": "yuv444p"}, False),
        (".mkv", {"codec": "vp8"}, False),
        (".mp4", {"pix_fmt": "yuv420p99"}, False),
    ],
)
def test_more_than_eight_bits_go_where_they_fit(suffix, flags, deep):
    assert Encoding(**flags).is_deep(CONTAINERS[suffix]) is deep


@pytest.mark.parametrize(("codec", "size", "pix_fmt"), [
    ("h264", (48, 64), "yuv420p10le"), ("h264", (47, 65), "yuv444p10le"), ("ffv1", (48, 64), "gbrp16le"),
    ("prores", (48, 64), "yuv422p10le"),
])  # fmt: skip
def test_frames_of_sixteen_bits_are_encoded_in_ten_or_as_they_are(tmp_path, codec, size, pix_fmt):
    frames = [frame.astype(np.uint16) * 200 + 3 for frame in moving(3, *size)]
    path = write_video(tmp_path / "out.mkv", frames, codec=codec)
    assert codec_of(path)[1] == pix_fmt
    found = np.stack(list(open_clip(path, deep=True)))
    assert found.dtype == np.uint16
    assert np.abs(found.astype(int) - frames).mean() < (1e-9 if codec == "ffv1" else 3000)


@pytest.mark.parametrize("codec", ["h264_nvenc", "h265_nvenc", "av1_nvenc"])
def test_an_encoder_that_this_machine_lacks_is_refused_in_a_line(monkeypatch, codec):
    assert av.codec.Codec(ENCODERS[codec].name, "w").is_encoder
    monkeypatch.setattr(Encoding, "_works", lambda *_, **__: False)
    with pytest.raises(ValueError, match=f"--codec {codec} cannot be opened on this machine: expected an NVIDIA GPU"):
        Encoding(codec).check(CONTAINERS[".mp4"])


def test_h264_makes_the_same_file_of_the_same_frames(tmp_path):
    """Of rows of 10 macroblocks, which x264's code for AVX-512 encodes another way every time; other code does not."""
    frames = moving(60, 90, 160)
    files = [write_video(tmp_path / f"{number}.mp4", frames).read_bytes() for number in range(6)]
    assert len(set(files)) == 1
