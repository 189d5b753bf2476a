"""TOFlow's samples: the same at a position whoever reads it, labels that fit, degraded frames made or read."""

import shutil
from dataclasses import replace

import numpy as np
import torch

from common.ops.warp import backward_warp
from tests.helpers.runs import ROOT, script
from toflow.config import preset
from toflow.samples import TrainingSamples, evaluation_frames, turn
from toflow.sets import find_samples


def test_labels_of_triplets_warp_the_frames_onto_the_target(clips):
    config = replace(preset("TOFlow_interp"), crop=32)
    item = TrainingSamples(find_samples(clips, "vimeo90k", "train"), config, labels=True)[1]
    warped = backward_warp(item["frames"], item["flows"], padding="border")
    assert (warped - item["target"]).abs().mean() < 0.7 * (item["frames"] - item["target"]).abs().mean()


def test_samples_depend_on_the_position_alone(clips):
    for data in ("vimeo_mixed", "vimeo_j2k_q40", "vimeo_bicubic_x4"):
        config = replace(preset("TOFlow_denoise"), data=data, crop=32, flip=True)
        samples = find_samples(clips, data, "train")
        first, again = (TrainingSamples(samples, config)[7] for _ in range(2))
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert not torch.equal(first["frames"][3], first["target"])  # degraded
        other = TrainingSamples(samples, replace(config, manual_seed=5))[7]
        assert not torch.equal(first["frames"], other["frames"])


def test_prepared_frames_are_read_as_they_are(clips, tmp_path):
    shutil.copytree(clips / "vimeo_septuplet", tmp_path / "vimeo_septuplet")
    layout = ("--layout", "vimeo_septuplet", "--root", tmp_path)
    script([ROOT / "datasets/prepare_vimeo90k.py", *layout, "--degrade", "mixed", "--seed", 1234])
    made, flying = (find_samples(tmp_path, "vimeo_mixed", "test", prepared=prepared) for prepared in (True, False))
    for a, b in zip(made, flying, strict=True):
        assert np.array_equal(evaluation_frames(a, 99), evaluation_frames(b, 1234))
    config = replace(preset("TOFlow_denoise"), prepared=True, crop=32)
    item = TrainingSamples(find_samples(tmp_path, "vimeo_mixed", "train", prepared=True), config)[0]
    noise = (item["frames"][3] - item["target"]).std().item()
    assert 0.08 < noise < 0.25


def test_turn_keeps_frames_and_target_together():
    clip = np.arange(7 * 4 * 6 * 3).reshape(7, 4, 6, 3)
    seen = set()
    for seed in range(150):
        frames, target = turn(list(clip), clip[3], np.random.default_rng(seed))
        assert np.array_equal(frames[3], target)
        assert sorted(frame.min() for frame in frames) == [frame.min() for frame in clip]
        seen.add((target.shape, int(target[0, 0, 0]), int(frames[0].min())))
    assert len(seen) == 16
