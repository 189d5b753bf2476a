"""QPWCNet's losses, gradient clipping, learning rates, augmentation and flow operations against plain formulas."""

import colorsys
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.ops.warp import backward_warp
from qpwcnet import augment, flow_ops, losses, optim


def noise(*shape, seed=0, scale=1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32))


# Losses


@pytest.mark.parametrize("loss", losses.FLOW_LOSSES.values(), ids=list(losses.FLOW_LOSSES))
def test_flow_losses_measure_in_pixels_of_the_prediction(loss):
    label = torch.tensor([8.0, -4.0]).view(1, 2, 1, 1).expand(2, 2, 16, 32)
    right, wrong = (torch.tensor(x).view(1, 2, 1, 1).expand(2, 2, 4, 8) for x in ([2.0, -1.0], [8.0, -4.0]))
    least = 0.01**0.4 if loss is losses.flow_robust else 0.0
    assert loss(right, label).item() == pytest.approx(least, abs=1e-6)
    assert loss(wrong, label) > least + 0.05


def test_losses_have_finite_gradients_where_the_prediction_is_right():
    label = torch.full((1, 2, 8, 8), 3.0)
    for loss in (*losses.FLOW_LOSSES.values(), losses.epe):
        pred = label.clone().requires_grad_()
        loss(pred, label).backward()
        assert (pred.grad == 0).all()
    label = torch.full((1, 2, 64, 64), 40.0)
    flows = [torch.full((1, 2, 64 >> n, 64 >> n), 2.0, requires_grad=True) for n in range(2, 7)]
    for robust in (False, True):
        losses.pwc_multiscale(flows, label, robust).backward()
    assert all((flow.grad == 0).all() for flow in flows)


def test_huber_by_hand():
    label, pred = torch.zeros(1, 2, 4, 6), torch.zeros(1, 2, 4, 6)
    pred[0, 0, 0, 0], pred[0, 1, 2, 3] = 0.2, -3.0  # times 2 / (4 + 6): 0.04 is below 0.1, 0.6 above
    expected = (0.5 * 0.04**2 + 0.1 * 0.6 - 0.5 * 0.1**2) / 48
    assert losses.flow_huber(pred, label).item() == pytest.approx(expected, rel=1e-5)


def test_pwc_loss_sums_pixels_and_averages_the_batch():
    label = torch.zeros(3, 2, 64, 128)
    flows = [torch.zeros(3, 2, 64 >> n, 128 >> n) for n in range(2, 7)]
    flows[1][2, :, 4, 5] = torch.tensor([3.0, -4.0])  # one pixel of level 3 in one of three samples
    assert losses.pwc_multiscale(flows, label).item() == pytest.approx(0.01 * 5 / 3, rel=1e-5)


def test_losses_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="10x16 to 4x8: expected whole multiples"):
        losses.flow_huber(torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 16, 10))
    with pytest.raises(ValueError, match="levels 2 to 6, got 4"):
        losses.pwc_multiscale([torch.zeros(1, 2, 4, 4)] * 4, torch.zeros(1, 2, 16, 16))


# Gradient clipping, penalty, learning rates

SHAPES = {"conv": (5, 3, 3, 3), "point": (4, 6, 1, 1), "depth": (6, 1, 3, 3), "bias": (7,), "zero": (2, 2, 3, 3)}


def parameters() -> dict[str, torch.Tensor]:
    made = {name: noise(*shape, seed=n) * (name != "zero") for n, (name, shape) in enumerate(SHAPES.items())}
    for n, parameter in enumerate(made.values()):
        # Units of very different length: some are to be cut, some not.
        lengths = torch.logspace(-5, 0, len(parameter)).view(-1, *[1] * (parameter.dim() - 1))
        parameter.requires_grad_().grad = noise(*parameter.shape, seed=10 + n) * lengths
    return made


def test_clipping_unit_by_unit():
    made = parameters()
    made["conv"].grad[0, 0, 0, 0] = math.nan
    made["conv"].grad[4, 0, 0, 0] = math.inf
    before = {name: parameter.grad.clone() for name, parameter in made.items()}
    before["conv"][~before["conv"].isfinite()] = 0
    optim.clip_gradients([*made.values(), torch.zeros(3, requires_grad=True)])  # the last one has no gradient
    cut = 0
    for name, parameter in made.items():
        one_unit = name in ("depth", "bias")
        for unit in [slice(None)] if one_unit else range(len(parameter)):
            w, g, found = (x.detach().double()[unit] for x in (parameter, before[name], parameter.grad))
            limit = max(math.sqrt((w * w).sum()), 1e-3) * 0.01
            length = math.sqrt((g * g).sum())
            expected = g * (limit / length) if length >= limit else g
            cut += length >= limit
            assert torch.allclose(found, expected, rtol=1e-5, atol=0), (name, unit)
            assert length >= limit or torch.equal(found, g)
    assert 5 < cut < 15  # of 18 units


def test_l2_penalty():
    kernels = [noise(2, 3, seed=1).requires_grad_(), noise(4, seed=2).requires_grad_()]
    penalty = optim.l2_penalty(kernels)
    assert penalty.item() == pytest.approx(4e-6 * sum((k.detach().numpy() ** 2).sum() for k in kernels), rel=1e-5)
    penalty.backward()
    assert torch.allclose(kernels[0].grad, 8e-6 * kernels[0].detach())


def test_learning_rates():
    assert set(optim.LEARNING_RATES) == {"constant", "piecewise", "cyclic"}
    assert [optim.piecewise(step, 8) for step in (400_000, 400_001, 2_000_000)] == [1e-4, 5e-5, 1e-4 / 16]
    assert optim.cyclic(10_000, 8) == pytest.approx(5e-3)
    assert optim.cyclic(30_000, 8) == pytest.approx(1e-4 + 4.9e-3 / 2)
    for rate in optim.LEARNING_RATES.values():
        assert rate(0, 8) == 1e-4
        assert rate(350_000, 16) == rate(700_000, 8)  # it is samples that count
        assert rate(350_000, 16, 3e-5) == pytest.approx(0.3 * rate(350_000, 16))


# Augmentation


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


# Flow operations


def test_legacy_warp_pixel_by_pixel():
    image, flow = noise(1, 2, 5, 6), noise(1, 2, 5, 6, seed=1, scale=3.0)
    flow[0, :, 0, 0] = -0.5  # extrapolates
    found = flow_ops.legacy_warp(image, flow)[0]
    for row, column in np.ndindex(5, 6):
        x, y = column + flow[0, 0, row, column].item(), row + flow[0, 1, row, column].item()
        (x0, x1), (y0, y1) = (
            [min(max(int(at) + step, 0), size - 1) for step in (0, 1)] for at, size in ((x, 6), (y, 5))
        )
        corners = ((y0, x0, (x1 - x) * (y1 - y)), (y1, x0, (x1 - x) * (y - y0)))
        corners += ((y0, x1, (x - x0) * (y1 - y)), (y1, x1, (x - x0) * (y - y0)))
        expected = sum(image[0, :, r, c] * weight for r, c, weight in corners)
        assert torch.allclose(found[:, row, column], expected, atol=1e-5)


def test_legacy_warp_inside_is_the_networks_warp():
    image, flow = noise(2, 3, 9, 9), 0.8 * torch.rand(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    found, expected = flow_ops.legacy_warp(image, flow), backward_warp(image, flow, padding="border")
    assert torch.allclose(found[..., :-1, :-1], expected[..., :-1, :-1], atol=1e-5)
    still = flow_ops.legacy_warp(image, torch.zeros_like(flow))
    assert torch.equal(still[..., :-1, :-1], image[..., :-1, :-1])
    assert (still[..., -1, :] == 0).all()
    assert (still[..., -1] == 0).all()
    with pytest.raises(ValueError, match="does not fit image"):
        flow_ops.legacy_warp(image, flow[..., 1:])


def test_inverse_flow_of_a_translation():
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 8, 10)
    inside = flow_ops.inverse_flow(flow)[..., 1:, :7]  # p + flow(p) stays off the last row and column
    assert torch.equal(inside, torch.tensor([-2.0, 1.0]).view(1, 2, 1, 1).expand_as(inside))


def test_occlusion_pixel_by_pixel():
    flow = noise(2, 2, 7, 9, scale=2.0)
    inverse, found = flow_ops.inverse_flow(flow), flow_ops.occlusion(flow)
    for n in range(2):
        expected = np.ones((7, 9))
        for row, column in np.ndindex(7, 9):
            x, y = column + inverse[n, 0, row, column].item(), row + inverse[n, 1, row, column].item()
            expected[min(max(int(y), 0), 6), min(max(int(x), 0), 8)] = 0
        for row, column in np.ndindex(7, 9):
            x, y = column + flow[n, 0, row, column].item(), row + flow[n, 1, row, column].item()
            if not (0 <= x < 9 and 0 <= y < 7):
                expected[row, column] = 1
        assert 0.1 < expected.mean() < 0.9
        assert np.array_equal(found[n].numpy(), expected)


def test_hsv_colours_pixel_by_pixel():
    flow = noise(2, 2, 4, 5)
    flow[1] *= 10  # each flow has its own longest vector
    found = flow_ops.flow_to_hsv_image(flow)
    for n, row, column in np.ndindex(2, 4, 5):
        u, v = flow[n, :, row, column].tolist()
        saturation = math.hypot(u, v) / flow[n].square().sum(0).sqrt().max().item()
        expected = colorsys.hsv_to_rgb((math.atan2(v, u) + math.pi) / (2 * math.pi), saturation, 1.0)
        assert found[n, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_cost_volume_to_flow_is_row_first():
    cost = torch.zeros(1, 25, 2, 2)
    cost[0, (1 + 2) * 5 + (-2 + 2), 0, 1] = 1.0  # one down, two to the left
    assert flow_ops.cost_volume_to_flow(cost)[0, :, 0, 1].tolist() == [1.0, -2.0]
    with pytest.raises(ValueError, match="got 24"):
        flow_ops.cost_volume_to_flow(cost[:, 1:])
