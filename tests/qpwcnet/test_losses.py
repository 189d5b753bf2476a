"""QPWCNet's and PWC-Net's losses against plain formulas."""

import numpy as np
import pytest
import torch

from qpwcnet import losses


@pytest.mark.parametrize("loss", losses.FLOW_LOSSES.values(), ids=list(losses.FLOW_LOSSES))
def test_flow_losses_measure_in_pixels_of_the_prediction(loss):
    label = torch.tensor([8.0, -4.0]).view(1, 2, 1, 1).expand(2, 2, 16, 32)
    right, wrong = (torch.tensor(x).view(1, 2, 1, 1).expand(2, 2, 4, 8) for x in ([2.0, -1.0], [8.0, -4.0]))
    least = 0.01**0.4 if loss is losses.flow_robust else 0.0
    assert loss(right, label).item() == pytest.approx(least, abs=1e-6)
    assert loss(wrong, label) > least + 0.05


def test_losses_have_finite_gradients_where_the_prediction_is_right():
    label = torch.full((1, 2, 8, 8), 3.0)
    for loss in (*losses.FLOW_LOSSES.values(), losses.epe):
        pred = label.clone().requires_grad_()
        loss(pred, label).backward()
        assert (pred.grad == 0).all()
    label = torch.full((1, 2, 64, 64), 40.0)
    flows = [torch.full((1, 2, 64 >> n, 64 >> n), 2.0, requires_grad=True) for n in range(2, 7)]
    for robust in (False, True):
        losses.pwc_multiscale(flows, label, robust).backward()
    assert all((flow.grad == 0).all() for flow in flows)


def test_huber_by_hand():
    label, pred = torch.zeros(1, 2, 4, 6), torch.zeros(1, 2, 4, 6)
    pred[0, 0, 0, 0], pred[0, 1, 2, 3] = 0.2, -3.0  # times 2 / (4 + 6): 0.04 is below 0.1, 0.6 above
    expected = (0.5 * 0.04**2 + 0.1 * 0.6 - 0.5 * 0.1**2) / 48
    assert losses.flow_huber(pred, label).item() == pytest.approx(expected, rel=1e-5)


def test_pwc_loss_sums_pixels_and_averages_the_batch():
    label = torch.zeros(3, 2, 64, 128)
    flows = [torch.zeros(3, 2, 64 >> n, 128 >> n) for n in range(2, 7)]
    flows[1][2, :, 4, 5] = torch.tensor([3.0, -4.0])  # one pixel of level 3 in one of three samples
    assert losses.pwc_multiscale(flows, label).item() == pytest.approx(0.01 * 5 / 3, rel=1e-5)


def test_losses_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="10x16 to 4x8: expected whole multiples"):
        losses.flow_huber(torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 16, 10))
    with pytest.raises(ValueError, match="levels 2 to 6, got 4"):
        losses.pwc_multiscale([torch.zeros(1, 2, 4, 4)] * 4, torch.zeros(1, 2, 16, 16))


def test_l2_penalty():
    draw = np.random.default_rng(1)
    kernels = [torch.from_numpy(draw.normal(0, 1, shape)).float().requires_grad_() for shape in ((2, 3), (4,))]
    penalty = losses.l2_penalty(kernels)
    assert penalty.item() == pytest.approx(4e-6 * sum((k.detach().numpy() ** 2).sum() for k in kernels), rel=1e-5)
    penalty.backward()
    assert torch.allclose(kernels[0].grad, 8e-6 * kernels[0].detach())
