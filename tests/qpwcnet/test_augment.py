"""Augmentation of pairs and triplets: what may change, and what has to stay true."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.ops.warp import backward_warp
from qpwcnet import augment


def scene(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two smooth frames and a flow that varies: the first is the second, read at p + flow(p), to the last digit."""
    rng = np.random.default_rng(seed)
    waves = [(*rng.uniform(-0.25, 0.25, 2), *rng.uniform(0, 6, 3)) for _ in range(4)]

    def picture(y, x):
        return np.stack([0.5 + sum(np.sin(a * y + b * x + p[c]) for a, b, *p in waves) / 9 for c in range(3)], -1)

    y, x = np.mgrid[:height, :width].astype(np.float64)
    u, v = 3 + 0.03 * x - 0.02 * y, -2 + 0.01 * x + 0.02 * y
    first, second, flow = picture(y + v, x + u), picture(y, x), np.stack((u, v), -1)
    return tuple(array.astype(np.float32) for array in (first, second, flow))


def errors(first, second, flow) -> tuple[float, float]:
    """Mean difference of `first` to `second`, warped and as it is, away from the border."""
    warped = backward_warp(second[None], flow[None], padding="border")[0]
    return tuple((x - first)[:, 8:-8, 8:-8].abs().mean().item() for x in (warped, second))


def test_flow_still_leads_from_the_first_frame_to_the_second():
    flips = set()
    for seed in range(16):
        draw = augment.draw_pair(np.random.default_rng(seed))
        flips.add((draw.flip_ud, draw.flip_lr))
        sample = augment.augment_pair(*scene(60, 90), np.random.default_rng(seed), 40, 64)
        assert [tuple(x.shape) for x in sample] == [(3, 40, 64), (3, 40, 64), (2, 40, 64)]
        assert all(x.dtype == torch.float32 and x.is_contiguous() for x in sample)
        warped, as_it_is = errors(*sample)
        assert warped < 0.06 * as_it_is
    assert len(flips) == 4


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 90), (48, 120)])
def test_resized_pair_has_resized_flow(height, width):
    sample = augment.resize_pair(*scene(60, 90), height, width)
    assert sample[0].shape == (3, height, width)
    warped, as_it_is = errors(*sample)
    assert warped < 0.06 * as_it_is


@pytest.mark.parametrize("shape", [(20, 90), (60, 30), (33, 49), (40, 64)])
def test_frames_smaller_than_the_crop_are_scaled_up(shape):
    first, second, flow = scene(*shape)
    found = augment.augment_pair(first, second, flow, np.random.default_rng(3), 40, 64, base_scale=0.56)
    assert [tuple(x.shape[1:]) for x in found] == [(40, 64)] * 3
    scale = max(40 / shape[0], 64 / shape[1])  # more than 0.56 * 1.05
    assert found[2].abs().max() <= scale * np.abs(flow).max() * 1.001
    warped, as_it_is = errors(*found)
    assert warped < 0.1 * as_it_is


def test_uint8_frames_are_read_as_0_to_1():
    first, second, flow = scene(44, 70)
    levels = [np.round(255 * frame).astype(np.uint8) for frame in (first, second)]
    floats = [frame.astype(np.float32) / 255 for frame in levels]
    found, expected = (
        augment.augment_pair(*frames, flow, np.random.default_rng(5), 32, 48) for frames in (levels, floats)
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_draws_come_from_the_generator_alone():
    frames = scene(44, 70)
    state = np.random.get_state()[1].copy()
    one, again, other = (augment.augment_pair(*frames, np.random.default_rng(s), 32, 48) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    one, again, other = (augment.augment_triplet(frames[:2], np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    assert np.array_equal(np.random.get_state()[1], state)


def test_unknown_flow_becomes_zero():
    first, second, flow = scene(44, 70)
    holes = np.random.default_rng(0).random(flow.shape) < 0.2
    marked = np.where(holes, np.resize(np.float32([np.nan, np.inf, -np.inf, 1e10]), flow.shape), flow)
    for change in (
        lambda flow: augment.augment_pair(first, second, flow, np.random.default_rng(4), 32, 48),
        lambda flow: augment.resize_pair(first, second, flow, 32, 48),
    ):
        assert torch.equal(change(marked)[2], change(np.where(holes, np.float32(0), flow))[2])


def test_sizes_that_disagree():
    first, second, flow = scene(44, 70)
    with pytest.raises(ValueError, match="the flow is 69x44, the first frame 70x44"):
        augment.augment_pair(first, second, flow[:, 1:], np.random.default_rng(0), 32, 48)
    with pytest.raises(ValueError, match="the second frame is 70x40"):
        augment.resize_pair(first, second[4:], flow, 32, 48)


def test_saturation_and_hue_pixel_by_pixel():
    image = np.random.default_rng(0).random((3, 4, 8)).astype(np.float32)
    image[:, 0, 0], image[:, 0, 1] = 0.4, 0.0  # grey, black
    saturated, turned = augment.adjust_saturation(image, 1.4), augment.adjust_hue(image, -0.17)
    for place in np.ndindex(4, 8):
        h, s, v = colorsys.rgb_to_hsv(*image[:, *place].tolist())
        assert np.allclose(saturated[:, *place], colorsys.hsv_to_rgb(h, min(1.4 * s, 1), v), atol=1e-5)
        assert np.allclose(turned[:, *place], colorsys.hsv_to_rgb((h - 0.17) % 1, s, v), atol=1e-5)


def test_contrast_is_about_the_mean_of_both_frames():
    images = np.random.default_rng(0).random((3, 8, 6)).astype(np.float32)
    neutral = augment.PairDraw(False, False, 1.0, 0.0, 0.0, hue=0.0, brightness=0.0, saturation=1.0, contrast=1.0)
    assert np.allclose(augment.change_colours(images, neutral), images, atol=1e-5)
    found = augment.change_colours(images, replace(neutral, contrast=0.5, brightness=0.1))
    mean = images.mean((1, 2), keepdims=True)
    assert np.allclose(found, 0.1 + mean + 0.5 * (images - mean), atol=1e-5)


def test_triplet_frames_change_alike():
    rng = np.random.default_rng(0)
    frames = [rng.random((6, 10, 3)).astype(np.float32) for _ in range(3)]
    flips = set()
    for seed in range(16):
        draw = augment.draw_triplet(np.random.default_rng(seed), 6, 10)
        flips.add((draw.flip_ud, draw.flip_lr))
        assert 0.01 < draw.noise.std() < 0.03
        found = augment.augment_triplet(frames, np.random.default_rng(seed))
        for frame, tensor in zip(frames, found, strict=True):
            changed = frame @ augment.rotation(draw.euler).T * np.exp(draw.log_scale) + draw.shift + draw.noise
            changed = changed[::-1] if draw.flip_ud else changed
            changed = changed[:, ::-1] if draw.flip_lr else changed
            assert np.allclose(tensor.numpy(), changed.transpose(2, 0, 1), atol=1e-5)
    assert len(flips) == 4
