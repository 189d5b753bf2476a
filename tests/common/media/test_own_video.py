"""From --input to --output: every frame once, in its place, with its name or its time, and told."""

import argparse
import signal
from fractions import Fraction

import numpy as np
import pytest

from common.cli import UsageError
from common.media import own_video
from common.media.image import read_image, write_image
from common.media.video_reader import open_clip


@pytest.fixture
def options(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"in/frame_{number}.png", np.full((8, 10, 3), 40 * number, np.uint8))
    return argparse.Namespace(input=str(tmp_path / "in"), output=str(tmp_path / "out"), fps=None, overwrite=False)


@pytest.fixture(autouse=True)
def _signals_as_they_were():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def brighter(reader):
    return ((image + 5, time) for image, time in reader.timed())


def test_frames_keep_their_names(options, tmp_path, capsys):
    reader = own_video.open_input(options)
    own_video.write_output(brighter(reader), reader, options)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["frame_0.png", "frame_1.png", "frame_2.png"]
    assert read_image(tmp_path / "out/frame_2.png").max() == 85
    assert capsys.readouterr().out == f"3 frames -> {options.output}\n"


def test_a_video_of_images_has_the_rate_asked_for(options, tmp_path):
    options.output, options.fps = str(tmp_path / "out.mkv"), Fraction(24000, 1001)
    reader = own_video.open_input(options)
    own_video.check_rate(options, reader)
    own_video.write_output(brighter(reader), reader, options)
    written = open_clip(options.output)
    assert written.frame_rate == Fraction(24000, 1001)
    assert len(list(written)) == 3
    options.input = options.output
    with pytest.raises(UsageError, match="keeps its own frame rate; --fps goes with images"):
        own_video.check_rate(options, own_video.open_input(options))


def test_a_quiet_call_says_nothing_and_sets_no_signal(options, capsys):
    options.quiet, options.from_the_box = True, "ours"
    before = signal.getsignal(signal.SIGTERM)
    reader = own_video.open_input(options)
    own_video.write_output(brighter(reader), reader, options)
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr() == ("", "")
    options.quiet, options.overwrite = False, True
    own_video.write_output(brighter(own_video.open_input(options)), reader, options)
    out, error = capsys.readouterr()
    assert out == f"3 frames -> {options.output}\n"
    assert error.startswith("ours\n")


def test_sigterm_ends_like_ctrl_c(options):
    own_video.open_input(options)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
