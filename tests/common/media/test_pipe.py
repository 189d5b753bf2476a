"""Two commands in one chain make what they make through files; a pipe that ends, at either end, is told in one line."""

import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from common import cli
from common.cli import UsageError
from common.media.pipe import PipeReader, PipeWriter
from common.media.video_reader import open_clip
from ifrnet.config import build_parser
from ifrnet.run import main as interpolate
from tests.helpers.clips import NTSC, moving, write_video
from toflow.run import main as restore

ROOT = Path(__file__).resolve().parents[3]


def y4m(folder, frames, times=None, **options):
    """The bytes that a `PipeWriter` makes of frames."""
    with (folder / "stream").open("w+b") as file:
        with PipeWriter(file.fileno(), NTSC, None, **options) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, times and times[number])
        return (folder / "stream").read_bytes()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "in.mkv", moving(5), codec="ffv1")


def test_two_papers_in_a_chain_make_what_they_make_through_files(clip, tmp_path, monkeypatch):
    first = ["--task", "denoise", "--baseline", "median", "--input", str(clip), "--device", "cpu"]
    second = ["--blend", "--multi", "2", "--device", "cpu", "--codec", "ffv1"]
    middle, files, piped = (str(tmp_path / name) for name in ("middle.mkv", "files.mkv", "piped.mkv"))
    assert cli.run(restore, [*first, "--output", middle, "--codec", "ffv1", "--pix_fmt", "yuv444p"]) == 0
    assert cli.run(interpolate, [*second, "--input", middle, "--output", files]) == 0
    command = [sys.executable, "toflow/run.py", *first, "--output", "-"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(process.stdout))
        assert cli.run(interpolate, [*second, "--input", "-", "--output", piped]) == 0
        assert b"5 frames -> -" in process.stderr.read()
    assert open_clip(piped).frame_rate == open_clip(files).frame_rate == 2 * NTSC
    np.testing.assert_array_equal(list(open_clip(piped)), list(open_clip(files)))
    assert not list(tmp_path.glob("*.segments"))


def test_frames_come_as_they_went(tmp_path):
    frames = moving(4)
    reader = PipeReader(io.BytesIO(y4m(tmp_path, frames)))
    assert reader.frame_rate == NTSC
    assert reader.at_least(9) == 4
    assert reader.at_least(2) == 2
    images, times = zip(*reader.timed(), strict=True)
    assert list(times) == [number / NTSC for number in range(4)]
    assert np.abs(np.stack(images).astype(int) - frames).max() <= 2  # 8 bits of YCbCr
    with pytest.raises(ValueError, match="read once"):
        list(reader)


def test_a_part_is_taken_without_seeking(tmp_path):
    stream = y4m(tmp_path, moving(6))
    whole = list(PipeReader(io.BytesIO(stream)))
    part = PipeReader(io.BytesIO(stream), 2 / NTSC, 5 / NTSC)
    np.testing.assert_array_equal(list(part), whole[2:5])
    with pytest.raises(ValueError, match="none between --start and --end"):
        PipeReader(io.BytesIO(stream), Fraction(10))


def test_a_frame_that_stays_is_repeated(tmp_path):
    first, second = moving(2)
    times = [Fraction(0), 3 / NTSC]
    images = list(PipeReader(io.BytesIO(y4m(tmp_path, (first, second), times))))
    assert len(images) == 4
    np.testing.assert_array_equal(images[2], images[0])


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
def test_the_pixel_format_can_be_told(tmp_path, pix_fmt):
    with av.open(io.BytesIO(y4m(tmp_path, moving(1), pix_fmt=pix_fmt)), format="yuv4mpegpipe") as container:
        assert container.streams.video[0].pix_fmt == pix_fmt


def test_a_stream_that_is_cut_off_is_told(tmp_path, caplog):
    reader = PipeReader(io.BytesIO(y4m(tmp_path, moving(3))[:-5]))
    assert len(list(reader)) == 2
    assert reader.is_cut_off
    assert "it ends within frame 2" in caplog.text


@pytest.mark.parametrize("begin", [b"", b"no video"])
def test_what_is_no_stream_is_told(begin):
    with pytest.raises(ValueError, match="--input - holds no y4m: expected a stream"):
        PipeReader(io.BytesIO(begin))


def test_a_reader_that_ends_early_is_told_once():
    reading, writing = os.pipe()
    os.close(reading)

    def write():
        with PipeWriter(writing, NTSC, None) as writer:
            for frame in moving(9):
                writer.write(frame)

    with pytest.raises(BrokenPipeError, match="--output -: what reads it has ended"):
        write()
    os.close(writing)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"input": ["-"], "output": "o.mkv", "resume": "auto"}, "--resume goes on with files"),
        ({"input": ["-"], "output": "o.mkv", "compare": "side"}, "--compare reads the input twice"),
        ({"input": ["-", "b.mp4"], "output": "out"}, "expected one --input"),
        ({"input": ["a.mp4", "b.mp4"], "output": "-"}, "expected one --input"),
    ],
)
def test_what_a_pipe_cannot_do_is_refused(flags, told):
    with pytest.raises(UsageError, match=told):
        cli.flags(build_parser, **flags)


@pytest.mark.parametrize(
    ("options", "told"), [({"pix_fmt": "rgb24"}, "takes yuv444p"), ({"frame_rate": None}, "--fps")]
)
def test_what_y4m_cannot_hold_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        PipeWriter(1, **{"frame_rate": NTSC, "like": None, **options})


def test_ten_bits_keep_their_levels(tmp_path):
    frame = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)[..., None], 3, 2)  # grey, as 10 bits
    stream = y4m(tmp_path, [frame])
    with av.open(io.BytesIO(stream), format="yuv4mpegpipe") as container:
        assert container.streams.video[0].pix_fmt == "yuv444p10le"
    (image,) = PipeReader(io.BytesIO(stream), deep=True)
    assert image.dtype == np.uint16
    assert len(np.unique(image)) == 876  # all of limited range but white
    assert np.abs(image.astype(int) - frame).max() <= 38  # half of a 876th
    (image,) = PipeReader(io.BytesIO(stream))
    assert image.dtype == np.uint8


def test_the_shape_of_pixels_is_told(tmp_path):
    with (tmp_path / "stream").open("w+b") as file:
        with PipeWriter(file.fileno(), NTSC, SimpleNamespace(aspect=Fraction(16, 15))) as writer:
            writer.write(moving(1)[0])
        file.seek(0)
        assert PipeReader(file).aspect == Fraction(16, 15)
