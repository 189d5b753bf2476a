"""IFRNet's losses against plain formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from ifrnet.losses import census_distance, charbonnier, distillation, geometry, robust_weight, ternary, training_losses


def plain_census(first, second, window):
    """As the paper writes it: windows by unfold, every neighbour by itself."""
    reach, (batch, channels, height, width) = window // 2, first.shape

    def transform(x):
        x = x.reshape(batch * channels, 1, height, width)
        values = F.unfold(x, window, padding=reach).view(batch * channels, window**2, height, width) - x
        return values / torch.sqrt(0.81 + values**2)

    square = (transform(first) - transform(second)) ** 2
    distance = (square / (0.1 + square)).mean(1, keepdim=True)
    mask = torch.zeros(height, width, dtype=first.dtype)
    mask[reach : height - reach, reach : width - reach] = 1
    return (distance * mask).mean()


@pytest.mark.parametrize("window", [3, 7])
def test_census_equals_the_plain_formula(window):
    torch.manual_seed(1)
    first, second = torch.rand(2, 2, 3, 11, 9, dtype=torch.float64)
    first.requires_grad_()
    found, plain = census_distance(first, second, window), plain_census(first, second, window)
    torch.testing.assert_close(found, plain)
    torch.testing.assert_close(*(torch.autograd.grad(loss, first)[0] for loss in (found, plain)))
    assert census_distance(first[..., :2, :2], second[..., :2, :2], window) == 0


def test_census_gradients():
    torch.manual_seed(1)
    pair = torch.rand(2, 1, 2, 6, 5, dtype=torch.float64).requires_grad_().unbind(0)
    assert torch.autograd.gradcheck(geometry, pair)
    prediction, target = (torch.rand(1, 3, 9, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x: ternary(x, target), prediction)
    ternary(prediction, target).backward()
    assert target.grad is None


def test_distillation_weighs_by_agreement():
    flow, label = torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 3.0)
    weight = robust_weight(flow, label)
    assert weight[0, 0, 0, 0] == pytest.approx(math.exp(-0.3 * math.sqrt(18)))
    assert distillation(flow, label, torch.ones(1, 1, 4, 4)).item() == pytest.approx(3, abs=1e-5)  # about |d|
    assert distillation(flow, label, torch.zeros(1, 1, 4, 4)).item() == 1  # flat
    assert charbonnier(flow, flow).item() == pytest.approx(1e-3)


def test_believed_labels_teach_flows_that_are_far_away():
    outputs = {f"{name}_{level}": torch.zeros(1, 2, 16 >> level - 1, 16 >> level - 1, requires_grad=True)
               for name in ("flow0", "flow1") for level in (1, 2, 3, 4)}  # fmt: skip
    outputs |= {"pred": torch.zeros(1, 3, 16, 16)} | {f"feat{level}": torch.zeros(1, 2, 4, 4) for level in (1, 2, 3)}
    gradients = []
    for believed in (False, True):
        loss = training_losses(
            outputs, torch.zeros(1, 3, 16, 16), [torch.zeros(1, 2, 4, 4)] * 3, torch.full((1, 4, 16, 16), 9.0),
            believed=believed,
        )["loss_dis"]  # fmt: skip
        gradients.append(torch.autograd.grad(loss, outputs["flow0_4"])[0].abs().sum().item())
    assert gradients[1] > 50 * gradients[0]
