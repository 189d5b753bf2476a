"""What the papers' classes have in common: calls, clips, flags, and that a program is told nothing."""

import signal
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import cli
from common.media import frame_rate
from common.media.image import read_image
from common.media.model_on_clips import BetweenFrames, FrameByFrame, rate_of
from common.media.video_reader import open_clip
from tests.helpers.clips import NTSC, pictures, read_folder, write_folder, write_video


def parser():
    made = cli.Parser()
    frame_rate.add_arguments(made)
    made.add_argument("--export")
    cli.add_run_arguments(made, "logs")
    cli.add_common_arguments(made)
    return made


class Blend(BetweenFrames):
    build_parser = parser
    device = torch.device("cpu")

    def predict(self, first, second, times):
        return (torch.lerp(first, second, float(t)) for t in times)


class Brighter(FrameByFrame):
    build_parser = parser
    device = torch.device("cpu")

    def stream(self, frames):
        return (frame + 5 / 255 for frame in frames)


@pytest.fixture
def frames(tmp_path):
    made = [frame // 2 for frame in pictures(3, 16, 20)]
    write_folder(tmp_path / "in", made)
    write_video(tmp_path / "in.mkv", made)
    return made


def test_frames_between(tmp_path, frames):
    first, second = frames[:2]
    made = Blend()(first, second, 0.25)
    assert np.abs(made - (0.75 * first + 0.25 * second)).max() <= 0.501
    Blend().clip(tmp_path / "in", tmp_path / "out", multi=4)
    found = read_folder(tmp_path / "out")
    assert len(found) == 9
    assert np.array_equal(found[1], made)
    Blend().clip(tmp_path / "in.mkv", tmp_path / "twice.mkv")
    assert open_clip(tmp_path / "twice.mkv").frame_rate == 2 * NTSC
    Blend().clip(str(tmp_path / "in.mkv"), str(tmp_path / "twice.mkv"), fps="60000/1001", overwrite=True)
    assert open_clip(tmp_path / "twice.mkv").frame_rate == Fraction(60000, 1001)


def test_frame_by_frame(tmp_path, frames):
    made = Brighter()(frames)
    Brighter().clip(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [f"shot_{n}.png" for n in range(3)]
    for frame, result in zip(frames, made, strict=True):
        assert np.array_equal(result, frame + 5)
    assert np.array_equal(read_image(tmp_path / "out/shot_2.png"), made[2])


def test_a_program_is_told_nothing_and_keeps_its_signals(tmp_path, frames, capfd):
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Brighter().clip, args=(tmp_path / "in", tmp_path / "out"))
    thread.start()
    thread.join()  # signals can be set in the main thread alone
    assert len(read_folder(tmp_path / "out")) == 3
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_clip_that_was_stopped_is_gone_on_with(tmp_path, frames):
    class Stopped(Brighter):
        def stream(self, frames):
            for number, result in enumerate(super().stream(frames)):
                if number == 2:
                    raise ArithmeticError
                yield result

    class Refuses(Brighter):
        def stream(self, frames):
            raise AssertionError("there is nothing to do")

    with pytest.raises(ArithmeticError):
        Stopped().clip(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out/shot_0.png").write_bytes(b"done already")
    Brighter().clip(tmp_path / "in", tmp_path / "out", resume=True)
    assert (tmp_path / "out/shot_0.png").read_bytes() == b"done already"
    assert np.array_equal(read_image(tmp_path / "out/shot_2.png"), frames[2] + 5)
    Refuses().clip(tmp_path / "in", tmp_path / "out", resume=True)
    Blend().clip(tmp_path / "in.mkv", tmp_path / "twice.mkv", resume=True)  # and what was not begun begins
    assert open_clip(tmp_path / "twice.mkv").frame_rate == 2 * NTSC


@pytest.mark.parametrize(
    ("kind", "source", "flags", "message"),
    [
        (Blend, "in", {"multi": 1}, "--multi 1: expected 2 or more"),
        (Blend, "in", {"scene": 0}, "--scene"),
        (Blend, "in", {"fps": "fast"}, "fps fast: expected a positive number"),
        (Blend, "in.mkv", {"fps": -3}, "--fps -3: expected a positive number"),
        (Blend, "in.mkv", {"fps": 60, "multi": 2}, "--multi and --fps do not go together"),
        (Blend, "in/shot_0.png", {}, "holds one frame: expected at least two"),
        (Brighter, "in.mkv", {"fps": 60}, "keeps its own frame rate"),
        (Brighter, "in", {}, "exists"),
    ],
)
def test_flags_are_refused_as_on_the_command_line(tmp_path, frames, kind, source, flags, message):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.png").touch()
    with pytest.raises(ValueError, match=message):
        kind().clip(tmp_path / source, tmp_path / "out", **flags)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.png"]


def test_rates():
    assert [rate_of(x) for x in (None, 60, 59.94, "30000/1001", Fraction(25))] == [
        None, 60, Fraction(2997, 50), Fraction(30000, 1001), 25,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="fps 1/0: expected a positive number"):
        rate_of("1/0")


def test_a_paper_has_to_say_how():
    with pytest.raises(NotImplementedError):
        BetweenFrames().predict(None, None, [])
    with pytest.raises(NotImplementedError):
        FrameByFrame().stream([])
