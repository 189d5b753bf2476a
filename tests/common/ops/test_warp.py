"""Backward warping: known motions, borders, gradients, autocast."""

from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

from common.ops.warp import backward_warp


def constant_flow(x, y, height, width, batch=1, dtype=torch.float32):
    return torch.tensor([x, y], dtype=dtype).view(1, 2, 1, 1).expand(batch, 2, height, width).clone()


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_zero_flow_changes_nothing(padding, mode):
    image = torch.rand(2, 3, 17, 24)
    warped = backward_warp(image, torch.zeros(2, 2, 17, 24), padding=padding, mode=mode)
    torch.testing.assert_close(warped, image, atol=2e-5, rtol=0)


def test_integer_flow_moves_pixels():
    image = torch.rand(1, 3, 20, 30)
    warped = backward_warp(image, constant_flow(3.0, -2.0, 20, 30), padding="zeros")
    expected = torch.zeros_like(image)
    expected[..., 2:, :-3] = image[..., :-2, 3:]  # out(p) = image(p + (3, -2))
    torch.testing.assert_close(warped, expected, atol=2e-5, rtol=0)


def test_padding_decides_what_lies_outside():
    image = torch.rand(1, 1, 8, 8) + 1
    flow = constant_flow(100.0, 0.0, 8, 8)
    assert not backward_warp(image, flow, padding="zeros").any()
    border = backward_warp(image, flow, padding="border")
    torch.testing.assert_close(border, image[..., -1:].expand_as(image), atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    image = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    warped = backward_warp(image, constant_flow(0.5, 0.0, 9, 9), padding="zeros")
    torch.testing.assert_close(warped[..., :-1], (image[..., :-1] + image[..., 1:]) / 2)


def test_one_pixel_wide_image():
    image = torch.rand(1, 2, 5, 1)
    assert torch.isfinite(backward_warp(image, torch.zeros(1, 2, 5, 1), padding="border")).all()


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_gradients(padding):
    torch.manual_seed(0)
    image = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    flow = (0.3 + 0.4 * torch.rand(1, 2, 5, 6, dtype=torch.float64)).requires_grad_()
    assert gradcheck(lambda *inputs: backward_warp(*inputs, padding=padding), (image, flow))


def test_grid_stays_float32_under_autocast():
    image = torch.linspace(0, 1, 1920).expand(1, 1, 2, 1920).clone()
    flow = constant_flow(-0.3, 0.0, 2, 1920)
    plain = backward_warp(image, flow, padding="border")
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(backward_warp(image, flow, padding="border"), plain, atol=0, rtol=0)
    low = backward_warp(image.bfloat16(), flow, padding="border")
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(
        low.float(), plain, atol=4e-3, rtol=0
    )  # bfloat16 coordinates would be 1e-3 pixels x 1920


@pytest.mark.parametrize("shape", [(1, 2, 8, 9), (2, 2, 8, 8), (1, 3, 8, 8)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match="does not fit"):
        backward_warp(torch.rand(1, 3, 8, 8), torch.zeros(shape), padding="zeros")


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_flow_that_is_no_number_is_safe_and_shows_in_the_gradient(padding, value):
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    scale = torch.ones(2, 3, 1, 1, requires_grad=True)
    flow = torch.nn.functional.conv2d(torch.full((1, 3, 64, 64), value), scale)
    backward_warp(image, flow, padding=padding).sum().backward()
    assert not scale.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.torch.jit.trace:DeprecationWarning")
def test_traced_it_warps_frames_of_another_size():
    warp = partial(backward_warp, padding="border")
    traced = torch.jit.trace(lambda *x: warp(*x), (torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)), check_trace=False)
    image, flow = torch.rand(2, 3, 17, 24), 4 * torch.randn(2, 2, 17, 24)
    torch.testing.assert_close(traced(image, flow), warp(image, flow), atol=2e-5, rtol=0)
