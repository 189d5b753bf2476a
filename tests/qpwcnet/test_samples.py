"""QPWCNet's samples: their size, their truth, and that they depend on seed and position alone."""

import dataclasses

import numpy as np
import pytest
import torch

from common.media.flow_file import write_flow
from common.media.image import write_image
from common.sets.clips import find_clips
from qpwcnet.config import PRESETS
from qpwcnet.samples import ClipSamples, TrainingSamples, draw_pair_of, draw_triplet_of, read_sample
from qpwcnet.sets import Pair, Triplet

SIZE = (48, 64)


@pytest.fixture
def pairs(tmp_path):
    draw = np.random.default_rng(0)
    made = []
    for k in range(3):
        files = [tmp_path / f"{k}_{n}.png" for n in (1, 2)]
        for file in files:
            write_image(file, draw.integers(0, 256, (*SIZE, 3), np.uint8))
        write_flow(tmp_path / f"{k}.flo", np.full((*SIZE, 2), np.float32((4, 6))))
        made.append(Pair(str(k), *files, tmp_path / f"{k}.flo"))
    return made


def config(**more):
    return dataclasses.replace(PRESETS["flow_tiny"], **{"input_shape": (32, 32), "augment": True} | more)


def test_a_pair_is_resized_with_its_flow(pairs):
    sample = read_sample(pairs[0], config())
    assert {key: tuple(x.shape) for key, x in sample.items()} == {
        "prv": (3, 32, 32), "nxt": (3, 32, 32), "target": (2, 32, 32),
    }  # fmt: skip
    assert sample["target"][:, 5, 5].tolist() == pytest.approx([4 * 32 / 64, 6 * 32 / 48])
    with pytest.raises(ValueError, match="no flow beside it; training needs a set with flow"):
        read_sample(dataclasses.replace(pairs[0], flow=None), config())


def test_the_target_of_a_triplet_is_its_middle(pairs):
    frames = (pairs[0].first, pairs[1].first, pairs[2].first)
    sample, middle = (read_sample(Triplet("a", three), config()) for three in (frames, (frames[1],) * 3))
    assert torch.equal(sample["target"], middle["prv"])
    assert not torch.equal(sample["prv"], sample["nxt"])


def test_samples_depend_on_seed_and_position_alone(pairs):
    one, again = TrainingSamples(pairs, config()), TrainingSamples(pairs, config())
    for position in (7, 2):
        assert all(torch.equal(x, again[position][key]) for key, x in one[position].items())
    other = TrainingSamples(pairs, config(manual_seed=5))
    assert not all(torch.equal(x, other[7][key]) for key, x in one[7].items())
    for turn in range(2):
        assert sorted(one.order(position) for position in range(3 * turn, 3 * turn + 3)) == [0, 1, 2]


def test_without_augmentation_a_sample_stays_the_same(pairs):
    samples = TrainingSamples(pairs, config(augment=False))
    places = [position for position in range(9) if samples.order(position) == 1]
    assert torch.equal(samples[places[0]]["prv"], samples[places[1]]["prv"])


@pytest.fixture
def clips(tmp_path):
    """Three clips of five frames whose pixels tell clip and frame, with flows that tell frame and end."""
    folder = tmp_path / "drawn/train"
    folder.mkdir(parents=True)
    for k in range(3):
        frames = np.arange(5, dtype=np.uint8)[:, None, None, None] + np.uint8(10 * k)
        np.save(folder / f"{k}.npy", np.broadcast_to(frames, (5, *SIZE, 3)))
        flows = np.arange(10, dtype=np.float16).reshape(5, 2, 1, 1, 1)
        np.save(folder / f"{k}_flow.npy", np.broadcast_to(flows, (5, 2, *SIZE, 2)))
    return find_clips(tmp_path, "drawn", "train", twin="flow")


def test_pairs_of_a_clip_lead_to_its_first_or_last_frame(clips):
    """All of them come; the flow is that of the frame and the end."""
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        pair = draw_pair_of(clips[1], 9, rng)
        number, end = int(pair.first.name), int(pair.flow.name)
        assert int(pair.second.name) == (0, 4)[end]
        sample = read_sample(pair, config())
        assert {round(255 * sample[key].mean().item(), 3) for key in ("prv", "nxt")} == {10 + number, 10 + 4 * end}
        assert sample["target"].unique().tolist() == [2 * number + end]
        seen.add((number, end))
    assert seen == {(number, end) for number in range(5) for end in (0, 1) if number != 4 * end}
    assert {int(draw_pair_of(clips[1], 2, rng).first.name) for _ in range(50)} == {1, 2, 3}


def test_triplets_of_a_clip_have_every_distance(clips):
    rng, seen = np.random.default_rng(0), set()
    for _ in range(200):
        first, middle, last = (int(path.name) for path in draw_triplet_of(clips[0], 9, rng).frames)
        assert middle - first == last - middle
        seen.add((first, middle, last))
    assert seen == {(0, 1, 2), (1, 2, 3), (2, 3, 4), (0, 2, 4)}
    assert {draw_triplet_of(clips[0], 1, rng).name for _ in range(50)} == {f"0/000{n}" for n in (1, 2, 3)}


@pytest.mark.parametrize("task", ["flow", "interp"])
@pytest.mark.parametrize("augment", [True, False])
def test_samples_of_clips_depend_on_seed_and_position_alone(clips, task, augment):
    made = [ClipSamples(clips, config(task=task, data="drawn", valid_data="", augment=augment)) for _ in range(2)]
    for position in (5, 1):
        one, again = (samples[position] for samples in made)
        assert all(torch.equal(x, again[key]) for key, x in one.items())
        assert one["prv"].shape == (3, 32, 32)
    values = {samples[position]["prv"].mean().item() for samples in made for position in range(9)}
    assert len(values) > 3


def test_clips_are_cut_not_squeezed(tmp_path):
    """The flow keeps its length; frames smaller than the cut are enlarged evenly."""
    (tmp_path / "drawn/train").mkdir(parents=True)
    np.save(tmp_path / "drawn/train/a.npy", np.zeros((2, *SIZE, 3), np.uint8))
    np.save(tmp_path / "drawn/train/a_flow.npy", np.full((2, 2, *SIZE, 2), (4, 6), np.float16))
    (clip,) = find_clips(tmp_path, "drawn", "train")
    pair = draw_pair_of(clip, 1, np.random.default_rng(0))
    for size, length in (((32, 64), (4, 6)), ((96, 64), (8, 12))):
        sample = read_sample(pair, config(input_shape=size))
        assert sample["prv"].shape == (3, *size)
        assert sample["target"][:, 7, 7].tolist() == pytest.approx(length)
