"""TOFlow's networks, held against what is known about them without the reference."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.ops import complexity
from common.ops.memory_format import layout_of
from common.ops.warp import backward_warp
from tests.helpers.toflow import NCHW, SMALL, build, smooth_clips
from toflow.model import FORMS, TOFlow, predict


def silence(network):
    """Let the processing network add nothing."""
    nn.init.zeros_(network.processing[-1].weight)
    nn.init.zeros_(network.processing[-1].bias)


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


@torch.no_grad()
def test_which_frames_each_flow_is_between():
    for form in ("mmagic_vfi", "paper_interp", "pytoflow_denoise"):
        network = build(form)
        frames = smooth_clips(form)
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
    network, frames = build(form), smooth_clips(form, batch=2)
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
    network, frames = TOFlow(replace(FORMS[form], **SMALL)).eval(), smooth_clips(form)
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
    assert bool(added.any()) != FORMS[form].quiet
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
        frames = smooth_clips(form)
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
    frames = smooth_clips("official_sr")
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
    frames = smooth_clips("pytoflow_sr", height=21, width=40)
    torch.testing.assert_close(sr(frames)["pred"], denoise(frames)["pred"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_small_form_begins_with_what_it_adds_to():
    torch.manual_seed(0)
    frames = torch.rand(1, 7, 3, 32, 48)
    network = TOFlow(FORMS["free"])  # no motion seen, nothing added
    features = network.processing[:-1](torch.randn(1, 21, 32, 48))
    assert 0.1 < features.square().mean() < 10  # what the last layer learns from is not lost on the way
    assert (network(frames)["pred"] - frames.mean(1)).abs().max() < 1e-5
    assert sum(parameter.numel() for parameter in network.parameters()) == 312_619


def test_flow_of_halved_frames_is_in_pixels_of_the_whole_ones():
    network = TOFlow(FORMS["free"])
    network.spynets[0].levels[-1][-1].bias.data = torch.tensor([1.0, -2.0])
    assert torch.allclose(network(torch.rand(1, 7, 3, 32, 48))["flows"][0, 0, :, 5, 5], torch.tensor([2.0, -4.0]))


def test_masks_weigh_the_frames():
    network, frames = build("paper_interp_mask"), smooth_clips("paper_interp_mask", batch=2)
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
    frames = smooth_clips(form, height=16, width=16).double()
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


@pytest.mark.parametrize("form", ["mmagic_vfi", "paper_interp_mask", "official_sr"])
def test_layouts_agree(form):
    network, frames = build(form), smooth_clips(form)
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
    network, frames = build(form), smooth_clips(form)
    plain = network(frames)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(frames)
    assert {key: value.dtype for key, value in low.items()} == dict.fromkeys(plain, torch.float32)
    assert (low["pred"] - plain["pred"]).abs().max() > 0  # it did run in bfloat16
    for key, tolerance in (("pred", 0.03), ("flows", 0.1)):
        torch.testing.assert_close(low[key], plain[key], atol=tolerance, rtol=0)


# Losses


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["mmagic_vfi", "pytoflow_denoise", "official_sr", "paper_interp_mask"])
@torch.no_grad()
def test_cuda_equals_cpu(form):
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        network, frames = build(form), smooth_clips(form, batch=2, height=64, width=96)
        here = network(frames)
        there = network.cuda()(frames.cuda())
        for key, value in here.items():
            torch.testing.assert_close(there[key].cpu(), value, atol=1e-4, rtol=0)
    finally:
        torch.backends.cudnn.allow_tf32 = before
