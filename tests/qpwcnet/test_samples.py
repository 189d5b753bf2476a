"""QPWCNet's samples: their size, their truth, and that they depend on seed and position alone."""

import dataclasses

import numpy as np
import pytest
import torch

from common.media.flow_file import write_flow
from common.media.image import write_image
from qpwcnet.config import PRESETS
from qpwcnet.samples import TrainingSamples, read_sample
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
