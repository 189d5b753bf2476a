"""Gradients at jumps of the slope: right on either side, wrong everywhere else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tdan.model
from common.ops.deform_conv import deform_conv2d
from tests.golden_cases.tdan import HANDLERS
from tests.helpers import sides
from tests.helpers.golden import Case

TRAINING = Path(__file__).parents[1] / "goldens/tdan/tdan2018_training"
LIMITS = {"grad": np.array(1e-6)}


def gradient(decide=lambda values, jumps: values, moves=(0, 0, 0)):
    """Of the offsets of 1x1 taps in front of a ReLU; three of them are next to a jump, on the side that `moves` say."""
    torch.manual_seed(0)
    image, weight = torch.rand(1, 2, 5, 6).double() - 0.5, torch.rand(2, 2, 1, 1).double()
    offset = (torch.rand(1, 2, 5, 6).double() - 0.5).requires_grad_()
    signs = [1 - 2 * move for move in moves]
    with torch.no_grad():
        offset[0, 0, 2, 3] = signs[0] * 1e-7
        offset[0, 1, 2, 3] = 1 - signs[1] * 3e-7
    made = deform_conv2d(image, decide(offset, offset.detach().round()), weight)
    shift = made[0, 0, 1, 1].detach() - signs[2] * 2e-7
    made = decide(made - F.pad(shift.view(1, 1, 1, 1), (1, 4, 1, 3, 0, 1)), 0.0)
    (found,) = torch.autograd.grad(F.relu(made).square().sum() + F.relu(made).sum(), offset)
    return {"grad": found.numpy()}


def test_every_choice_of_sides_is_found():
    twin = sides.Twin(gradient)
    assert len(twin.places) == 3
    kinds = []
    for moves in itertools.product((0, 1), repeat=3):
        expected = gradient(moves=moves)
        kinds.append(expected["grad"])
        found = twin.nearest(expected, LIMITS)
        assert np.abs(found["grad"] - expected["grad"]).max() < 1e-6
        assert (found is twin.own) == (moves == (0, 0, 0))
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(kinds, 2)) > 1e-3


@pytest.mark.parametrize("entry", [(0, 0, 2, 3), (0, 1, 2, 3), (0, 0, 0, 0)])
def test_what_no_side_gives_is_not_found(entry):
    twin = sides.Twin(gradient)
    for moves in ((0, 0, 0), (1, 0, 1), (0, 1, 0)):
        expected = gradient(moves=moves)
        expected["grad"][entry] += 1e-3
        assert twin.nearest(expected, LIMITS) is twin.own


def test_a_tap_at_a_whole_pixel_has_no_other_side():
    offset = torch.zeros(1, 2, 3, 3).double()
    twin = sides.Twin(lambda decide: {"y": decide(offset, offset.round()).numpy()})
    assert twin.places == []


class WithoutOneTap(torch.autograd.Function):
    """Offsets; what comes back lacks the gradient of one tap of 72, at one of 156 places, in one of four images."""

    @staticmethod
    def forward(ctx, offset):
        return offset.view_as(offset)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        gradient[0, 8:10, 5, 6] = 0
        return gradient


def test_a_training_case_fails_for_a_small_mistake(monkeypatch):
    monkeypatch.setattr(sides, "NOISE", 1e-6)  # fewer places are faster
    monkeypatch.setattr(
        tdan.model,
        "deform_conv2d",
        lambda image, offset, weight, **options: deform_conv2d(image, WithoutOneTap.apply(offset), weight, **options),
    )
    case = Case.load(TRAINING)
    with pytest.raises(AssertionError, match="of the values are off"):
        HANDLERS[case.meta["kind"]](case)
