"""What a run tells: scalars twice over, pictures and text, lines of the first process; means over samples."""

import json
import time

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.training.distributed import Processes
from common.training.run_log import Means, RunLog

ONE = Processes(0, 1, torch.device("cpu"))


def test_scalars_pictures_and_text_go_to_tensorboard_and_scalars_to_a_file(tmp_path, capsys):
    (tmp_path / "run").mkdir()
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
