"""TOFlow's samples: the same at a position whoever reads it, labels that fit, degraded frames made or read."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.ops.warp import backward_warp
from common.training.sampling import to_device
from tests.helpers.runs import ROOT, script
from toflow.config import preset
from toflow.samples import TrainingSamples, evaluation_frames, turn
from toflow.sets import find_samples
from toflow.stages import training_samples


def as_floats(item):
    return to_device(item, torch.device("cpu"))


def test_labels_of_triplets_warp_the_frames_onto_the_target(clips):
    config = replace(preset("TOFlow_interp"), crop=32)
    item = as_floats(TrainingSamples(find_samples(clips, "vimeo90k", "train"), config, labels=True)[1])
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
    item = as_floats(TrainingSamples(find_samples(tmp_path, "vimeo_mixed", "train", prepared=True), config)[0])
    noise = (item["frames"][3] - item["target"]).std().item()
    assert 0.08 < noise < 0.25


@pytest.fixture
def own_clips(tmp_path):
    """A clip of 12 frames, whose first pixels tell their numbers, and one of 5."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / "clips" / split).mkdir(parents=True)
        for name, count in (("a", 12), ("b", 5)):
            frames = draw.integers(0, 256, (count, 32, 48, 3), np.uint8)
            frames[:, :, :, 0] = np.arange(count)[:, None, None]
            np.save(tmp_path / "clips" / split / f"{name}.npy", frames)
    return tmp_path


def test_triplets_of_clips_have_drawn_distances(own_clips):
    config = replace(preset("TOFlow_interp"), data="clips", crop=16, max_distance=3)
    dataset, seen = training_samples("joint", own_clips, config), set()
    assert len(dataset) == 2
    for position in range(60):
        item = dataset[position]
        first, last, middle = (int(frame[0, 0, 0]) for frame in (*item["frames"], item["target"]))
        assert middle - first == last - middle
        seen.add(middle - first)
    assert seen == {1, 2, 3}
    with pytest.raises(ValueError, match="no such label"):
        training_samples("mask", own_clips, config)
    samples = find_samples(own_clips, "clips", "test")
    assert [sample.name for sample in samples[-2:]] == ["b/00000001", "b/00000003"]
    numbers = [[int(path.name) for path in (*sample.frames, sample.target)] for sample in samples]
    assert numbers[:5] == [[k - 1, k + 1, k] for k in (1, 3, 5, 7, 9)]


@pytest.mark.parametrize("name", ["noise_blind", "compression_blind", "bicubic_x4"])
def test_windows_of_clips_are_degraded_as_they_are_read(own_clips, name):
    config = replace(preset("TOFlow_denoise"), data=f"clips_{name}", crop=16)
    if name == "bicubic_x4":
        config = replace(config, network="mmagic_vsr")
    dataset = training_samples("joint", own_clips, config)
    for position in range(4):
        item = dataset[position]
        assert item["frames"].shape == (7, 3, 16, 16)
        assert not torch.equal(item["frames"][3], item["target"])
        assert all(torch.equal(item[key], dataset[position][key]) for key in item)
    samples = find_samples(own_clips, f"clips_{name}", "test")
    assert len(samples) == 3 + 2  # every fourth of 12 and 5 frames
    assert [int(path.name) for path in samples[0].frames] == [0, 0, 0, 0, 1, 2, 3]  # ends are repeated
    assert all(sample.degradation == name and sample.target == sample.frames[3] for sample in samples)


def test_several_sets_share_the_positions(own_clips, clips):
    shutil.copytree(clips / "vimeo_septuplet", own_clips / "vimeo_septuplet")
    config = replace(preset("TOFlow_denoise"), data="clips_gaussian_15,vimeo_mixed:0.5", crop=32)
    dataset = training_samples("joint", own_clips, config)
    numbers = [dataset.place(position)[0] for position in range(1000)]
    assert numbers.count(1) == 333
    assert dataset[numbers.index(1)]["frames"].shape == dataset[numbers.index(0)]["frames"].shape


def test_turn_keeps_frames_and_target_together():
    clip = np.arange(7 * 4 * 6 * 3).reshape(7, 4, 6, 3)
    seen = set()
    for seed in range(150):
        frames, target = turn(list(clip), clip[3], np.random.default_rng(seed))
        assert np.array_equal(frames[3], target)
        assert sorted(frame.min() for frame in frames) == [frame.min() for frame in clip]
        seen.add((target.shape, int(target[0, 0, 0]), int(frames[0].min())))
    assert len(seen) == 16
