"""A run folder's writer: its lock, scalars twice over, pictures in rows, means over samples."""

import json
import time

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.cli import UsageError
from common.media.image import read_image
from common.training.distributed import Processes
from common.training.run_log import Means, RunLog, clear, grid, lock, new_folder, save_samples

ONE = Processes(0, 1, torch.device("cpu"))


def test_one_run_at_a_time_holds_a_folder(tmp_path):
    folder = tmp_path / "project/run"
    held = lock(folder)
    for _ in range(2):
        with pytest.raises(UsageError, match="run: another run is training there; wait for it, or choose another"):
            lock(folder)
    held.close()
    lock(folder).close()


def test_clearing_leaves_the_lock(tmp_path):
    with lock(tmp_path):
        (tmp_path / "log/train").mkdir(parents=True)
        (tmp_path / "log/train/a").write_text("x")
        (tmp_path / "metrics.jsonl").write_text("x")
        clear(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folders_of_one_minute_are_numbered(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "2024_05_06_0708")
    names = [new_folder(tmp_path / "result").name for _ in range(3)]
    assert names == ["2024_05_06_0708", "2024_05_06_0708_2", "2024_05_06_0708_3"]
    assert sorted(path.name for path in (tmp_path / "result").iterdir()) == names


def test_scalars_pictures_and_text_go_to_tensorboard_and_scalars_to_a_file(tmp_path, capsys):
    log = RunLog(tmp_path / "run", active=True)
    log.scalar("train", "loss/total", 0.5, 10)
    log.scalar("valid", "loss/psnr", torch.tensor(30.25), 10)
    log.picture("valid", "sample/result", np.zeros((8, 9, 3), np.uint8), 10)
    log.text("config", "lr: 1e-4")
    log.say("10 steps")
    log.flush()
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    log.close()
    assert [(line["tag"], line["step"], line["value"]) for line in lines] == [
        ("loss/total", 10, 0.5), ("loss/psnr", 10, 30.25),
    ]  # fmt: skip
    assert all(abs(line["time"] - time.time()) < 600 for line in lines)
    assert capsys.readouterr().out == "10 steps\n"

    def tags(place):
        events = EventAccumulator(str(tmp_path / "run/log" / place))
        events.Reload()
        return {kind: names for kind, names in events.Tags().items() if isinstance(names, list) and names}

    assert tags("train/scalar") == {"scalars": ["loss/total"], "tensors": ["config/text_summary"]}
    assert tags("valid/scalar") == {"scalars": ["loss/psnr"]}
    assert tags("valid/image") == {"images": ["sample/result"]}


def test_other_processes_write_nothing(tmp_path, capsys):
    log = RunLog(tmp_path / "run", active=False)
    log.scalar("train", "loss/total", 0.5, 10)
    log.picture("valid", "sample/result", np.zeros((8, 9, 3), np.uint8), 10)
    log.text("config", "lr: 1e-4")
    log.say("10 steps")
    with log.progress(10, "epoch 1", "step") as bar:
        bar.update()
    log.flush()
    log.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_means_weigh_batches_by_their_samples():
    means = Means()
    means.add({"total": 1.0, "flow": 2.0}, 3)
    means.add({"total": 5.0}, 1)
    assert means.over(ONE, ["total", "flow", "none"]) == {"total": 2.0, "flow": 1.5, "none": 0.0}
    assert Means().over(ONE, ["total"]) == {"total": 0.0}

    class Two(Processes):
        def sum(self, values):
            return [2 * value for value in values]

    assert means.over(Two(0, 2, torch.device("cpu")), ["total"]) == {"total": 2.0}


def test_a_grid_has_every_picture_in_its_place():
    images = torch.rand(5, 3, 4, 6)
    images[1, 0, 0, 0], images[2] = float("nan"), 7.0
    picture = grid(images, columns=3)
    assert picture.shape == (2 * 6 + 2, 3 * 8 + 2, 3)
    assert picture.dtype == np.uint8
    for number, image in enumerate(images.nan_to_num(0).clamp(0, 1)):
        top, left = 6 * (number // 3) + 2, 8 * (number % 3) + 2
        shown = picture[top : top + 4, left : left + 6]
        assert np.abs(shown / 255 - image.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
        picture[top : top + 4, left : left + 6] = 0
    assert not picture.any()  # what is between them is black
    assert grid(images[:2]).shape == (6 + 2, 2 * 8 + 2, 3)


def test_sample_pictures_are_numbered_in_their_order(tmp_path):
    pictures = {"input": np.full((8, 8, 3), 50, np.uint8), "result": np.full((8, 8, 3), 200, np.uint8)}
    save_samples(tmp_path / "sample", "E01_I000003", pictures)
    assert sorted(path.name for path in (tmp_path / "sample").iterdir()) == [
        "E01_I000003_01_input.jpg", "E01_I000003_02_result.jpg",
    ]  # fmt: skip
    assert abs(int(read_image(tmp_path / "sample/E01_I000003_02_result.jpg")[4, 4, 0]) - 200) < 3
