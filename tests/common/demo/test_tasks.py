"""What the page does: as the shell line beside it and as `load`, within its limits."""

import importlib
import shlex

import numpy as np
import pytest

from common import cli
from common.demo import tasks
from common.demo.tasks import TASKS
from common.media.image import read_image, write_image
from common.media.video_reader import open_clip
from tests.helpers.clips import NTSC, pictures, sound_of, write_folder, write_video, write_with_sound

FRAMES = pictures(4, 32, 48)


@pytest.mark.parametrize("name", TASKS)
def test_a_result_is_that_of_the_shell_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = TASKS[name]
    (tmp_path / "page").mkdir()
    write_folder(tmp_path / "two", FRAMES[:2])
    source = tuple(FRAMES[:2]) if task.takes_pictures else write_video("my clip.mp4", FRAMES)
    made = tasks.run(name, source, tmp_path / "page")
    _, script, *argv = shlex.split(tasks.command(task, "my clip.mp4"))
    assert cli.run(importlib.import_module(script.replace("/", ".").removesuffix(".py")).main, argv) == 0
    assert made.before.shape == made.after.shape
    assert made.told == ""
    if task.takes_pictures:
        assert np.array_equal(made.after, read_image(sorted((tmp_path / "three").iterdir())[1]))
        return
    found, expected = (list(open_clip(path)) for path in (made.clip, task.output))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    at = {"slow": tasks.MULTI * 2 + tasks.MULTI // 2, "flow": 2}.get(name, 2)  # of 13 frames, of 3 flows, of 4 results
    assert np.array_equal(made.after, expected[at])


def test_the_models_are_those_of_load(tmp_path):
    made = tasks.run("between", (FRAMES[0], FRAMES[1]), tmp_path)
    ifrnet = importlib.import_module("ifrnet")
    assert np.array_equal(made.after, ifrnet.load(device="cpu")(FRAMES[0], FRAMES[1]))
    assert np.array_equal(made.before, tasks.mean_image(FRAMES[0], FRAMES[1]))


def test_what_is_within_the_limits_is_taken_as_it_is(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", FRAMES)
    assert tasks.part(clip, TASKS["deblur"], tmp_path) == (clip, "")


def test_what_is_longer_or_larger_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "FRAMES", 20)
    clip = write_with_sound(tmp_path / "clip.mp4")  # 50 frames of 64x48, 2 seconds
    small = TASKS["deblur"]._replace(largest=(32, 20))
    path, told = tasks.part(clip, small, tmp_path)
    assert told == "Its first 20 frames were taken. 64 x 48 pixels were cut to 32 x 20."
    reader = open_clip(path)
    assert (reader.size, len(list(reader)), reader.frame_rate) == ((20, 32), 20, 25)
    assert sound_of(path)[-1][0] < 0.9
    _, told = tasks.part(clip, small._replace(largest=(64, 48)), tmp_path / "long")
    assert told == "Its first 20 frames were taken."


def test_sizes():
    image = np.arange(50 * 90 * 3, dtype=np.uint8).reshape(50, 90, 3)
    task = TASKS["deblur"]._replace(largest=(40, 24))
    assert np.array_equal(tasks.fitted(image, task), image[13:37, 25:65])
    assert tasks.fitted(image.swapaxes(0, 1), task).shape == (40, 24, 3)  # upright
    assert tasks.fitted(image[:17, :19], task).shape == (16, 18, 3)
    reduced = tasks.fitted(image, task._replace(reduces=True))
    assert reduced.shape == (22, 40, 3)
    told = tasks.size_told(image.shape, reduced.shape, task._replace(reduces=True))
    assert told == "90 x 50 pixels were reduced to 40 x 22."
    assert tasks.size_told((17, 19), (16, 18), task) == "19 x 17 pixels were cut to 18 x 16."


def test_limits_are_told():
    assert tasks.limits(TASKS["between"]) == "Two pictures of one size; larger ones than 640 x 360 pixels are reduced."
    assert "first 48 frames" in tasks.limits(TASKS["slow"])
    assert "320 x 180 pixels is cut to its middle" in tasks.limits(TASKS["enlarge"])


def test_what_cannot_be_is_one_line(tmp_path):
    for name, source, message in (
        ("deblur", None, "nothing to work on: expected a clip"),
        ("between", (FRAMES[0], None), "nothing to work on: expected two pictures"),
        (
            "between",
            (FRAMES[0], FRAMES[1][:20]),
            "the pictures are 48 x 32 and 48 x 20 pixels: expected two of one size",
        ),
        ("between", (FRAMES[0][:9], FRAMES[1][:9]), "48 x 9 pixels are too few: expected 16 or more a side"),
    ):
        with pytest.raises(cli.UsageError, match=f"^{message}$"):
            tasks.run(name, source, tmp_path)
    write_image(tmp_path / "photo.png", FRAMES[0])
    with pytest.raises(cli.UsageError, match=r"^photo\.png is no video: expected a video file$"):
        tasks.run("deblur", tmp_path / "photo.png", tmp_path)
    one = write_video(tmp_path / "one.mp4", FRAMES[:1], frame_rate=NTSC)
    for name in ("slow", "flow"):
        with pytest.raises(ValueError, match="one frame"):
            tasks.run(name, one, tmp_path)
