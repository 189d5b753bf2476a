"""Deformable convolution against one written out tap by tap: borders, slopes, special offsets, what is refused."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from common.ops.deform_conv import BORDERS, deform_conv2d
from tests.helpers.deform_conv import DOUBLE, draw


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
