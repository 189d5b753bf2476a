"""The moving average of weights against its formula; it is applied, saved and restored."""

import copy

import pytest
import torch
from torch import nn

from common.training.weight_average import WeightAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def walk(net, average, steps, first=0):
    """Change the weights at random and average; returns the weights after each step."""
    seen = []
    for step in range(first + 1, first + steps + 1):
        torch.manual_seed(step)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter))
        net(torch.randn(2, 1, 5, 5))  # changes the running statistics and their counter
        average.update(step)
        seen.append(copy.deepcopy(net.state_dict()))
    return seen


def test_it_is_the_sum_that_the_formula_gives():
    net = network()
    expected = {key: value.double() for key, value in net.state_dict().items()}
    average = WeightAverage(net, 0.9)
    for step, weights in enumerate(walk(net, average, 200), 1):
        decay = min(0.9, (1 + step) / (10 + step))
        for key, value in weights.items():
            expected[key] = decay * expected[key] + (1 - decay) * value.double()
    for key, value in average.weights().items():
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected[key], atol=1e-5), key
    assert average.weights()["1.num_batches_tracked"] == 200


def test_applied_it_is_the_networks_and_then_no_more():
    net = network()
    average = WeightAverage(net, 0.5)
    own = walk(net, average, 3)[-1]
    with average.applied():
        assert all(torch.equal(value, average.weights()[key]) for key, value in net.state_dict().items())
        assert not torch.equal(net.state_dict()["0.weight"], own["0.weight"])
    assert all(torch.equal(value, own[key]) for key, value in net.state_dict().items())


def test_restored_it_goes_on_to_the_same_bits():
    whole, part = network(), network()
    average = WeightAverage(whole, 0.9)
    walk(whole, average, 8)
    first = WeightAverage(part, 0.9)
    walk(part, first, 5)
    saved = copy.deepcopy((first.weights(), first.state()))
    again = network()
    second = WeightAverage(again, 0.9)
    again.load_state_dict(saved[0])
    second.restore(saved[1])
    walk(again, second, 3, first=5)
    for one, other in ((average.weights(), second.weights()), (whole.state_dict(), again.state_dict())):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_without_a_decay_it_is_the_network_itself():
    net = network()
    average = WeightAverage(net, 0)
    weights = walk(net, average, 2)[-1]
    assert average.state() == {}
    assert all(torch.equal(average.weights()[key], weights[key]) for key in weights)
    with average.applied():
        assert torch.equal(net.state_dict()["0.weight"], weights["0.weight"])


@pytest.mark.parametrize("before", [0, 0.9])
def test_an_average_may_begin_or_end_at_a_resume(before):
    net = network()
    average = WeightAverage(net, before)
    plain = walk(net, average, 4)[-1]
    saved = copy.deepcopy((average.weights(), average.state()))
    net.load_state_dict(saved[0])
    after = WeightAverage(net, 0 if before else 0.9)
    after.restore(saved[1])
    assert all(torch.equal(value, plain[key]) for key, value in net.state_dict().items())
