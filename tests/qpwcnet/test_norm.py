"""QPWCNet's batch normalisation."""

import torch

from qpwcnet.norm import Norm


def test_norm_is_batch_normalisation_whose_running_variance_is_biased():
    torch.manual_seed(0)
    ours, theirs = Norm(5), torch.nn.BatchNorm2d(5, eps=1e-3, momentum=0.01)
    x = torch.randn(3, 5, 2, 4) * 3 + 1
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert torch.allclose(ours.running_mean, theirs.running_mean)
    count = x.numel() / 5
    assert torch.allclose(ours.running_var - 0.99, (theirs.running_var - 0.99) * (count - 1) / count, atol=1e-6)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=0.05)


@torch.no_grad()
def test_a_frozen_norm_trains_as_it_is_used():
    torch.manual_seed(0)
    norm, x = Norm(4), torch.randn(2, 4, 6, 6) * 3 + 1
    used = norm.eval()(x)
    norm.train().frozen = True
    torch.testing.assert_close(norm(x), used, rtol=0, atol=0)
    assert norm.running_mean.abs().max() == 0
    norm.frozen = False
    assert norm(x).mean().abs() < 1e-6 < used.mean().abs()
