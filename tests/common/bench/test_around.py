"""Own video around a network that is ready: what the bare minimum is given, and what the command makes."""

import pytest

from common.bench import around
from common.media.video_reader import open_clip
from ifrnet.bench import own_video
from pvdnet.bench import own_video as deblurring
from toflow.bench import own_video as restoring


def test_the_best_of_the_rounds_counts_a_frame_of_the_result(monkeypatch):
    """By a clock that tells 8, 4, 6 and 2 seconds, of the command and of the bare minimum in turn."""
    told, ran = iter((8.0, 4.0, 6.0, 2.0)), []

    def seconds(function):
        function()
        ran.append(function)
        return next(told)

    monkeypatch.setattr(around, "_seconds", seconds)
    found = around.measure(own_video()["IFRNet x2"][0], {"multi": 2}, 1, size=(64, 96), repeats=2)
    count = 2 * around.FRAMES - 1
    assert found == pytest.approx({"seconds": 6 / count, "bare_seconds": 2 / count, "ratio": 1 / 3})
    assert len(set(ran)) == 2


def test_the_clip_moves_and_results_are_as_large_as_asked(tmp_path):
    sizes = {}
    for name, (model, flags, scale) in {**own_video(), **deblurring(), **restoring()}.items():
        around._write_clip(tmp_path / f"{name} in.mp4", 64 // scale, 96 // scale, 0)
        model.clip(tmp_path / f"{name} in.mp4", tmp_path / f"{name}.mp4", **flags)
        made = list(open_clip(tmp_path / f"{name}.mp4"))
        sizes[name] = len(made), made[0].shape[:2]
        assert (made[0] != made[2]).mean() > 0.5
    count, size = around.FRAMES, (64, 96)
    assert sizes.pop("IFRNet x2") == (2 * count - 1, size)
    assert sizes == dict.fromkeys(("PVDNet", "TOFlow denoise", "TOFlow sr"), (count, size))
