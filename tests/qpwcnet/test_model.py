"""QPWCNet's networks: their norms, sizes, and what weights belong to."""

import pytest
import torch

from qpwcnet.model import COSTS, MATCHES, Flower, Interpolator, cost_volume

FILTERS = (4, 4, 4, 8, 8)


@torch.no_grad()
def test_flows_at_every_level_and_at_any_size():
    torch.manual_seed(0)
    network = Flower(FILTERS).eval()
    outputs = network(*torch.rand(2, 1, 3, 32, 64))
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        f"flow_{k}": (1, 2, 32 >> (5 - k), 64 >> (5 - k)) for k in range(6)
    }
    with pytest.raises(ValueError, match="32"):
        network(*torch.rand(2, 1, 3, 33, 64))
    assert network.estimate(*torch.rand(2, 1, 3, 33, 50)).shape == (1, 2, 33, 50)


@torch.no_grad()
def test_a_size_for_the_scale_makes_flows_independent_of_the_frames():
    torch.manual_seed(0)
    own, held = Flower(FILTERS).eval(), Flower(FILTERS, scale_size=(64, 128)).eval()
    held.load_state_dict(own.state_dict() | {"settings": held.settings})
    pair = torch.rand(2, 1, 3, 32, 64)
    torch.testing.assert_close(held(*pair)["flow_0"], 2 * own(*pair)["flow_0"])


@torch.no_grad()
def test_the_original_order_of_flows_is_the_other_one():
    torch.manual_seed(0)
    original, fixed = Interpolator(FILTERS).eval(), Interpolator(FILTERS, flow_order="fixed").eval()
    fixed.load_state_dict(original.state_dict() | {"settings": fixed.settings})
    pair = torch.rand(2, 1, 3, 32, 64)
    swapped, right = original(*pair), fixed(*pair)
    assert torch.equal(swapped["flow_01_0"], right["flow_10_0"])
    assert not torch.equal(swapped["img_5"], right["img_5"])
    assert original.between(*pair).shape == (1, 3, 32, 64)


@torch.no_grad()
def test_a_cosine_finds_what_a_product_misses():
    """The best match of a position is what points the same way from the mean of both frames, not what is longest."""
    torch.manual_seed(0)
    first = torch.randn(1, 6, 8, 8) * torch.linspace(1, 9, 64).view(1, 1, 8, 8) + 3
    costs = {match: cost_volume(first, first, match)[0] for match in MATCHES}
    middle = COSTS // 2  # displacement of zero
    assert (costs["cosine"].argmax(0) == middle).all()
    torch.testing.assert_close(costs["cosine"][middle], torch.ones(8, 8))
    assert (costs["product"].argmax(0) == middle).float().mean() < 0.7
