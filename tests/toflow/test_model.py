"""TOFlow's networks and losses, held against what is known about them without the reference."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.ops import complexity
from common.ops.memory_format import layout_of
from common.ops.warp import backward_warp
from toflow.losses import VISIBLE, charbonnier, l1, mask_labels
from toflow.model import FORMS, Form, SPyNet, TOFlow, double, predict

NCHW = torch.contiguous_format
SMALL = {"widths": (4, 6, 5, 3), "channels": 8}


def build(form, seed=0, **changes):
    """A narrow network where what starts at zero is random too, so that every part moves the result."""
    torch.manual_seed(seed)
    network = TOFlow(replace(FORMS[form], **SMALL | changes))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return network.eval()


def clips(form, batch=1, height=32, width=48, seed=1):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch * FORMS[form].frames, 3, height // 4, width // 4, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return smooth.unflatten(0, (batch, -1))


def silence(network):
    """Let the processing network add nothing."""
    nn.init.zeros_(network.processing[-1].weight)
    nn.init.zeros_(network.processing[-1].bias)


@pytest.mark.parametrize(
    ("form", "levels", "count"), [(Form(), 4, 960_200), (Form(batch_norm=True), 4, 960_776), (Form(), 6, 1_440_300)]
)
def test_parameters_of_the_flow_networks(form, levels, count):
    assert complexity.parameters(SPyNet(form, levels=levels)) == count


@pytest.mark.parametrize(
    ("form", "count"),
    [
        ("mmagic_vfi", 995_723),
        ("mmagic_vfi_bn", 996_299),
        ("mmagic_vsr", 1_405_899),
        ("official_sr", 1_405_899),
        ("pytoflow_interp", 995_723),
        ("pytoflow_denoise", 1_073_483),
        ("pytoflow_sr", 1_405_323),
    ],
)
def test_published_parameters(form, count):
    assert complexity.parameters(TOFlow(FORMS[form])) == count


# The pyramid


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
    large, small = clips("mmagic_vfi", height=32, width=144), clips("mmagic_vfi", height=48, width=64)
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


@torch.no_grad()
def test_which_frames_each_flow_is_between():
    for form in ("mmagic_vfi", "paper_interp", "pytoflow_denoise"):
        network = build(form)
        frames = clips(form)
        x = (frames - network.mean) / network.std
        first, second = x[:, 0], x[:, 1]
        if form == "mmagic_vfi":  # the half of the flow that lies on the other frame's grid
            one = network.spynets[0]
            expected = [one(second, first, NCHW) / 2, one(first, second, NCHW) / 2]
        elif form == "paper_interp":  # each network's goes to the frame it warps
            one, other = network.spynets
            expected = [one(second, first, NCHW), other(first, second, NCHW)]
        else:
            expected = [network.spynets[0](x[:, 3], x[:, k], NCHW) for k in (0, 1, 2, 4, 5, 6)]
        found = network(frames)["flows"]
        assert (found[:, 0] - found[:, 1]).abs().max() > 0.01
        torch.testing.assert_close(found, torch.stack(expected, 1), atol=1e-5, rtol=0)


# What goes in and what comes out


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_clips_are_on_their_own_and_untouched(form):
    network, frames = build(form), clips(form, batch=2)
    before = frames.clone()
    together = network(frames)
    assert torch.equal(frames, before)
    count = FORMS[form].frames // 7 * 4 + 2
    assert together["pred"].shape == (2, 3, 32, 48)
    assert together["flows"].shape == (2, count, 2, 32, 48)
    assert together["warped"].shape == (2, count, 3, 32, 48)
    assert ("masks" in together) == FORMS[form].mask
    for number in range(2):
        for key, value in network(frames[number : number + 1]).items():
            torch.testing.assert_close(together[key][number], value[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_untrained_networks_see_no_motion(form):
    torch.manual_seed(0)
    network, frames = TOFlow(replace(FORMS[form], **SMALL)).eval(), clips(form)
    moving = frames if FORMS[form].frames == 2 else torch.cat((frames[:, :3], frames[:, 4:]), 1)
    found = network(frames)
    assert not found["flows"].any()
    torch.testing.assert_close(found["warped"], moving, atol=2e-5, rtol=0)
    base = frames.mean(1) if FORMS[form].residual == "mean" else frames[:, 3]
    x = (frames - network.mean) / network.std
    if FORMS[form].mask:
        assert (found["masks"] == 0.5).all()
        x = torch.cat((x, x / 2), 1)  # the masked frames beside the warped ones
    elif FORMS[form].reference_first:
        x = x[:, [3, 0, 1, 2, 4, 5, 6]]
    added = network.processing(x.flatten(1, 2)) * network.std
    assert added.abs().max() > 0.01
    torch.testing.assert_close(found["pred"], base + added, atol=2e-5, rtol=0)
    silence(network)
    torch.testing.assert_close(network(frames)["pred"], base, atol=2e-5, rtol=0)


@torch.no_grad()
def test_each_frame_goes_by_its_flow():
    """A flow network that always says (3, -2), by the bias of its finest level."""
    for form, expected in (
        ("mmagic_vfi", [(1.5, -1), (1.5, -1)]),  # halved, for both frames
        ("paper_interp", [(3, -2), (0, 0)]),  # the first network's, for the first frame
        ("official_sr", [(3, -2)] * 6),
    ):
        network = TOFlow(replace(FORMS[form], **SMALL)).eval()
        network.spynets[0].levels[-1][-1].bias.copy_(torch.tensor([3.0, -2.0]))
        silence(network)
        frames = clips(form)
        found = network(frames)
        moving = frames if FORMS[form].frames == 2 else torch.cat((frames[:, :3], frames[:, 4:]), 1)
        for number, (dx, dy) in enumerate(expected):
            flow = torch.tensor([float(dx), float(dy)]).view(2, 1, 1).expand(2, 32, 48)
            torch.testing.assert_close(found["flows"][0, number], flow)
            warped = backward_warp(moving[:, number], flow[None], padding="zeros")
            inside = (..., slice(2, None), slice(0, -3))  # beyond, frames are black and the network's are grey
            torch.testing.assert_close(found["warped"][:, number][inside], warped[inside], atol=2e-5, rtol=0)
        if form == "paper_interp":  # what lies at x + 3, y - 2 of the first frame
            torch.testing.assert_close(found["warped"][0, 0, :, 2:, :-3], frames[0, 0, :, :-2, 3:], atol=2e-5, rtol=0)


@torch.no_grad()
def test_the_order_of_the_frames_is_that_of_the_first_layer():
    first, second = build("official_sr"), build("mmagic_vsr", seed=5)
    state = dict(first.state_dict())
    key = "processing.0.weight"
    by_frame = state[key].unflatten(1, (7, 3))
    state[key] = by_frame[:, [1, 2, 3, 0, 4, 5, 6]].flatten(1, 2)  # the middle one from the front to its time
    second.load_state_dict(state)
    frames = clips("official_sr")
    torch.testing.assert_close(first(frames)["pred"], second(frames)["pred"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_super_resolution_with_an_idle_layer_is_denoising():
    denoise, sr = build("pytoflow_denoise"), build("pytoflow_sr", seed=5)
    state = {}
    for key, x in denoise.state_dict().items():
        _, number, what = key.split(".") if key.startswith("processing") else (None, "0", None)
        state[f"processing.{int(number) + 2}.{what}" if int(number) else key] = x
    nn.init.dirac_(sr.processing[2].weight)
    nn.init.zeros_(sr.processing[2].bias)
    sr.load_state_dict({key: x for key, x in sr.state_dict().items() if key.startswith("processing.2.")} | state)
    frames = clips("pytoflow_sr", height=21, width=40)
    torch.testing.assert_close(sr(frames)["pred"], denoise(frames)["pred"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_masks_weigh_the_frames():
    network, frames = build("paper_interp_mask"), clips("paper_interp_mask", batch=2)
    silence(network)
    found = network(frames)
    masks, warped = found["masks"], found["warped"]
    assert masks.shape == (2, 2, 1, 32, 48)
    assert masks.std() > 0.01
    assert (0 < masks.min()) & (masks.max() < 1)
    expected = (masks * warped).sum(1) / masks.sum(1)
    torch.testing.assert_close(found["pred"], expected, atol=2e-5, rtol=0)


@torch.no_grad()
def test_the_mask_network_sees_flows_in_pixels_of_each_level():
    network = TOFlow(replace(FORMS["paper_interp_mask"], **SMALL)).masknet
    seen = []
    for level in network.levels:
        level.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    network(torch.full((1, 4, 32, 48), 8.0), NCHW)
    assert [tuple(x.shape[1:]) for x in seen] == [(4, 4, 6), (6, 8, 12), (6, 16, 24), (6, 32, 48)]
    for x, pixels in zip(seen, (1, 2, 4, 8), strict=True):
        assert (x[:, :4] == pixels).all()


@torch.no_grad()
def test_finer_masks_refine_the_coarser_ones():
    network, flows = build("paper_interp_mask").masknet, torch.rand(1, 4, 32, 48)
    seen = []
    network.levels[-1].register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0][:, 4:], output)))
    masks = network(flows, NCHW)
    coarse, added = seen[0]
    assert coarse.std() > 0.001
    torch.testing.assert_close(masks, (coarse + added).sigmoid())


@pytest.mark.parametrize(
    ("form", "shape", "part"),
    [
        ("mmagic_vfi", (1, 7, 3, 32, 32), r"expected \(B, 2, 3, H, W\)"),
        ("official_sr", (1, 2, 3, 32, 32), r"expected \(B, 7, 3, H, W\)"),
        ("official_sr", (7, 3, 32, 32), r"expected \(B, 7, 3, H, W\)"),
        ("pytoflow_interp", (1, 2, 4, 32, 32), r"expected \(B, 2, 3, H, W\)"),
        ("mmagic_vfi", (1, 2, 3, 40, 32), "multiples of 16; pad them"),
        ("mmagic_vfi", (1, 2, 3, 32, 33), "multiples of 16; pad them"),
        ("paper_denoise", (1, 7, 3, 8, 8), "multiples of 16; pad them"),
        ("paper_interp_mask", (1, 2, 3, 0, 16), "multiples of 16; pad them"),
    ],
)
def test_shapes_that_do_not_fit(form, shape, part):
    with pytest.raises(ValueError, match=part) as caught:
        build(form)(torch.rand(shape))
    assert str(shape) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@torch.no_grad()
def test_any_size_is_mirrored_and_cut():
    network, frames = build("paper_interp_mask"), torch.rand(1, 2, 3, 37, 53)
    found = predict(network, frames)
    mirrored = F.pad(frames.flatten(0, 1), (0, 11, 0, 11), mode="reflect").unflatten(0, (1, 2))
    for key, value in network(mirrored).items():
        torch.testing.assert_close(found[key], value[..., :37, :53], atol=1e-6, rtol=0)
    network = build("pytoflow_interp")  # takes it as it is
    assert torch.equal(predict(network, frames)["pred"], network(frames)["pred"])
    tiny = predict(build("mmagic_vfi"), torch.rand(1, 2, 3, 5, 7))  # too small to mirror
    assert tiny["pred"].shape == (1, 3, 5, 7)


# Numbers


@pytest.mark.parametrize("form", ["mmagic_vfi", "paper_interp_mask", "official_sr", "tiny_denoise"])
def test_gradients_against_differences(form):
    network = build(form, widths=(2, 2, 2, 2), channels=3).double()
    frames = clips(form, height=16, width=16).double()
    direction = [torch.randn_like(parameter) for parameter in network.parameters()]
    weights = torch.rand(1, 3, 16, 16, dtype=torch.float64)

    def value(step):
        moved = {
            key: parameter + step * x for (key, parameter), x in zip(network.named_parameters(), direction, strict=True)
        }
        return (weights * torch.func.functional_call(network, moved, (frames,))["pred"]).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value(step), step)
    with torch.no_grad():
        difference = (value(1e-7) - value(-1e-7)) / 2e-7
    assert slope.abs() > 0.1
    assert difference.item() == pytest.approx(slope.item(), rel=1e-6)


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


@pytest.mark.parametrize("form", ["mmagic_vfi", "paper_interp_mask", "official_sr"])
def test_layouts_agree(form):
    network, frames = build(form), clips(form)
    seen, results = [], []
    parts = [network.spynets[0].levels[-1][0], network.processing[0]]
    parts += [network.masknet.levels[-1][0]] if FORMS[form].mask else []
    for part in parts:
        part.register_forward_hook(lambda _module, _inputs, output: seen.append(layout_of(output)))
    for layout in (torch.contiguous_format, torch.channels_last):
        network.memory_format = layout
        results.append(network(frames)["pred"])
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)
    network.memory_format = None
    network(frames)  # to be trained, on a CPU
    with torch.no_grad():
        network(frames)
    count = len(parts)
    assert seen == [x for x in (NCHW, torch.channels_last, NCHW, torch.channels_last) for _ in range(count)]


@pytest.mark.parametrize("form", ["pytoflow_interp", "paper_interp_mask", "official_sr"])
@torch.no_grad()
def test_bf16_is_near_float32(form):
    network, frames = build(form), clips(form)
    plain = network(frames)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(frames)
    assert {key: value.dtype for key, value in low.items()} == dict.fromkeys(plain, torch.float32)
    assert (low["pred"] - plain["pred"]).abs().max() > 0  # it did run in bfloat16
    for key, tolerance in (("pred", 0.03), ("flows", 0.1)):
        torch.testing.assert_close(low[key], plain[key], atol=tolerance, rtol=0)


# Losses


def test_losses_equal_their_formulas():
    torch.manual_seed(0)
    prediction, target = torch.rand(2, 2, 3, 5, 7)
    difference = [a - b for a, b in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True)]
    assert l1(prediction, target).item() == pytest.approx(sum(map(abs, difference)) / len(difference))
    for epsilon in (1e-12, 0.01):
        expected = sum((d * d + epsilon) ** 0.5 for d in difference) / len(difference)
        assert charbonnier(prediction, target, epsilon).item() == pytest.approx(expected)
    assert charbonnier(target, target).item() == pytest.approx(1e-6)
    prediction = target.clone().requires_grad_()
    charbonnier(prediction, target).backward()
    assert torch.isfinite(prediction.grad).all()


def test_mask_labels_of_an_occlusion():
    """A bright square that the last frame has not, on a grey ground that goes 4 pixels to the right a step."""
    torch.manual_seed(0)
    ground = 0.3 + 0.02 * torch.rand(3, 12, 40)
    frames = torch.stack((ground[:, :, 8:32], ground[:, :, :24]))[None]
    target = ground[None, :, :, 4:28].clone()
    frames[0, 0, :, 3:6, 6:9] = 0.9
    target[0, :, 3:6, 10:13] = 0.9
    flows = torch.zeros(1, 2, 2, 12, 24)
    flows[:, 0, 0], flows[:, 1, 0] = -4, 4
    labels = mask_labels(frames, target, flows)
    expected = torch.ones(1, 2, 1, 12, 24)
    expected[0, 0, :, :, :4] = 0  # it was not in the picture yet
    expected[0, 1, :, :, -4:] = 0  # it has left
    expected[0, 1, :, 3:6, 10:13] = 0
    assert torch.equal(labels, expected)
    near = frames[:, :1].expand(-1, 2, -1, -1, -1)
    still = torch.zeros_like(flows)
    assert mask_labels(near, near[:, 0] + 0.9 * VISIBLE, still).all()
    assert not mask_labels(near, near[:, 0] + 1.1 * VISIBLE, still).any()


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["mmagic_vfi", "pytoflow_denoise", "official_sr", "paper_interp_mask"])
@torch.no_grad()
def test_cuda_equals_cpu(form):
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        network, frames = build(form), clips(form, batch=2, height=64, width=96)
        here = network(frames)
        there = network.cuda()(frames.cuda())
        for key, value in here.items():
            torch.testing.assert_close(there[key].cpu(), value, atol=1e-4, rtol=0)
    finally:
        torch.backends.cudnn.allow_tf32 = before
