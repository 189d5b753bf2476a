"""Deformable convolution: how much memory it takes, other types of numbers, and compiled."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from common.ops.deform_conv import BORDERS, deform_conv2d
from tests.helpers.deform_conv import draw


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("chunk", [1, 3000, 20_000])
@pytest.mark.parametrize("kept", [0, 10**9])
def test_parts_equal_the_whole(border, chunk, kept):
    """By rows, by images; kept for the backward pass or made again."""
    arguments = draw(batch=3, channels=4, size=(7, 8), padding=1, dtype=torch.float32)
    results = []
    for how in ({"chunk": 10**9}, {"chunk": chunk, "kept": kept}):
        inputs = [x.clone().requires_grad_() for x in arguments]
        y = deform_conv2d(*inputs, padding=1, border=border, **how)
        (y * torch.arange(y.numel()).view_as(y)).sum().backward()
        results.append([y, *(x.grad / 1000 for x in inputs)])
        with torch.no_grad():
            torch.testing.assert_close(deform_conv2d(*inputs, padding=1, border=border, **how), y)
    for whole, parts in zip(*results, strict=True):
        torch.testing.assert_close(parts, whole)


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation returns."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else (result,):
            if isinstance(x, torch.Tensor):
                self.size = max(self.size, x.numel() * x.element_size())
        return result


SIDE, WIDE = 16, 32  # pixels, channels
ROW = WIDE * 9 * SIDE * 4  # bytes of a row of columns


def plain_case():
    image, offset, weight, _, _ = draw(1, WIDE, (SIDE, SIDE), 4, count=1, padding=1, dtype=torch.float32)
    return image, offset, weight


@pytest.mark.parametrize("rows", [3, 8, SIDE])
def test_columns_are_no_larger_than_asked(rows):
    image, offset, weight = plain_case()
    with torch.no_grad(), Largest() as seen:
        deform_conv2d(image, offset, weight, padding=1, chunk=rows * ROW)
    assert seen.size == rows * ROW


def test_columns_have_at_least_a_row():
    image, offset, weight = plain_case()
    with torch.no_grad(), Largest() as seen:
        deform_conv2d(image, offset, weight, padding=1, chunk=1)
    assert seen.size < 3 * ROW  # the image itself is larger than a row


def test_columns_made_again_are_not_kept():
    sizes = {}
    for kept in (0, 10**9):
        image, offset, weight = (x.requires_grad_() for x in plain_case())
        held = []
        with Largest() as seen:
            with saved_tensors_hooks(lambda x, held=held: held.append(x.numel() * x.element_size()) or x, lambda x: x):
                y = deform_conv2d(image, offset, weight, padding=1, chunk=8 * ROW, kept=kept)
            y.sum().backward()
        assert seen.size == 8 * ROW
        sizes[kept] = sum(held)
    assert sizes[10**9] > SIDE * ROW
    assert sizes[0] < SIDE * ROW


# Types of numbers


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_inputs_of_half_the_bits(dtype):
    """Positions and samples are float32: only inputs, columns and the product are rounded."""
    image, offset, weight, bias, mask = draw(padding=1, dtype=torch.float32)
    given = [x.to(dtype) for x in (image, offset, weight, bias, mask)]
    found = deform_conv2d(*given, padding=1)
    assert found.dtype == dtype
    expected = deform_conv2d(*(x.float() for x in given), padding=1)
    torch.testing.assert_close(found.float(), expected, atol=3 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [(2, 1300), (1300, 2)])
def test_autocast_keeps_positions_exact(border, size):
    """At 1300 pixels bfloat16 has steps of 8 pixels; only rounding of samples and products may show."""
    image, offset, weight, bias, _ = draw(size=size, padding=1, reach=1.0, dtype=torch.float32)
    expected = deform_conv2d(image, offset, weight, bias, padding=1, border=border)
    with torch.autocast("cpu", torch.bfloat16):
        found = deform_conv2d(image, offset, weight, bias, padding=1, border=border)
        half = deform_conv2d(image.bfloat16(), offset, weight, bias, padding=1, border=border)
        rounded = offset.bfloat16()  # as a convolution under autocast tells them
        told = deform_conv2d(image.bfloat16(), rounded, weight, bias, padding=1, border=border)
    assert found.dtype == half.dtype == told.dtype == torch.bfloat16
    right = deform_conv2d(image, rounded.float(), weight, bias, padding=1, border=border)
    torch.testing.assert_close(told.float(), right, atol=0.03, rtol=0)
    for result in (found, half):
        torch.testing.assert_close(result.float(), expected, atol=0.03, rtol=0)


def test_autocast_has_gradients():
    inputs = [x.requires_grad_() for x in draw(padding=1, dtype=torch.float32)]
    expected = torch.autograd.grad(deform_conv2d(*inputs, padding=1).sum(), inputs)
    for how in ({}, {"chunk": 1, "kept": 0}):
        with torch.autocast("cpu", torch.bfloat16):
            y = deform_conv2d(*inputs, padding=1, **how)
        for found, right in zip(torch.autograd.grad(y.float().sum(), inputs), expected, strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, right, atol=0.05, rtol=0.02)


def test_wide_images_are_as_exact_as_float32_positions_are():
    """At 2000 pixels a float32 has steps of 1/8192 pixel."""
    image, offset, weight, _, _ = draw(size=(3, 2000), padding=1, reach=1.0)
    expected = deform_conv2d(image, offset, weight, padding=1)
    for exact in (False, True):
        narrow = [x.float().requires_grad_(exact) for x in (image, offset, weight)]
        found = deform_conv2d(*narrow, padding=1)
        torch.testing.assert_close(found.detach().double(), expected, atol=1e-3, rtol=0)


# Compiled


def test_compiled():
    def function(*inputs):
        return deform_conv2d(*inputs, padding=1, border="tdan")

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    inputs = [x.requires_grad_() for x in draw(size=(2, 3), padding=1, dtype=torch.float32)]
    found, expected = compiled(*inputs), function(*inputs)
    torch.testing.assert_close(found, expected)
    for x, y in zip(*(torch.autograd.grad(y.sum(), inputs) for y in (found, expected)), strict=True):
        torch.testing.assert_close(x, y)
    torch._dynamo.reset()
