"""TOFlow's flow network: its pyramid, level by level, against plain twins."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from common.ops import complexity
from common.ops.warp import backward_warp
from tests.helpers.toflow import NCHW, SMALL, build, smooth_clips
from toflow.losses import l1
from toflow.model import FORMS, Form, SPyNet, double


@pytest.mark.parametrize(
    ("form", "levels", "count"), [(Form(), 4, 960_200), (Form(batch_norm=True), 4, 960_776), (Form(), 6, 1_440_300)]
)
def test_parameters_of_the_flow_networks(form, levels, count):
    assert complexity.parameters(SPyNet(form, levels=levels)) == count


def level_sizes(form, height, width):
    network = build(form)
    seen = []
    for level in network.spynets[0].levels:
        level.register_forward_hook(lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        network(torch.rand(1, 2, 3, height, width))
    return seen


def plain_sizes(height, width):
    """The rule as it is told: halve three times at most, and only while a side has more than 32 pixels."""
    sizes = [(height, width)]
    for _ in range(3):
        if sizes[0][0] > 32 or sizes[0][1] > 32:
            sizes.insert(0, (sizes[0][0] // 2, sizes[0][1] // 2))
    return sizes


def test_levels_of_known_sizes():
    assert level_sizes("pytoflow_interp", 48, 136) == [(6, 17), (12, 34), (24, 68), (48, 136)]
    assert level_sizes("pytoflow_interp", 37, 53) == [(18, 26), (37, 53)]
    assert level_sizes("pytoflow_interp", 32, 32) == [(32, 32)]
    assert level_sizes("mmagic_vfi", 64, 96) == [(8, 12), (16, 24), (32, 48), (64, 96)]
    assert level_sizes("mmagic_vfi", 16, 16) == [(2, 2), (4, 4), (8, 8), (16, 16)]


@pytest.mark.parametrize("size", [(33, 9), (9, 33), (31, 65), (66, 64), (40, 129), (130, 20), (8, 257)])
def test_levels_go_by_size(size):
    assert level_sizes("pytoflow_interp", *size) == plain_sizes(*size)


@torch.no_grad()
def test_both_pyramids_agree_where_they_have_the_same_levels():
    fixed = build("mmagic_vfi")
    by_size = build("pytoflow_interp", seed=5)
    by_size.load_state_dict(fixed.state_dict())
    large, small = smooth_clips("mmagic_vfi", height=32, width=144), smooth_clips("mmagic_vfi", height=48, width=64)
    torch.testing.assert_close(by_size(large)["pred"], fixed(large)["pred"], atol=1e-6, rtol=0)
    assert (by_size(small)["flows"] - fixed(small)["flows"]).abs().max() > 0.01


@torch.no_grad()
def test_a_small_frame_uses_the_coarse_levels_weights():
    """Six published levels and the four coarsest of them are one network up to 256 pixels a side."""
    form = replace(FORMS["pytoflow_interp"], **SMALL)
    six = SPyNet(form, levels=6)
    for parameter in six.parameters():
        parameter.normal_(std=0.1)
    four = SPyNet(form)
    four.load_state_dict({key: x for key, x in six.state_dict().items() if int(key.split(".")[1]) < 4})
    pair = torch.rand(2, 1, 3, 24, 200)
    assert torch.equal(six(*pair, NCHW), four(*pair, NCHW))
    pair = torch.rand(2, 1, 3, 24, 300)
    assert (six(*pair, NCHW) - four(*pair, NCHW)).abs().max() > 0.01


def test_doubling_keeps_corners_and_repeats_the_edge():
    ramp = torch.linspace(0, 6, 4).expand(1, 1, 3, 4)
    even = double(ramp, torch.empty(1, 1, 6, 8))
    torch.testing.assert_close(even, torch.linspace(0, 6, 8).expand(1, 1, 6, 8))
    odd = double(ramp, torch.empty(1, 1, 7, 9))
    torch.testing.assert_close(odd, F.pad(even, (0, 1, 0, 1), mode="replicate"))
    assert odd[0, 0, -1, -1] == 6


def plain_warp(image, flow, padding):
    """Tap by tap: every pixel reads its four neighbours, those outside are black or the edge."""
    height, width = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = rows + flow[1], columns + flow[0]
    if padding == "border":
        y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    total = torch.zeros_like(image)
    for row in (y.floor(), y.floor() + 1):
        for column in (x.floor(), x.floor() + 1):
            weight = (1 - (y - row).abs()) * (1 - (x - column).abs())
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            taps = image[:, row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]
            total += taps * weight * inside
    return total


@pytest.mark.parametrize("form", ["mmagic_vfi", "pytoflow_interp", "mmagic_vsr"])
@torch.no_grad()
def test_flow_equals_a_plain_pyramid(form):
    spynet = build(form).double().spynets[0]
    first, second = torch.rand(2, 3, 16, 48, dtype=torch.float64)
    sizes = plain_sizes(16, 48) if FORMS[form].pyramid == "by_size" else [(2, 6), (4, 12), (8, 24), (16, 48)]
    flow = torch.zeros(2, *sizes[0], dtype=torch.float64)
    for number, (size, level) in enumerate(zip(sizes, spynet.levels[: len(sizes)], strict=True)):
        if number:
            flow = 2 * F.interpolate(flow[None], size, mode="bilinear", align_corners=True)[0]
        small = [F.adaptive_avg_pool2d(image, size) for image in (first, second)]
        warped = plain_warp(small[1], flow, FORMS[form].padding)
        flow = flow + level(torch.cat((small[0], warped, flow))[None])[0]
    assert flow.abs().max() > 0.5
    torch.testing.assert_close(spynet(first[None], second[None], NCHW)[0], flow, atol=1e-5, rtol=0)


def test_flow_finds_a_translation():
    torch.manual_seed(0)
    spynet = SPyNet(replace(FORMS["tiny_interp"], widths=(8, 8, 8, 8)))
    scene = F.interpolate(torch.rand(1, 3, 12, 14), scale_factor=4, mode="bicubic", align_corners=True)
    reference, support = scene[..., 4:44, 4:52], scene[..., 2:42, 5:53]  # support shows it 1 to the left, 2 lower
    optimizer = torch.optim.Adam(spynet.parameters(), lr=1e-3)
    for _ in range(40):
        loss = l1(backward_warp(support, spynet(reference, support, NCHW), padding="border"), reference)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    flow = spynet(reference, support, NCHW)[..., 8:-8, 8:-8].mean((0, 2, 3))
    torch.testing.assert_close(flow, torch.tensor([-1.0, 2.0]), atol=0.3, rtol=0)
