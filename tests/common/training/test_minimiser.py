"""One optimiser step: which weights it leaves, and that nothing that is not finite gets into them."""

import math

import pytest
import torch
from torch import nn

from common.training.distributed import Processes
from common.training.minimiser import Minimiser

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def minimiser(network, amp="off"):
    return Minimiser(torch.optim.SGD(network.parameters(), 1.0), ALONE, amp)


def losses(network, factor=1.0):
    part = network(torch.ones(4, 3)).square().mean()
    return {"total": factor * part + 1, "part": part}


def test_a_step_is_the_optimisers_with_the_given_rate(network):
    before = network.weight.detach().clone()
    values = minimiser(network).step(found := losses(network), 0.25)
    assert values == {"total": found["total"].item(), "part": found["part"].item()}
    assert torch.equal(network.weight, before - 0.25 * network.weight.grad)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_never_reaches_the_backward_pass(network, factor):
    passed = []
    network.weight.register_hook(passed.append)
    before = network.weight.detach().clone()
    with pytest.raises(FloatingPointError, match=r"not finite \(total (nan|inf), part [\d.e-]+\)"):
        minimiser(network).step(losses(network, factor), 0.1)
    assert not passed
    assert torch.equal(network.weight, before)


def test_a_gradient_that_is_not_finite_leaves_the_weights(network):
    network.weight.register_hook(lambda gradient: gradient * math.nan)
    before = network.weight.detach().clone()
    with pytest.raises(FloatingPointError, match="loss or gradient is not finite"):
        minimiser(network).step(losses(network), 0.1)
    assert torch.equal(network.weight, before)


def test_gradients_are_changed_before_the_step(network):
    before = network.weight.detach().clone()
    minimiser(network).step(losses(network), 0.5, lambda: network.weight.grad.fill_(1.0))
    assert torch.allclose(network.weight, before - 0.5)


@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler")
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_a_state_of_any_precision_goes_on_in_fp16(network, amp):
    saved = minimiser(network, amp)
    saved.step(losses(network), 0.1)
    goes_on = minimiser(network, "fp16")
    goes_on.restore(saved.state())
    goes_on.step(losses(network), 0.1)
    assert goes_on.scaler.get_scale() == 65536
    minimiser(network).restore(goes_on.state())  # and back
