"""What TDAN's authors do around a call: quarters that are put together again, flips that are averaged."""

import pytest
import torch

from tdan import ensemble
from tdan.ensemble import chopped, flipped


def enlarged(x):
    """Twofold, by nearest neighbour: what it makes of a part is that part of what it makes of the whole."""
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


@pytest.mark.parametrize("size", [(1, 1), (3, 30), (41, 57), (100, 101)])
def test_quarters_of_what_needs_no_neighbours_are_the_whole(size):
    frames = torch.rand(1, 5, 3, *size)
    assert torch.equal(chopped(enlarged, frames, 2), enlarged(frames))


def test_quarters_overlap_and_are_cut_again_while_they_are_large(monkeypatch):
    sizes = []
    chopped(lambda x: sizes.append(tuple(x.shape[-2:])) or enlarged(x), torch.rand(1, 3, 40, 61), 2)
    assert sizes == [(30, 40)] * 4
    sizes.clear()
    monkeypatch.setattr(ensemble, "LARGE", 1200)  # 30 x 40 pixels are that large
    chopped(lambda x: sizes.append(tuple(x.shape[-2:])) or enlarged(x), torch.rand(1, 3, 40, 61), 2)
    assert sizes == [(25, 30)] * 16


def test_flips_average_four_results_each_turned_back():
    frames = torch.rand(1, 3, 6, 7, dtype=torch.float64)
    assert torch.equal(flipped(enlarged, frames), enlarged(frames))
    ramp = torch.arange(7.0, dtype=torch.float64)  # to the right: a mean with its mirror image is 3 everywhere
    torch.testing.assert_close(flipped(lambda x: x + ramp, frames), frames + 3)
    fall = torch.arange(6.0, dtype=torch.float64)[:, None]
    torch.testing.assert_close(flipped(lambda x: x + fall, frames), frames + 2.5)
