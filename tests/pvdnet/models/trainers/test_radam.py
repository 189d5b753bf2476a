"""Rectified Adam: the decay is subtracted, what has no gradient stays."""

import torch

from pvdnet.models.trainers.radam import RAdam


def test_it_decays_first_and_is_pytorchs_otherwise():
    torch.manual_seed(0)
    start = torch.randn(50)
    ours, plain, frozen = (torch.nn.Parameter(start.clone()) for _ in range(3))
    with_decay = RAdam([ours, frozen], 1e-2, (0.9, 0.999), decay=0.1)
    without = torch.optim.RAdam([plain], 1e-2, (0.9, 0.999))
    for _ in range(8):  # from the sixth step on it is adaptive
        ours.grad = torch.randn(50)
        plain.grad = ours.grad.clone()
        with torch.no_grad():
            plain.sub_(1e-2 * 0.1 * plain)
        with_decay.step()
        without.step()
    torch.testing.assert_close(ours, plain, atol=1e-6, rtol=0)
    assert torch.equal(frozen, start)
