"""IFRNet's training samples: which one is drawn at which position of a run."""

from itertools import islice

import torch

from common.training.sampling import Positions
from ifrnet.config import PRESETS
from ifrnet.samples import TrainingSamples
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
