"""Deformable convolution against one written out tap by tap, its slopes, its memory, and other types of numbers."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from common.ops.deform_conv import BORDERS, deform_conv2d

DOUBLE = torch.float64


def draw(batch=1, channels=4, size=(6, 7), outputs=3, kernel=(3, 3), count=2, reach=2.0, seed=0, dtype=DOUBLE, **how):
    """Image, offsets, weight, bias and mask; positions lie at least 0.05 pixels from whole ones and whole ones + H."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator, dtype=DOUBLE)

    stride, padding, dilation = (
        pair if isinstance(pair, tuple) else (pair, pair)
        for pair in (how.get("stride", 1), how.get("padding", 0), how.get("dilation", 1))
    )
    h, w = (
        (size[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in (0, 1)
    )  # positions of the output
    taps = kernel[0] * kernel[1]
    shape = (batch, 2 * count * taps, h, w)
    offset = (rand(*shape) * (2 * reach) - reach).floor() + 0.05 + 0.9 * rand(*shape)
    image = rand(batch, channels, *size) - 0.5
    weight = rand(outputs, channels // how.get("groups", 1), *kernel) - 0.5
    bias, mask = rand(outputs), rand(batch, count * taps, h, w)
    return [x.to(dtype) for x in (image, offset, weight, bias, mask)]


def bilinear(image, y, x, border):
    """One sample of an image (a list of rows) by the words of the two rules."""
    height, width = len(image), len(image[0])
    if border == "tdan":
        if not (0 <= y < height and 0 <= x < width):
            return 0.0
        y, x = min(y, height - 1), min(x, width - 1)
    elif not (-1 < y < height and -1 < x < width):
        return 0.0
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            total += image[row][column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def twin(image, offset, weight, bias, mask, stride=1, padding=0, dilation=1, groups=1, border="torchvision"):
    """Every output pixel, channel and tap on its own."""
    stride, padding, dilation = (x if isinstance(x, tuple) else (x, x) for x in (stride, padding, dilation))
    batch, channels = image.shape[:2]
    outputs, per_group, kh, kw = weight.shape
    count = offset.shape[1] // (2 * kh * kw)
    images, offsets = image.tolist(), offset.tolist()
    result = torch.zeros(batch, outputs, *offset.shape[2:], dtype=DOUBLE)
    for n, channel, i, j in itertools.product(range(batch), range(channels), range(kh), range(kw)):
        group = channel // (channels // count)
        tap = i * kw + j
        own = [o for o in range(outputs) if o // (outputs // groups) == channel // per_group]
        for a, b in itertools.product(*map(range, offset.shape[2:])):
            first = group * 2 * kh * kw + 2 * tap
            y = a * stride[0] - padding[0] + i * dilation[0] + offsets[n][first][a][b]
            x = b * stride[1] - padding[1] + j * dilation[1] + offsets[n][first + 1][a][b]
            value = bilinear(images[n][channel], y, x, border)
            if mask is not None:
                value *= mask[n, group * kh * kw + tap, a, b].item()
            if value:
                result[n, own, a, b] += value * weight[own, channel % per_group, i, j]
    return result if bias is None else result + bias[:, None, None]


SHAPES = [  # of the arguments, and of the convolution
    ({}, {"padding": 1}),
    ({"count": 1, "reach": 5.0}, {"padding": 1}),
    ({"batch": 3, "size": (4, 5), "count": 4}, {"padding": (0, 1)}),
    ({"size": (9, 8)}, {"stride": 2, "padding": 2, "dilation": 2}),
    ({"kernel": (1, 3), "size": (4, 9), "count": 4}, {"stride": (1, 2), "padding": (0, 2), "dilation": (1, 2)}),
    ({"kernel": (2, 1), "outputs": 4}, {"groups": 2, "padding": (1, 0)}),
    ({"kernel": (1, 1), "size": (1, 1), "reach": 1.0, "outputs": 4}, {"groups": 4}),
]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize(("shape", "how"), SHAPES)
def test_equals_the_twin(shape, how, modulated, border):
    image, offset, weight, bias, mask = draw(**shape, **how)
    bias, mask = (bias, mask) if modulated else (None, None)
    found = deform_conv2d(image, offset, weight, bias, mask, border=border, **how)
    torch.testing.assert_close(found, twin(image, offset, weight, bias, mask, border=border, **how))


def positions_for(values, size=(4, 5)):
    """Offsets of a 1x1 kernel that put the pixels' taps at given places down and to the right."""
    places = torch.tensor(values, dtype=DOUBLE)
    offset = torch.full((1, 2, *size), -9.0, dtype=DOUBLE)
    for k, (y, x) in enumerate(places.tolist()):
        row, column = divmod(k, size[1])
        offset[0, :, row, column] = torch.tensor([y - row, x - column], dtype=DOUBLE)
    return offset


EDGES = [-2.0, -1.0, -0.75, -0.25, 0.0, 2.0, 2.25, 3.0, 3.5, 4.0]  # of an axis with 4 pixels


@pytest.mark.parametrize("border", BORDERS)
def test_at_the_borders(border):
    image = torch.rand(1, 1, 4, 4, dtype=DOUBLE) + 1
    for y in EDGES:
        offset = positions_for([(y, x) for x in EDGES], (4, 4))
        weight = torch.ones(1, 1, 1, 1, dtype=DOUBLE)
        found = deform_conv2d(image, offset, weight, border=border)
        torch.testing.assert_close(found, twin(image, offset, weight, None, None, border=border))


def test_the_rules_differ_where_they_are_said_to():
    image, one = torch.rand(1, 1, 4, 4, dtype=DOUBLE) + 1, torch.ones(1, 1, 1, 1, dtype=DOUBLE)
    places = [(-0.5, 1), (1, -0.5), (0, 0), (1.5, 2.5), (3, 3), (3.5, 1), (1, 3.5), (3.5, 3.75), (4, 1), (-1, 1)]
    offset = positions_for(places, (4, 4))
    faded, jumped = (deform_conv2d(image, offset, one, border=border).flatten()[: len(places)] for border in BORDERS)
    pixels = image[0, 0]
    zero = torch.tensor(0.0, dtype=DOUBLE)
    middle = pixels[1:3, 2:4].mean()
    half = [pixels[0, 1] / 2, pixels[1, 0] / 2, pixels[0, 0], middle, pixels[3, 3], pixels[3, 1] / 2, pixels[1, 3] / 2]
    torch.testing.assert_close(faded, torch.stack([*half, pixels[3, 3] / 8, zero, zero]))
    whole = [zero, zero, pixels[0, 0], middle, pixels[3, 3], pixels[3, 1], pixels[1, 3], pixels[3, 3], zero, zero]
    torch.testing.assert_close(jumped, torch.stack(whole))


# Gradients


@pytest.mark.parametrize("border", BORDERS)
def test_gradients(border):
    """Numerically; positions lie off the kinks."""
    shape = {"stride": (1, 2), "padding": 1, "groups": 2}
    inputs = draw(channels=4, size=(2, 3), outputs=2, kernel=(2, 1), count=2, **shape)
    for x in inputs:
        x.requires_grad_()

    def function(*inputs):
        return deform_conv2d(*inputs, border=border, **shape)

    assert torch.autograd.gradcheck(function, inputs)


def slopes(border, y, dtype=torch.float32, side=4):
    """Slope of a sample over its place down and to the right, of a plane that rises by 1 and 10 per pixel."""
    ramp = torch.arange(side, dtype=dtype)
    image = (ramp[:, None] + 10 * ramp + 100)[None, None]
    offset = torch.zeros(1, 2, side, side, dtype=dtype)
    offset[0, 0, 1, 1] = y - 1
    offset.requires_grad_()
    deform_conv2d(image, offset, torch.ones(1, 1, 1, 1, dtype=dtype), border=border)[0, 0, 1, 1].backward()
    return offset.grad[0, :, 1, 1].tolist()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("side", [4, 5, 11, 37])
def test_slopes_at_whole_pixels(dtype, side):
    """Towards the bottom right; where zeros or a repeated row begin there is a kink."""
    last = side - 1
    value = 110 + last  # of the last row's pixel
    for border, expected in (
        ("torchvision", {-1: [0, 0], 0: [1, 10], 1: [1, 10], last - 1: [1, 10], last: [-value, 10], side: [0, 0]}),
        ("tdan", {-1: [0, 0], 0: [1, 10], 1: [1, 10], last - 1: [1, 10], last: [0, 10], side: [0, 0]}),
    ):
        for y, slope in expected.items():
            assert slopes(border, y, dtype, side) == pytest.approx(slope, abs=1e-3), (border, y)


def test_the_slope_at_zero_offsets_is_the_same_at_any_size():
    """Where training starts; rounding of positions must not choose the side."""
    for width in (17, 33, 50, 100, 113):
        image = torch.zeros(1, 1, 3, width)
        image[0, 0] = torch.rand(width)
        offset = torch.zeros(1, 2, 3, width, requires_grad=True)
        deform_conv2d(image, offset, torch.ones(1, 1, 1, 1)).sum().backward()
        right = F.pad(image[0, 0], (0, 1)).diff()
        torch.testing.assert_close(offset.grad[0, 1], right, atol=1e-4, rtol=0)


# What it is for special offsets


@pytest.mark.parametrize("border", BORDERS)
def test_zero_offsets_are_a_convolution(border):
    for shape, how in SHAPES:
        image, offset, weight, bias, _ = draw(**shape, **how, dtype=torch.float32)
        found = deform_conv2d(image, 0 * offset, weight, bias, border=border, **how)
        torch.testing.assert_close(found, F.conv2d(image, weight, bias, **how), atol=1e-5, rtol=0)


def test_whole_offsets_are_a_convolution_of_the_moved_image():
    image, offset, weight, _, _ = draw(channels=4, size=(9, 12), padding=1, dtype=torch.float32)
    down, right = 2, -3
    offset = offset.unflatten(1, (-1, 2)).clone()
    offset[:, :, 0], offset[:, :, 1] = down, right
    found = deform_conv2d(image, offset.flatten(1, 2), weight, padding=1)
    moved = F.pad(image, (5, 5, 5, 5))[:, :, 5 + down - 1 : 5 + down + 10, 5 + right - 1 : 5 + right + 13]
    torch.testing.assert_close(found, F.conv2d(moved, weight), atol=1e-5, rtol=0)


def test_every_group_has_its_offsets():
    """One group of channels looks one pixel to the right, the other stays."""
    image = torch.rand(1, 4, 5, 6)
    offset = torch.zeros(1, 4, 5, 6)
    offset[:, 3] = 1
    found = deform_conv2d(image, offset, torch.eye(4)[..., None, None])
    torch.testing.assert_close(found[:, :2], image[:, :2])
    torch.testing.assert_close(found[:, 2:], F.pad(image[:, 2:], (0, 1))[..., 1:])


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("value", [1e9, -1e9, 1e4, math.inf, -math.inf, math.nan])
def test_offsets_far_away(border, value):
    image, offset, weight, _, _ = draw(padding=1, dtype=torch.float32)
    image.requires_grad_()
    for axis in (0, 1):
        own = offset.clone()
        own[:, axis::2] = value
        own.requires_grad_()
        found = deform_conv2d(image, own, weight, padding=1, border=border)
        found.sum().backward()
        assert not found.any()
        assert not own.grad.any()
        assert not image.grad.any()
        with torch.no_grad():
            assert not deform_conv2d(image, own, weight, padding=1, border=border).any()
            assert not deform_conv2d(image.double(), own.double(), weight.double(), padding=1, border=border).any()
    own = offset.clone()
    own[0, 0, 0, 0] = value  # one tap of the two of a pixel's group
    rest = deform_conv2d(image, own, weight, padding=1, border=border).flatten(1)[:, 1:]
    assert rest.isfinite().all()


# Memory


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


# What is refused


@pytest.mark.parametrize(
    ("changes", "how", "message"),
    [
        ({}, {"border": "zeros"}, "unknown border rule 'zeros': expected one of torchvision, tdan"),
        ({"weight": (3, 5, 3, 3)}, {}, "does not fit image (1, 4, 6, 7) in 1 groups: expected (O, C / groups, kh, kw)"),
        ({"weight": (3, 2, 3, 3)}, {"groups": 2}, "O a multiple of groups"),
        ({"offset": (2, 36, 6, 7)}, {}, "offset (2, 36, 6, 7) does not fit image (1, 4, 6, 7): expected (N, 18 G"),
        ({"offset": (1, 35, 6, 7)}, {}, "expected (N, 18 G, h, w) with a G that divides C"),
        ({"offset": (1, 54, 6, 7)}, {}, "expected (N, 18 G, h, w) with a G that divides C"),
        ({"offset": (1, 0, 6, 7)}, {}, "expected (N, 18 G, h, w)"),
        ({"offset": (1, 36, 6, 6), "mask": (1, 18, 6, 6)}, {}, "offset (1, 36, 6, 6): expected 6x7 positions"),
        ({}, {"padding": 0}, "offset (1, 36, 6, 7): expected 4x5 positions"),
        ({"mask": (1, 18, 6, 6)}, {}, "mask (1, 18, 6, 6): expected (1, 18, 6, 7)"),
        ({"mask": (1, 9, 6, 7)}, {}, "mask (1, 9, 6, 7): expected (1, 18, 6, 7)"),
        ({"image": (4, 6, 7)}, {}, "expected four dimensions"),
        ({"weight": (3, 4, 3)}, {}, "expected four dimensions"),
        ({"offset": (36, 6, 7)}, {}, "expected four dimensions"),
        ({"bias": (4,)}, {}, "bias (4,): expected (3,)"),
    ],
)  # fmt: skip
def test_what_does_not_fit(changes, how, message):
    names = ("image", "offset", "weight", "bias", "mask")
    inputs = dict(zip(names, draw(padding=1, dtype=torch.float32), strict=True))
    inputs |= {name: torch.zeros(shape) for name, shape in changes.items()}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        deform_conv2d(**inputs, **({"padding": 1} | how))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
