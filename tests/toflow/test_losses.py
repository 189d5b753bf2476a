"""TOFlow's losses by their formulas, and what its mask learns from."""

import pytest
import torch

from toflow.losses import VISIBLE, charbonnier, l1, mask_labels


def test_losses_equal_their_formulas():
    torch.manual_seed(0)
    prediction, target = torch.rand(2, 2, 3, 5, 7)
    difference = [a - b for a, b in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True)]
    assert l1(prediction, target).item() == pytest.approx(sum(map(abs, difference)) / len(difference))
    for epsilon in (1e-12, 0.01):
        expected = sum((d * d + epsilon) ** 0.5 for d in difference) / len(difference)
        assert charbonnier(prediction, target, epsilon).item() == pytest.approx(expected)
    assert charbonnier(target, target).item() == pytest.approx(1e-6)
    prediction = target.clone().requires_grad_()
    charbonnier(prediction, target).backward()
    assert torch.isfinite(prediction.grad).all()


def test_mask_labels_of_an_occlusion():
    """A bright square that the last frame has not, on a grey ground that goes 4 pixels to the right a step."""
    torch.manual_seed(0)
    ground = 0.3 + 0.02 * torch.rand(3, 12, 40)
    frames = torch.stack((ground[:, :, 8:32], ground[:, :, :24]))[None]
    target = ground[None, :, :, 4:28].clone()
    frames[0, 0, :, 3:6, 6:9] = 0.9
    target[0, :, 3:6, 10:13] = 0.9
    flows = torch.zeros(1, 2, 2, 12, 24)
    flows[:, 0, 0], flows[:, 1, 0] = -4, 4
    labels = mask_labels(frames, target, flows)
    expected = torch.ones(1, 2, 1, 12, 24)
    expected[0, 0, :, :, :4] = 0  # it was not in the picture yet
    expected[0, 1, :, :, -4:] = 0  # it has left
    expected[0, 1, :, 3:6, 10:13] = 0
    assert torch.equal(labels, expected)
    near = frames[:, :1].expand(-1, 2, -1, -1, -1)
    still = torch.zeros_like(flows)
    assert mask_labels(near, near[:, 0] + 0.9 * VISIBLE, still).all()
    assert not mask_labels(near, near[:, 0] + 1.1 * VISIBLE, still).any()
