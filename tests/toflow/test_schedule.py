"""Learning rates of TOFlow's stages."""

from dataclasses import replace

import pytest

from toflow.config import preset
from toflow.schedule import learning_rate
from toflow.stages import plan


def test_the_joint_stage_alone_falls_at_its_milestones():
    config = replace(preset("TOFlow_denoise_tiny"), milestones=(2, 5), gamma=0.1)
    config = replace(config, stages=("flow", "joint"), steps=(4, 8), learning_rates=(3e-4, 1e-3))
    flow, joint = plan(config, samples=100)
    assert [learning_rate(step, flow, config) for step in range(5)] == [3e-4] * 5
    rates = [learning_rate(step, joint, config) for step in range(4, 12)]  # counted from the stage's beginning
    assert rates == pytest.approx([1e-3] * 2 + [1e-4] * 3 + [1e-5] * 3)


def test_mmagics_rate_is_halved_four_times():
    config = preset("tof_spynet-chair-wobn_1xb1_vimeo90k-triplet")
    (stage,) = plan(config, samples=51313)
    rates = [learning_rate(step, stage, config) for step in (0, 199_999, 200_000, 999_999)]
    assert rates == pytest.approx([5e-5, 5e-5, 2.5e-5, 5e-5 / 16])
