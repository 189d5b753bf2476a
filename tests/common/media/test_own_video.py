"""From --input to --output: every frame once, in its place, with its name or its time, and told."""

import argparse
import signal
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import cli
from common.cli import UsageError
from common.media import own_video
from common.media.image import read_image, write_image
from common.media.video_reader import open_clip
from tests.helpers.clips import moving, write_video
from tests.helpers.deep_clips import LEVELS, first_frame, planes_of, read_deep, write_ramp


@pytest.fixture
def options(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"in/frame_{number}.png", np.full((8, 10, 3), 40 * number, np.uint8))
    parser = argparse.ArgumentParser()
    cli.add_video_arguments(parser)
    options = parser.parse_args(["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")])
    options.input = options.input[0]  # as `each_input` gives it
    return options


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


def test_a_cut_off_input_takes_no_place_of_an_earlier_result(options, tmp_path, caplog):
    whole = write_video(tmp_path / "whole.mkv", moving(60), crf=4).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    options.input, options.output = str(tmp_path / "cut.mkv"), str(tmp_path / "out.mkv")
    reader = own_video.open_input(options)
    own_video.write_output(brighter(reader), reader, options)  # nothing was there
    (tmp_path / "out.mkv").write_bytes(b"whole")
    options.overwrite = True
    reader = own_video.open_input(options)
    with pytest.raises(ValueError, match=r"cut\.mkv: it ends after \d+ frames, and is longer by what it tells"):
        own_video.write_output(brighter(reader), reader, options)
    assert (tmp_path / "out.mkv").read_bytes() == b"whole"
    assert 10 < len(list(open_clip(tmp_path / "out.part.mkv"))) < 60
    assert "out.mkv stays as it was; what was made of the new one is" in caplog.text


def make(options):
    reader = own_video.open_input(options)
    own_video.write_output(brighter(reader), reader, options)


def test_of_several_inputs_a_bad_one_does_not_stop_the_others(options, tmp_path, capsys):
    write_video(tmp_path / "a.MP4", moving(3))
    write_video(tmp_path / "b.mkv", moving(3)).rename(tmp_path / "b.ts")  # whatever the name
    (tmp_path / "c.mp4").write_bytes(b"no video")
    write_image(tmp_path / "d.png", moving(1)[0])
    names = ("a.MP4", "c.mp4", "b.ts", "in", "d.png")
    options.input = [str(tmp_path / name) for name in names] + [str(tmp_path / "in/../in/*.png")]
    with pytest.raises(UsageError, match=r"two of --input would be written to .*out/in: expected different names"):
        own_video.each_input(make, options)
    options.input.pop()
    assert own_video.each_input(make, options) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}/c.mp4 cannot be opened; expected a complete video")
    assert error.count("error:") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.MP4", "b.mkv", "d", "in"]
    assert len(list(open_clip(tmp_path / "out/b.mkv"))) == 3
    assert sorted(path.name for path in (tmp_path / "out/in").iterdir()) == [f"frame_{n}.png" for n in range(3)]
    options.output = str(tmp_path / "out.mp4")
    with pytest.raises(UsageError, match=r"out\.mp4 is one file for 5 of --input: expected a folder"):
        own_video.each_input(make, options)


def test_a_pattern_that_was_not_quoted(options):
    options.input = ["in/frame_0.png", "in/frame_1.png", "in/frame_2.png"]
    with pytest.raises(
        UsageError, match=r"--input in/frame_0.png \.\.\.: frames are given by their folder or a quoted"
    ):
        own_video.each_input(make, options)


def test_flow_files_of_several_inputs_have_folders_of_their_own(options, tmp_path):
    write_video(tmp_path / "a.mp4", moving(3))
    (tmp_path / "v1.2").mkdir()
    options.input, options.output, options.flo = [str(tmp_path / "a.mp4"), str(tmp_path / "v1.2")], None, "flows"
    made = []
    assert own_video.each_input(made.append, options) == 0
    assert [(one.output, one.flo) for one in made] == [(None, "flows/a"), (None, "flows/v1.2")]
    assert [one.input for one in made] == options.input


def test_shards_share_the_inputs(options):
    options.input = [f"clips/{name}.mp4" for name in "abcde"]
    made = []
    for options.shard in ((1, 2), (2, 2), (7, 8)):
        own_video.each_input(lambda one: made.append(one.input[6]), options)
    assert made == ["a", "c", "e", "b", "d"]
    options.input, made = options.input[:1], []
    for options.shard in ((2, 2), (1, 2)):
        own_video.each_input(lambda one: made.append(one.shard), options)
    assert made == [(1, 2)]


def test_compare_shows_the_input_beside_the_result(options, tmp_path):
    options.compare = "side"
    make(options)
    for number in range(3):
        picture = read_image(tmp_path / f"out/frame_{number}.png")
        assert picture.shape == (8, 20, 3)
        assert (picture[:, :10] == 40 * number).all()
        assert (picture[:, 10:] == 40 * number + 5).all()


def test_one_input_keeps_its_output(options, tmp_path):
    options.input = [options.input]
    assert own_video.each_input(make, options) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_quiet_call_says_nothing_and_sets_no_signal(options, capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    options.quiet, options.from_the_box = True, "ours"
    before = signal.getsignal(signal.SIGTERM)
    reader = own_video.open_input(options)
    own_video.write_output(brighter(reader), reader, options)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not torch.backends.cudnn.benchmark
    assert capsys.readouterr() == ("", "")
    options.quiet, options.overwrite = False, True
    own_video.write_output(brighter(own_video.open_input(options)), reader, options)
    out, error = capsys.readouterr()
    assert out == f"3 frames -> {options.output}\n"
    assert error.startswith("ours\n")


def test_sigterm_ends_like_ctrl_c_and_frames_have_one_size(options, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    own_video.open_input(options)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("out.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
        ("out.mkv", {"codec": "ffv1"}),
        ("out.mov", {"codec": "prores"}),
        ("out/", {}),
    ],
)
def test_a_pq_ramp_keeps_all_its_levels(options, tmp_path, name, flags):
    options.input, options.output = str(write_ramp(tmp_path / "in.mkv")), f"{tmp_path}/{name}"
    vars(options).update(flags)
    reader = own_video.open_input(options)
    own_video.write_output(reader.timed(), reader, options)
    if name == "out/":
        assert len(np.unique(read_deep(tmp_path / "out")[0])) == len(LEVELS)
        return
    frame = first_frame(options.output)
    assert (frame.color_primaries, frame.color_trc) == (9, 16)
    luma = planes_of(frame)[0]
    assert len(np.unique(luma)) == len(LEVELS)
    if frame.format.name == "yuv420p10le":
        np.testing.assert_array_equal(np.unique(luma), LEVELS)


@pytest.mark.parametrize(
    ("name", "flags"), [("out.mp4", {"pix_fmt": "yuv420p"}), ("out.mkv", {"codec": "vp9", "pix_fmt": "yuv420p"})]
)
def test_where_only_eight_bits_fit_a_line_says_so(options, tmp_path, name, flags, caplog):
    options.input, options.output = str(write_ramp(tmp_path / "in.mkv")), f"{tmp_path}/{name}"
    vars(options).update(flags)
    reader = own_video.open_input(options)
    assert reader.dtype == np.uint8
    own_video.write_output(reader.timed(), reader, options)
    assert "its 10 bits a channel become 8" in caplog.text
    frame = first_frame(options.output)
    assert (frame.format.name, frame.color_primaries, frame.color_trc) == ("yuv420p", 9, 16)
