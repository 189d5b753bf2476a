"""JPEG 2000, JPEG, H.264: which way quality goes, colours and places, the command they stand for, what is refused."""

import re
import shutil
import subprocess
from itertools import pairwise

import av
import numpy as np
import pytest

from common.degrade.codecs import h264, jpeg, jpeg2000
from common.media.image import read_image, write_image
from tests.helpers.pictures import picture, psnr

GREY = np.full((200, 300, 3), 128, np.uint8)


def test_jpeg2000_gets_worse_with_its_number():
    frame = picture()
    scores = [psnr(frame, jpeg2000(frame, quality)) for quality in (1, 20, 40, 60)]
    assert scores[0] > 42
    assert all(better > worse + 0.2 for better, worse in pairwise(scores))
    assert scores[-1] > 25


def test_jpeg_gets_better_with_its_number(tmp_path):
    frame = picture()
    scores = [psnr(frame, jpeg(frame, quality)) for quality in (20, 40, 60)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1] - 1
    write_image(tmp_path / "frame.jpg", frame, quality=40)
    assert np.array_equal(read_image(tmp_path / "frame.jpg"), jpeg(frame, 40))
    assert np.array_equal(jpeg(frame[:, ::-1], 40), jpeg(frame[:, ::-1].copy(), 40))


def test_h264_gets_worse_with_its_number_and_keeps_the_order():
    frames = [np.roll(picture(), 3 * k, 1) for k in range(5)]
    scores = []
    for crf in (10, 30, 40):
        found = h264(frames, crf)
        assert len(found) == len(frames)
        scores.append(np.mean([psnr(frame, other) for frame, other in zip(frames, found, strict=True)]))
        assert all(psnr(frames[k], found[k]) > psnr(frames[k], found[k - 1]) + 1 for k in range(1, 5))
    assert scores[0] > scores[1] + 1 > scores[2] + 2
    with pytest.raises(ValueError, match=r"H\.264 needs frames of one size"):
        h264([frames[0], frames[0][1:]], 30)
    with pytest.raises(ValueError, match="quality 52: expected 1 to 51"):
        h264(frames, 52)


@pytest.mark.parametrize("codec", [jpeg2000, jpeg, lambda frame, quality: h264([frame], quality)[0]])
def test_colours_and_places_are_kept(codec):
    frame = np.zeros((64, 96, 3), np.uint8)
    colours = [(200, 30, 60), (20, 180, 90), (40, 70, 220)]
    for number, colour in enumerate(colours):
        frame[:, 32 * number : 32 * number + 32] = colour
    found = codec(frame, 20).astype(int)
    for number, colour in enumerate(colours):
        inner = found[8:-8, 32 * number + 8 : 32 * number + 24]
        assert np.abs(inner.mean((0, 1)) - colour).max() < 6


def test_jpeg2000_is_that_of_the_ffmpeg_command(tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg command here")
    told = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    theirs = re.search(r"^libavcodec .*/ *(\d+)\.", told, re.MULTILINE)
    ours = av.library_versions["libavcodec"][0]
    if theirs is None or int(theirs[1]) != ours:
        version = theirs[1] if theirs else "of an unknown version"
        pytest.skip(f"the ffmpeg command has libavcodec {version}, PyAV {ours}: another encoder")
    frame = picture(256, 300)  # two tiles
    write_image(tmp_path / "im.png", frame)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i"]
    for args in (["im.png", "-q", "20", "-vcodec", "jpeg2000", "-format", "j2k", "x.mov"], ["x.mov", "back.png"]):
        subprocess.run([*command, *args], cwd=tmp_path, check=True)
    assert psnr(read_image(tmp_path / "back.png"), jpeg2000(frame, 20) + 1e-6) > 50  # minor versions may differ


def test_jpeg2000_needs_the_ffmpeg_it_was_written_for(monkeypatch):
    monkeypatch.setitem(av.library_versions, "libavutil", (99, 0, 0))
    with pytest.raises(ValueError, match=r"PyAV with FFmpeg 8 .* found libavutil 99: pip install"):
        jpeg2000(GREY, 20)


def test_wrong_frames_and_qualities():
    for frame in (GREY / 255, GREY[..., 0], GREY[..., :1]):
        with pytest.raises(ValueError, match="expected HxWx3 uint8"):
            jpeg(frame, 50)
    for codec, quality in ((jpeg2000, 0), (jpeg2000, 256), (jpeg, 0), (jpeg, 101)):
        with pytest.raises(ValueError, match=f"quality {quality}: expected 1 to"):
            codec(GREY, quality)
