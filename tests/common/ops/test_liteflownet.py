"""LiteFlowNet: its size, its warp, flow of any size, what is refused."""

import pytest
import torch
import torch.nn.functional as F

from common.checkpoints import checkpoint_file
from common.ops.liteflownet import LEVELS, LiteFlowNet, _warp, _windows, estimate_flow
from tests.helpers.networks import lively_liteflownet


@pytest.fixture(scope="module")
def network():
    return lively_liteflownet()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 2, 3, 45, 70, generator=torch.Generator().manual_seed(1))


def test_flow_of_any_size_is_that_of_the_resized_images_brought_back(network, images):
    flow = estimate_flow(network, *images)
    assert flow.shape == (2, 2, 45, 70)
    assert not flow.requires_grad
    means = torch.tensor([[0.411618, 0.434631, 0.454253], [0.410782, 0.433645, 0.452793]]).view(2, 1, 3, 1, 1)
    inner = torch.stack([F.interpolate(image, (64, 96), mode="bilinear", align_corners=False) for image in images])
    with torch.no_grad():
        half = network(*(inner - means))
    full = F.interpolate(half, (45, 70), mode="bilinear", align_corners=False)
    assert torch.allclose(flow, full * torch.tensor([70 / 96, 45 / 64]).view(2, 1, 1), atol=1e-6)


def test_channels_and_batches(network, images):
    flow = estimate_flow(network, *images)
    reversed_ = estimate_flow(network, *images.flip(2), channels="bgr")
    assert torch.equal(flow, reversed_)
    assert not torch.allclose(flow, estimate_flow(network, *images, channels="bgr"), atol=1e-4)
    single = estimate_flow(network, *images[:, 1:])
    assert torch.allclose(single, flow[1:], atol=1e-4)


def test_wrong_arguments(network, images):
    with pytest.raises(ValueError, match="channels 'grb': expected 'rgb' or 'bgr'"):
        estimate_flow(network, *images, channels="grb")
    with pytest.raises(ValueError, match="expected one shape"):
        estimate_flow(network, images[0], images[1, ..., 1:])


@pytest.mark.parametrize("level", LEVELS)
def test_half_pixel_warp_is_the_mixed_normalisation(level):
    """Pixel centres plus a flow over (size - 1)/2, read without aligned corners."""
    draw = torch.Generator().manual_seed(level)
    image, flow = torch.rand(2, 3, 12, 17, generator=draw), 0.4 * torch.randn(2, 2, 12, 17, generator=draw)
    y, x = (2 * torch.arange(12) + 1) / 12 - 1, (2 * torch.arange(17) + 1) / 17 - 1
    pixels = 20 / 2 ** (level - 1) * flow
    grid = torch.stack((x + pixels[:, 0] / 8, y[:, None] + pixels[:, 1] / 5.5), -1)
    expected = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    assert torch.allclose(_warp(image, flow, level, True), expected, atol=1e-5)
    assert not torch.allclose(_warp(image, flow, level, False), expected, atol=1e-2)


def test_bimnet_warps_as_before(network):
    plain = LiteFlowNet()
    checkpoint_file.load_strict(plain, network.state_dict())
    assert all(not module.half_pixel_warp for module in plain.modules() if hasattr(module, "half_pixel_warp"))
    assert sum(hasattr(module, "half_pixel_warp") for module in plain.modules()) == 15


def test_liteflownet_refuses_other_sizes():
    with pytest.raises(ValueError, match="multiples of 32"):
        LiteFlowNet()(*torch.rand(2, 1, 3, 64, 68))


def test_maps_are_half_as_large_and_in_float32_whatever_the_precision(network):
    first, second = torch.rand(2, 1, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        flow = network(first, second)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(first, second)
    assert flow.shape == (1, 2, 32, 48)
    assert flow.dtype == low.dtype == torch.float32
    assert flow.abs().max() > 0.1
    assert low.isfinite().all()


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("size", [3, 7])
def test_windows_of_an_exporter_are_those_of_unfold(size):
    flow = torch.rand(2, 2, 9, 12)
    traced = torch.jit.trace(lambda x: _windows(x, size), torch.rand(1, 2, 8, 8), check_trace=False)
    assert torch.equal(traced(flow), _windows(flow, size))
    assert torch.equal(_windows(flow, size)[..., size // 2, size // 2], flow)
