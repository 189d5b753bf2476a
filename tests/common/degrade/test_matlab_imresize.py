"""MATLAB's imresize: against its definition, against torch where they agree, types and rounding, what is refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common.degrade.matlab_imresize import cubic, enlarge, imresize


def slow_axis(line, new, scale):
    """One line of pixels by the definition: sum over an endless mirrored line of kernel(distance) * pixel."""
    old, width = len(line), min(scale, 1.0)
    mirrored = lambda i: line[i % (2 * old)] if i % (2 * old) < old else line[2 * old - 1 - i % (2 * old)]  # noqa: E731
    result = []
    for out in range(new):
        centre = (out + 0.5) / scale - 0.5
        taps = range(int(np.floor(centre - 2 / width)) - 1, int(np.ceil(centre + 2 / width)) + 2)
        weights = [float(cubic(np.float64(width * (centre - i)))) for i in taps]
        result.append(sum(w * mirrored(i) for w, i in zip(weights, taps, strict=True)) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 0.37, 1.6, 3])
@pytest.mark.parametrize("old", [3, 13, 24])
def test_one_axis_equals_the_definition(scale, old):
    line = np.random.default_rng(old).random(old)
    new = int(np.ceil(old * scale))
    expected = slow_axis(line, new, scale)
    assert np.allclose(imresize(np.tile(line[:, None], (1, 5)), scale=scale)[:, 0], expected, atol=1e-13)
    assert np.allclose(imresize(np.tile(line, (5, 1)), scale=scale)[0], expected, atol=1e-13)


def test_axes_are_separate():
    image = np.random.default_rng(0).random((17, 23))
    both = imresize(image, size=(8, 40))
    rows = np.stack([slow_axis(line, 40, 40 / 23) for line in image])
    assert np.allclose(both, np.stack([slow_axis(line, 8, 8 / 17) for line in rows.T], 1), atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_interior_equals_torch_antialias(factor):
    image = np.random.default_rng(factor).random((60, 72, 3))
    ours = imresize(image, scale=1 / factor)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    size = ours.shape[:2]
    theirs = F.interpolate(tensor, size=size, mode="bicubic", antialias=True, align_corners=False)[0].permute(1, 2, 0)
    assert np.allclose(ours[3:-3, 3:-3], theirs.numpy()[3:-3, 3:-3], atol=1e-12)
    assert np.abs(ours - theirs.numpy()).max() > 1e-4  # the border is another one


def test_types_and_rounding():
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    exact = imresize(image, scale=0.5, rounding=None)
    assert exact.dtype == np.float64
    once = imresize(image, scale=0.5)
    assert once.dtype == np.uint8
    assert np.array_equal(once, np.clip(np.floor(exact * 255 + 0.5), 0, 255))
    twice = imresize(image, scale=0.5, rounding="per-axis")
    assert twice.dtype == np.uint8
    assert 0.01 < (once != twice).mean() < 0.3
    assert imresize(image.astype(np.float32), scale=2).dtype == np.float32
    assert imresize(image[..., 0], scale=2).shape == (42, 60)
    assert np.array_equal(imresize(image, scale=1), image)
    assert np.array_equal(imresize(image, size=image.shape[:2]), image)
    constant = np.full((9, 9, 1), 0.3)
    assert np.allclose(imresize(constant, scale=1 / 3), 0.3, atol=1e-15)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"scale": 2, "size": (2, 2)},
        {"scale": 0},
        {"scale": -1},
        {"size": (0, 3)},
        {"scale": 2, "rounding": "never"},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        imresize(np.zeros((4, 4), np.uint8), **arguments)
    with pytest.raises(ValueError, match="non-empty"):
        imresize(np.zeros((0, 4)), scale=2)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40)])
def test_enlarged_levels_have_the_same_bits(size, scale):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, *size, 3)), 255 * random.integers(0, 2, (1, *size, 3))  # overshoots, too
    for image in np.concatenate(images).astype(np.uint8):
        made = enlarge(torch.from_numpy(image).permute(2, 0, 1)[None], scale)
        assert np.array_equal(made[0].permute(1, 2, 0).numpy(), imresize(image, scale=scale))
    with pytest.raises(ValueError, match="scale of 2 or 4"):
        enlarge(made, 3)
