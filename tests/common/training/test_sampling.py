"""Which samples a step gets, whatever the processes and the resumes, and the batches that bring them."""

import multiprocessing
import os
import signal
from itertools import chain, islice

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from common.training.sampling import Batches, Positions, ShuffledOrder, to_device, to_tensor

CPU = torch.device("cpu")


class Numbers(Dataset):
    """Sample n is n; 13 cannot be read."""

    def __getitem__(self, number):
        if number == 13:
            raise ValueError("sample 13\n is broken")
        return {"number": torch.tensor(number)}


@pytest.mark.parametrize("first", [0, 24, 7])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_together_see_what_one_sees(first, processes):
    one = islice(Positions(6, first=first), 4)
    several = [Positions(6 // processes, first=first, rank=rank, world_size=processes) for rank in range(processes)]
    for together, *parts in zip(one, *several, strict=False):
        assert together == list(chain(*parts))
    again = islice(Positions(6, first=first + 12), 2)  # a resume after two steps
    assert list(again) == list(islice(Positions(6, first=first), 4))[2:]


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_an_order_is_a_new_permutation_every_turn(count):
    order = ShuffledOrder(count, seed=3)
    turns = [[order(turn * count + n) for n in range(count)] for turn in range(5)]
    for turn in turns:
        assert sorted(turn) == list(range(count))
    if count > 10:
        assert len({tuple(turn) for turn in turns}) == 5
        assert [ShuffledOrder(count, seed=4)(n) for n in range(count)] != turns[0]
    anywhere = ShuffledOrder(count, seed=3)  # depends on the position alone, in whatever order they come
    assert [anywhere(position) for position in reversed(range(5 * count))] == list(chain(*turns))[::-1]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_order_and_end_with_the_block(workers):
    before, others = torch.get_rng_state(), multiprocessing.active_children()
    with Batches(Numbers(), Positions(2, first=4), workers=workers, device=CPU) as batches:
        found = [batch["number"].tolist() for batch in islice(batches, 3)]
        assert len(multiprocessing.active_children()) == len(others) + workers
    assert found == [[4, 5], [6, 7], [8, 9]]
    assert multiprocessing.active_children() == others
    assert torch.equal(torch.get_rng_state(), before)  # the run's own random numbers are left alone


def test_a_sigterm_to_all_leaves_the_step_its_batch():
    others = multiprocessing.active_children()
    with Batches(Numbers(), Positions(1), workers=2, device=CPU) as batches:
        assert [next(batches)["number"].item() for _ in range(2)] == [0, 1]  # both have begun
        for worker in set(multiprocessing.active_children()) - set(others):
            os.kill(worker.pid, signal.SIGTERM)
        assert [next(batches)["number"].item() for _ in range(8)] == list(range(2, 10))
    assert multiprocessing.active_children() == others


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_sample_is_one_line(workers):
    with Batches(Numbers(), Positions(1, first=13), workers=workers, device=CPU) as batches:
        with pytest.raises(ValueError, match=r"^\s*is broken$"):  # the last line of the worker's traceback
            next(batches)


def test_frames_become_tensors():
    frame = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    tensor = to_tensor(frame[:, ::-1])
    assert tensor.shape == (3, 4, 5)
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), frame[:, ::-1] / np.float32(255))
    flow = np.full((4, 5, 2), -30.5)
    assert torch.equal(to_tensor(flow), torch.full((2, 4, 5), -30.5))


def test_every_tensor_of_a_batch_moves():
    moved = to_device({"a": torch.ones(2), "b": torch.zeros(1, 3)}, torch.device("meta"))
    assert {key: (x.device.type, tuple(x.shape)) for key, x in moved.items()} == {
        "a": ("meta", (2,)), "b": ("meta", (1, 3)),
    }  # fmt: skip
