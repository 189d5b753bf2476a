"""Pictures of the real clips, with models that change nothing in the place of the networks."""

import cv2
import numpy as np
import pytest

from common.media.image import read_image
from common.papers import PAPERS
from common.tables import real_pictures
from common.tables.real_pictures import JOBS, main


class Model:
    """What a paper's `load` gives, as far as the pictures need it."""

    def __init__(self, flow):
        self.flow = flow

    def __call__(self, frames, last=None, t=0.5):
        if last is None:
            return [np.repeat(np.repeat(f, 4, 0), 4, 1) if len(f) < 100 else f for f in frames]
        self.colours = frames
        return self if self.flow else frames


@pytest.mark.parametrize("name", JOBS)
def test_input_result_and_truth_stand_side_by_side(name, tmp_path, monkeypatch):
    monkeypatch.setattr(real_pictures, "load", lambda job, device: Model(job.paper == "qpwcnet"))
    assert main(["--only", name, "--output", str(tmp_path)]) == 0
    picture = read_image(tmp_path / f"{name}.png")
    _, _, width, height = JOBS[name].crop
    count = 2 if name.startswith("flow") else 3
    assert picture.shape == (height + 24, count * width + 6 * (count - 1), 3)
    parts = [picture[24:, k * (width + 6) : k * (width + 6) + width].astype(int) for k in range(count)]
    if count == 2:
        assert (parts[0] == parts[1]).all()
    else:
        assert 0.5 < np.abs(parts[0] - parts[-1]).mean() < 40  # the input is worse than the truth
    if name == "between":
        found, animation = cv2.imreadanimation(str(tmp_path / "slow_motion.webp"))
        assert found
        assert len(animation.frames) == 6  # the six pairs; frames between that are the first again are one


def test_every_paper_is_shown():
    assert {job.paper for job in JOBS.values()} == set(PAPERS)
