"""IFRNet's training samples: which one is drawn at which position of a run."""

import dataclasses
import math
import random
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from common.ops.warp import backward_warp
from common.sets.clips import find_clips
from common.training.sampling import Positions, to_device
from ifrnet.config import PRESETS
from ifrnet.samples import ClipSamples, TrainingSamples, draw_times
from ifrnet.sets import find_samples


def test_the_number_of_steps_and_samples_do_not_depend_on_processes():
    one = Positions(6, first=24)
    two = [Positions(3, first=24, rank=rank, world_size=2) for rank in (0, 1)]
    steps = [list(islice(positions, 5)) for positions in (one, *two)]
    for together, first, second in zip(*steps, strict=True):
        assert together == first + second
    published = PRESETS["IFRNet_Vimeo90K"]
    assert published.epochs * (51313 // published.total_batch) == 641_400


def test_every_sample_once_before_any_again(clips):
    samples = find_samples(clips, "vimeo90k", "train")
    dataset = TrainingSamples(samples, PRESETS["IFRNet_tiny"].__class__(crop=32, network="IFRNet_tiny"))
    for turn in range(3):
        found = [dataset.order(position) for position in range(5 * turn, 5 * turn + 5)]
        assert sorted(found) == list(range(5))
    first, again = dataset[7], dataset[7]
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.fixture
def moving(tmp_path):
    """Two sets of clips, of a picture that moves to the right by 3 pixels a frame: `drawn` tells its flow."""
    rows = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (80, 160, 3), np.uint8), (0, 0), 2)
    rows = cv2.normalize(rows, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = np.stack([rows[:, 40 - 3 * number : 140 - 3 * number] for number in range(6)])
    for name in ("clips_a", "drawn"):
        (tmp_path / name / "train").mkdir(parents=True)
        np.save(tmp_path / name / "train/a.npy", frames)
    flow = np.zeros((6, 2, 80, 100, 2), np.float16)
    for number in range(6):
        flow[number, 0, ..., 0], flow[number, 1, ..., 0] = -3 * number, 3 * (5 - number)
    np.save(tmp_path / "drawn/train/a_flow.npy", flow)
    return tmp_path


def clip_samples(root, name, **settings):
    usual = {"crop": 32, "augment_large": 0.0, "reduce": 0.0, "max_motion": math.inf}
    config = dataclasses.replace(PRESETS["IFRNet_free"], **usual | settings)
    return ClipSamples(find_clips(root, name, "train", least=3), config)


@pytest.mark.parametrize("name", ["clips_a", "drawn"])
def test_labels_lead_from_the_time_drawn_to_both_frames(moving, name):
    dataset = clip_samples(moving, name)
    times, errors, uneven = set(), [], []
    for position in range(24):
        item = to_device(dataset[position], torch.device("cpu"))
        label, t = item["labels"][0], item["t"].item()
        for flow, frame in ((label[:2], item["img0"]), (label[2:], item["img1"])):
            warped = backward_warp(frame[None], flow[None].contiguous(), padding="border")[0]
            inside = torch.ones(32, 32, dtype=torch.bool)
            # What lies outside of the crop cannot be seen.
            columns, rows = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="xy")
            inside &= (columns + flow[0] > 0) & (columns + flow[0] < 31) & (rows + flow[1] > 0) & (rows + flow[1] < 31)
            if inside.sum() > 100:
                errors.append((warped - item["target"][0]).abs()[:, inside].median().item())
        uneven.append((label[0] * (1 - t) + label[2] * t).abs().median().item())
        times.add(round(t, 3))
    assert np.median(errors) < 0.01  # DIS is not right everywhere
    assert np.median(uneven) < 0.1
    if name == "drawn":
        assert max(errors) < 0.02
        assert max(uneven) < 0.01
        assert times <= {0.2, 0.4, 0.6, 0.8}
    assert len(times) >= 4
    again = dataset[5]
    assert all(torch.equal(value, again[key]) for key, value in dataset[5].items())


def test_reduced_clips_have_half_the_motion(moving):
    dataset = clip_samples(moving, "drawn")
    whole = dataset[3]["labels"].abs().max()
    dataset.config = dataclasses.replace(dataset.config, reduce=1.0)
    half = dataset[3]["labels"].abs().max()
    assert half == pytest.approx(whole.item() / 2, rel=0.01)


def test_distances_and_places_of_inputs():
    coins = random.Random(0)
    drawn = [draw_times(9, 4, coins) for _ in range(500)]
    assert {last - first for first, _, last in drawn} == {2, 3, 4}
    assert {first for first, _, _ in drawn} == set(range(7))
    assert all(first < between < last <= 8 for first, between, last in drawn)
    assert draw_times(3, 8, coins) == (0, 1, 2)
    assert {draw_times(5, None, coins)[::2] for _ in range(20)} == {(0, 4)}


def test_clips_smaller_than_the_crop_are_refused(moving):
    with pytest.raises(ValueError, match="smaller than the crop of 96; use a smaller --set crop"):
        clip_samples(moving, "clips_a", crop=96)


def test_clips_that_move_too_much_are_left_out(moving):
    assert len(clip_samples(moving, "drawn", max_motion=9.1)) == 1  # the middle frame is 3 frames from the first
    with pytest.raises(ValueError, match="no clip moves by 8 pixels or less"):
        clip_samples(moving, "drawn", max_motion=8.0)
