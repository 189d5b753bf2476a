"""PVDNet's losses: their scale, and what a flow that leaves the frame counts for."""

import pytest
import torch

from pvdnet.losses import FLOWS, blur_invariant_error, blur_invariant_loss, frame_psnr, image_loss


def test_the_image_loss_is_that_of_the_network_s_range():
    result, gt = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert image_loss(result, gt).item() == pytest.approx(((2 * result - 1) - (2 * gt - 1)).square().mean().item())
    assert frame_psnr(gt + 0.1, gt).item() == pytest.approx(20, abs=1e-3)


def test_the_true_flow_has_no_error_and_what_leaves_the_frame_does_not_count():
    big = torch.rand(1, 3, 8, 20)
    previous, current = big[..., 2:18], big[..., 4:20]  # what is at x was at x + 2
    flow = torch.zeros(1, 2, 8, 16)
    flow[:, 0] = 2
    error, warped, mask = blur_invariant_error(flow, previous, current)
    assert error.item() < 1e-9
    assert mask[0, 0, 0].round().tolist() == [1] * 14 + [0] * 2
    torch.testing.assert_close(warped[..., :14], current[..., :14], atol=1e-5, rtol=0)
    assert blur_invariant_error(0 * flow, previous, current)[0] > 0.01
    flows = {f"flow_{name}": flow for name in FLOWS}
    still = flows | {"flow_sb": 0 * flow}
    quarter = blur_invariant_error(0 * flow, previous, current)[0] / 4
    assert blur_invariant_loss(still, previous, current).item() == pytest.approx(quarter.item(), rel=1e-4)
