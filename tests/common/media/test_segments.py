"""Conversions that were stopped, at any moment, and gone on with: what comes out is what would have come out."""

import argparse
import os
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import cli, file_lock
from common.cli import UsageError
from common.media import own_video, segments
from common.media.image import read_image
from common.media.segments import SEGMENT, Job, folder_of
from common.media.video_reader import open_clip
from tests.helpers.clips import moving, sound_of, write_folder, write_video, write_with_sound
from tests.helpers.killed import at_every_change, convert

BETWEEN = """
    from common.media.model_on_clips import BetweenFrames
    class Blend(BetweenFrames):
        device, network = "cpu", torch.nn.Linear(2, 2, bias=False)
        def predict(self, first, second, times):
            for t in times:
                made_one()
                yield torch.lerp(first, second, float(t))
    torch.nn.init.ones_(Blend.network.weight)
    make = Blend().run
"""
AROUND = """
    from common.media.frame_windows import windows
    from common.media.model_on_clips import FrameByFrame
    class Mean(FrameByFrame):
        device = "cpu"
        def stream(self, frames):
            for window in windows(frames, 7, padding="reflection"):
                made_one()
                yield sum(x * k for k, x in enumerate(window)) / 21
    make = Mean().run
"""
killable = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and kills what it forked")


def alike(path, other):
    pairs = list(zip(open_clip(path).timed(), open_clip(other).timed(), strict=True))
    assert all(np.array_equal(a, b) and s == t for (a, s), (b, t) in pairs)
    assert sound_of(path) == sound_of(other)
    return len(pairs)


@killable
@pytest.mark.parametrize(("network", "suffix", "seed"), [("between", ".mp4", 1), ("around", ".mkv", 2)])
def test_killed_at_random_and_gone_on_with_is_the_undisturbed_result(tmp_path, network, suffix, seed):
    source = write_with_sound(tmp_path / "in.mp4", seconds=17, audio_start=Fraction(1, 2))
    code, extra = (BETWEEN, "options.multi, options.slow, options.scene = 2, False, 1.0") if network == "between" else (
        AROUND, "")  # fmt: skip
    assert convert(code, source, tmp_path / f"whole{suffix}", extra=extra) == 0
    assert convert(code, source, tmp_path / f"out{suffix}", kills=4, seed=seed, extra=extra) >= 2
    assert alike(tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}") == (849 if network == "between" else 425)
    assert sorted(os.listdir(tmp_path)) == sorted(["in.mp4", f"out{suffix}", f"whole{suffix}"])


@killable
def test_a_folder_goes_on_at_the_first_missing_frame(tmp_path):
    write_folder(tmp_path / "in", moving(240))
    convert(AROUND, tmp_path / "in", tmp_path / "whole")
    assert convert(AROUND, tmp_path / "in", tmp_path / "out", kills=2, seed=3) >= 1
    names = sorted(os.listdir(tmp_path / "whole"))
    assert sorted(os.listdir(tmp_path / "out")) == names
    assert len(names) == 240
    for name in names:
        assert np.array_equal(read_image(tmp_path / "whole" / name), read_image(tmp_path / "out" / name))
    assert not folder_of(tmp_path / "out").exists()


@killable
@pytest.mark.parametrize("before", [6, 16])
def test_killed_before_any_change_of_the_disk_it_goes_on_and_leaves_nothing_else(tmp_path, before):
    source = write_with_sound(tmp_path / "in.mp4", seconds=1)
    (tmp_path / "result").mkdir()
    assert at_every_change(source, tmp_path / "result", before) > 20


@pytest.fixture
def options(tmp_path):
    write_with_sound(tmp_path / "in.mp4", seconds=10)
    parser = argparse.ArgumentParser()
    cli.add_video_arguments(parser)
    options = parser.parse_args(["--output", str(tmp_path / "out.mp4"), "--crf", "20"])
    options.input, options.resume = str(tmp_path / "in.mp4"), None
    return options


def make(options, stop=None, network=None):
    """Frames 3 levels brighter; returns the numbers of those that were computed."""
    reader = own_video.open_input(options)
    job, made = Job(options, reader, network, reader.names), []

    def results():
        for number, (image, time) in enumerate(reader.timed()):
            if number == stop:
                raise KeyboardInterrupt
            if number >= job.done:
                made.append(number)
            yield (np.minimum(image, 252) + 3 if number >= job.done else None), time

    own_video.write_output(results(), reader, options, job)
    return made


def test_after_ctrl_c_the_part_plays_and_is_replaced_by_the_whole(options, tmp_path, caplog):
    for stop in (130, 240):
        with pytest.raises(KeyboardInterrupt):
            make(options, stop)
        assert len(list(open_clip(options.output))) == stop
        assert "out.mp4 is not whole: the same command with --resume goes on" in caplog.text
        options.resume = "auto"
    assert make(options) == list(range(2 * SEGMENT, 250))
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]
    options.output, options.resume = str(tmp_path / "whole.mp4"), None
    assert make(options) == list(range(250))
    assert alike(tmp_path / "out.mp4", tmp_path / "whole.mp4") == 250


def test_a_part_shorter_than_a_segment_is_not_taken_for_the_whole(options, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(options, 60)
    assert len(list(open_clip(options.output))) == 60
    assert sorted(os.listdir(folder_of(options.output))) == ["job.json", "lock"]
    options.resume = "auto"
    assert not own_video.is_done(options)
    assert make(options) == list(range(250))
    assert len(list(open_clip(options.output))) == 250
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_stopped_while_it_passes_over_what_is_done_changes_nothing(options, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(options, 230)
    before, options.resume = (tmp_path / "out.mp4").read_bytes(), "auto"
    with pytest.raises(KeyboardInterrupt):
        make(options, 30)
    assert (tmp_path / "out.mp4").read_bytes() == before
    assert make(options)[0] == 200


def test_another_command_is_refused_with_the_reason(options, tmp_path):
    network = torch.nn.Linear(2, 2)
    with pytest.raises(KeyboardInterrupt):
        make(options, 120, network)
    before = sorted(os.listdir(folder_of(options.output)))
    with pytest.raises(UsageError, match=r"out\.mp4 was begun before, and stopped: expected --resume to go on, or"):
        make(options, network=network)
    options.resume = "auto"
    with pytest.raises(UsageError, match="begun with another weights: expected the same command"):
        make(options, network=torch.nn.Linear(2, 2))
    options.crf = 30
    with pytest.raises(UsageError, match="begun with --crf 20, not 30: expected the same command"):
        make(options, network=network)
    options.crf = 20
    write_video(tmp_path / "in.mp4", moving(150), frame_rate=25, overwrite=True)
    with pytest.raises(UsageError, match="begun with another input: expected the same command, or --overwrite without"):
        make(options, network=network)
    assert sorted(os.listdir(folder_of(options.output))) == before
    options.resume, options.overwrite = None, True
    assert make(options) == list(range(150))
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_what_another_process_or_somebody_else_has_there_is_left_alone(options, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(options, 120)
    options.resume = "auto"
    with file_lock.hold(folder_of(options.output) / "lock"), pytest.raises(OSError, match="by another process: wait"):
        make(options)
    options.output = str(tmp_path / "b.mkv")
    folder_of(options.output).mkdir()
    (folder_of(options.output) / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"b\.mkv\.segments is there, and of no conversion: move it"):
        make(options)


def test_what_is_whole_is_not_made_again(options, tmp_path, capsys):
    options.input = [options.input]
    for _ in range(2):
        assert own_video.each_input(make, options) == 0
        options.resume = "auto"
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{options.output} is there, and was not stopped: it stays as it is; --overwrite makes it anew"
    )


def test_ticks_far_apart_and_frames_out_of_order_come_back_exactly(tmp_path):
    """Matroska has room for 32767 ticks in a cluster, and none for the time of decoding."""
    gaps = np.random.default_rng(0).integers(1, 3_000_000, 229)
    times = [Fraction(int(tick), 90_000) for tick in (0, *np.cumsum(gaps))]
    path = write_video(tmp_path / "out.mp4", moving(230), times, frame_rate=Fraction(1, 10))
    assert [time for _, time in open_clip(path).timed()] == times


def test_names_as_long_as_a_disk_takes_them(tmp_path):
    one, other = (folder_of(tmp_path / f"{'名' * 80}{n}.mp4") for n in "12")
    one.mkdir()
    assert one != other
    assert segments.is_stopped(one) is False
