"""TDAN's network, held against what is known about it without the reference."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.ops import complexity
from common.ops.deform_conv import BORDERS, deform_conv2d
from common.ops.memory_format import layout_of
from tdan.model import INITS, MIDDLE, NEIGHBOURS, SCALES, TDAN

SMALL = (8, 1, 1)


def build(seed=0, **options):
    """A narrow network in whose weights everything is random, also what starts at zero."""
    torch.manual_seed(seed)
    network = TDAN(*SMALL, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)
    return network.eval()


def clips(batch=1, height=9, width=11, seed=1):
    return torch.rand(batch, 5, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("options", "parameters", "tensors"),
    [
        ({}, 1_970_819, 85),
        ({"scale": 2}, 1_970_819 - 147_712, 83),
        ({"channels": 16, "blocks_before": 2, "blocks_after": 3}, 142_611, 85 - 40),
        ({"channels": 24, "blocks_before": 2, "blocks_after": 8, "groups": 2, "add_bicubic": True}, 213_438, 66),
    ],
)
def test_size(options, parameters, tensors):
    network = TDAN(**options)
    assert complexity.parameters(network) == parameters
    assert len(list(network.parameters())) == tensors
    assert set(network.state_dict()) - {name for name, _ in network.named_parameters()} == {"border"}


def test_bicubic_enlargement_is_the_start_where_it_is_added_to():
    network, frames = TDAN(8, 1, 1, groups=1, add_bicubic=True), clips(batch=2)
    expected = F.interpolate(frames[:, 2], scale_factor=4, mode="bicubic", align_corners=False)
    assert (network(frames)["pred"] - expected).abs().max() < 1e-5
    assert network.deform[0].offset.weight.shape[0] == 18
    network(frames)["pred"].sum().backward()
    assert network.last.weight.grad.abs().max() > 0  # so that the rest can follow


def test_size_of_parts():
    network = TDAN()
    parts = {
        371_072: (network.first, network.blocks_before),
        313_696: (network.aggregate, network.deform[0], network.deform[1]),
        119_952: (network.deform[2],),
        1_731: (network.to_rgb,),
        8_704: (network.fuse,),
        738_560: (network.blocks_after,),
        147_712: (network.enlarge[0],),
        1_728: (network.last,),
    }
    assert {sum(map(complexity.parameters, layers)) for layers in parts.values()} == set(parts)
    assert complexity.parameters(network.deform[3]) == 119_952


# Starts of training


def spread(tensor):
    return tensor.std().item()


def test_the_start_of_mmagic():
    torch.manual_seed(0)
    network = TDAN()
    for layer in network.deform:
        assert not layer.offset.weight.any()
        assert not layer.offset.bias.any()
        bound = (6 / 576) ** 0.5
        assert 0.99 * bound < layer.weight.abs().max() <= bound
    kaiming = [(network.first, 9 * 64, 1), (network.fuse, 9 * 64, 1)]  # by what goes out
    blocks = [x for block in (*network.blocks_before, *network.blocks_after) for x in (block.conv1, block.conv2)]
    kaiming += [(layer, 9 * 64, 0.1) for layer in blocks] + [(layer, 9 * 64, 1) for layer in network.enlarge]
    for layer, fan, factor in kaiming:
        assert spread(layer.weight) == pytest.approx(factor * (2 / fan) ** 0.5, rel=0.1)
        assert not layer.bias.any()
    for layer in (network.aggregate, network.to_rgb, network.last):
        bound = layer.weight[0].numel() ** -0.5
        assert 0.98 * bound < layer.weight.abs().max() <= bound
    assert network.aggregate.bias.any()


def test_the_start_of_the_authors():
    torch.manual_seed(0)
    network = TDAN(init="authors")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert spread(layer.weight) == pytest.approx((2 / (9 * layer.out_channels)) ** 0.5, rel=0.1)
            if layer.bias is not None:
                assert 0 < layer.bias.abs().max() <= layer.weight[0].numel() ** -0.5
    for layer in network.deform:
        assert spread(layer.offset.weight) == pytest.approx(0.0393, rel=0.05)
        assert 0.99 * 576**-0.5 < layer.weight.abs().max() <= 576**-0.5


@pytest.mark.parametrize("border", BORDERS)
@torch.no_grad()
def test_the_start_of_mmagic_has_plain_convolutions(border):
    network, x = TDAN(*SMALL, border=border), torch.rand(2, 8, 7, 6)
    for layer in network.deform:
        offsets = layer.offset(x)
        assert not offsets.any()
        torch.testing.assert_close(layer(x, offsets), F.conv2d(x, layer.weight, padding=1), atol=1e-5, rtol=0)
    assert not network(clips())["motion"].any()


# What goes in and what comes out


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 14)])
@torch.no_grad()
def test_outputs(scale, size):
    network, frames = build(scale=scale), clips(2, *size)
    before = frames.clone()
    outputs = network(frames)
    assert torch.equal(frames, before)
    shapes = {"pred": (2, 3, scale * size[0], scale * size[1]), "aligned": (2, 5, 3, *size), "motion": (2, 4, 2, *size)}
    assert {name: tuple(x.shape) for name, x in outputs.items()} == shapes
    assert torch.equal(outputs["aligned"][:, MIDDLE], frames[:, MIDDLE])
    for k in range(2):
        alone = network(frames[k : k + 1])
        for name, x in outputs.items():
            torch.testing.assert_close(x[k : k + 1], alone[name], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_neighbours_are_aligned_on_their_own():
    """A neighbour changes its own aligned frame, the middle one all others."""
    network, frames = build(), clips()
    before = network(frames)
    for number in range(5):
        changed = frames.clone()
        changed[:, number] = torch.rand(1, 3, 9, 11)
        after = network(changed)
        moved = [k for k in range(5) if not torch.allclose(after["aligned"][:, k], before["aligned"][:, k], atol=1e-5)]
        assert moved == ([number] if number != MIDDLE else list(range(5)))
        assert not torch.allclose(after["pred"], before["pred"], atol=1e-4)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("scale", SCALES)
@torch.no_grad()
def test_equals_a_second_formula(border, scale):
    """Frame by frame, features stacked, with numbers from -1/2 to 1/2."""
    network, frames = build(scale=scale, border=border).double(), clips(2).double()

    def block(x, layer):
        return x + layer.conv2(layer.conv1(x).relu())

    def deform(x, guide, layer):
        return deform_conv2d(x, layer.offset(guide), layer.weight, padding=1, border=border)

    lows = [frames[:, k] - 0.5 for k in range(5)]
    features = [block(network.first(low).relu(), network.blocks_before[0]) for low in lows]
    aligned = []
    for k in range(5):
        if k == 2:
            aligned.append(lows[2])
            continue
        a = network.aggregate(torch.cat((features[2], features[k]), 1))
        a = deform(a, a, network.deform[0])
        a = deform(a, a, network.deform[1])
        z = deform(features[k], a, network.deform[2])
        z = deform(z, z, network.deform[3])
        aligned.append(network.to_rgb(z))
    x = block(network.fuse(torch.cat(aligned, 1)).relu(), network.blocks_after[0])
    for layer in network.enlarge:
        x = nn.PixelShuffle(2)(layer(x))
    found = network(frames)
    assert torch.stack(aligned, 1).std() > 0.05
    torch.testing.assert_close(found["aligned"], torch.stack(aligned, 1) + 0.5)
    torch.testing.assert_close(found["pred"], network.last(x) + 0.5)


@torch.no_grad()
def test_layouts_in_memory_agree():
    network, frames = build(), clips(2)
    outputs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.memory_format = layout
        seen = []
        handle = network.blocks_after.register_forward_hook(
            lambda _module, given, _made, seen=seen: seen.append(given[0])
        )
        outputs.append(network(frames))
        handle.remove()
        assert [layout_of(x) for x in seen] == [layout]
    for name, x in outputs[0].items():
        torch.testing.assert_close(x, outputs[1][name], atol=1e-5, rtol=1e-5)


def test_gradients_reach_everything():
    torch.manual_seed(0)
    network = TDAN(*SMALL, init="authors")
    outputs = network(clips())
    (outputs["pred"].square().mean() + outputs["aligned"].square().mean()).backward()
    assert [name for name, x in network.named_parameters() if x.grad is None or not x.grad.any()] == []
    assert not outputs["motion"].requires_grad


# Motion by hand


def by_hand(border="torchvision"):
    """A network whose features are the frames and whose aligned images are those; offsets are zero but for biases."""
    network = TDAN(8, 0, 0, border=border, init="authors").eval()
    one = torch.zeros(8, 8, 3, 3)
    one[range(8), range(8), 1, 1] = 1
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.first.weight[:3] = one[:3, :3]
        network.first.weight[3:6] = -one[:3, :3]  # the other half of a number, behind ReLU
        for layer in network.deform:
            layer.weight.copy_(one)
        network.to_rgb.weight[:, :3] = one[:3, :3]
        network.to_rgb.weight[:, 3:6] = -one[:3, :3]
    return network


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, 0), (0, 1), (-1, 3)])
@torch.no_grad()
def test_motion_is_where_the_third_step_looks(border, x, y):
    network, frames = by_hand(border), clips(2)
    network.deform[2].offset.bias.view(-1, 2).copy_(torch.tensor([y, x]))
    outputs = network(frames)
    assert torch.equal(outputs["motion"], torch.tensor([x, y])[:, None, None].expand(2, 4, 2, 9, 11).float())
    around = F.pad(frames.flatten(0, 1), (5, 5, 5, 5), value=0.5).unflatten(0, (2, 5))  # zeros, for the network
    expected = around[..., 5 + y : 14 + y, 5 + x : 16 + x]
    for k in NEIGHBOURS:
        torch.testing.assert_close(outputs["aligned"][:, k], expected[:, k], atol=1e-5, rtol=0)


@torch.no_grad()
def test_motion_is_a_mean_over_groups_and_taps_of_each_neighbour():
    network, frames = by_hand(), clips(2)
    network.deform[2].offset.bias.view(-1, 2).copy_(torch.arange(144.0).view(-1, 2))
    found = network(frames)["motion"][0, 0, :, 0, 0]
    assert found.tolist() == [72, 71]
    network = build(init="authors")
    seen = []
    network.deform[2].offset.register_forward_hook(lambda _module, _given, made: seen.append(made))
    motion = network(frames)["motion"]
    offsets = seen[0].view(2, 4, 72, 2, 9, 11).mean(2)
    torch.testing.assert_close(motion, offsets.flip(2))


@pytest.mark.parametrize("border", BORDERS)
@torch.no_grad()
def test_moved_clips_give_moved_frames(border):
    network = build(border=border)
    for layer in network.deform:
        layer.offset.weight.mul_(0.1)
        layer.offset.bias.mul_(0.1)
    frames = clips(1, 64, 60)
    one, other = (network(frames[..., top : top + 52, left : left + 50])["pred"] for top, left in ((0, 0), (3, 5)))
    reach = 22  # pixels that the network looks to either side, or a little less
    same = one[..., 4 * (reach + 3) : -4 * reach, 4 * (reach + 5) : -4 * reach]
    assert same.numel() > 50
    torch.testing.assert_close(same, other[..., 4 * reach : -4 * (reach + 3), 4 * reach : -4 * (reach + 5)])


# Border rules and errors


@torch.no_grad()
def test_the_border_rule_is_one_of_the_weights():
    frames = clips()
    one, other = (build(border=border, init="authors") for border in BORDERS)
    assert all(torch.equal(x, y) for x, y in zip(one.parameters(), other.parameters(), strict=True))
    first, second = one(frames)["pred"], other(frames)["pred"]
    assert (first - second).abs().max() > 1e-3
    one.load_state_dict(other.state_dict())
    assert torch.equal(one(frames)["pred"], second)


@pytest.mark.parametrize("options", [{"channels": 12}, {"scale": 3}, {"border": "zeros"}, {"init": "kaiming"}])
def test_wrong_options(options):
    with pytest.raises(ValueError, match=rf"expected a multiple of 8, one of .*{INITS[1]}") as caught:
        TDAN(**options)
    assert str(next(iter(options.values()))) in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 7, 3, 8, 8), (1, 5, 1, 8, 8), (5, 3, 8, 8), (1, 3, 5, 8, 8)])
def test_wrong_frames(shape):
    with pytest.raises(ValueError, match=r"expected \(B, 5, 3, H, W\)"):
        build()(torch.zeros(shape))


@pytest.mark.gpu
@pytest.mark.parametrize("border", BORDERS)
def test_cuda_equals_cpu(border):
    torch.backends.cudnn.allow_tf32, before = False, torch.backends.cudnn.allow_tf32
    try:
        network, frames = build(border=border), clips(batch=2, height=33, width=47)
        found = []
        for device in ("cpu", "cuda"):
            network.to(device).zero_grad()
            outputs = network(frames.to(device))
            (outputs["pred"].square().mean() + outputs["aligned"].square().mean()).backward()
            gradient = torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).cpu()
            found.append(({key: value.detach().cpu() for key, value in outputs.items()}, gradient))
        (here, one), (there, other) = found
        if border == "torchvision":  # the other rule jumps, on whose side rounding decides
            for key, value in here.items():
                torch.testing.assert_close(there[key], value, atol=1e-4, rtol=0)
        assert (one - other).norm() < 0.02 * one.norm()
    finally:
        torch.backends.cudnn.allow_tf32 = before


@torch.no_grad()
def test_results_are_float32_under_autocast():
    network, frames = build(), clips()
    with torch.autocast("cpu", torch.bfloat16):
        found = network(frames)
    for key, value in network(frames).items():
        assert found[key].dtype == torch.float32
        torch.testing.assert_close(found[key], value, atol=0.1 * value.abs().max().item(), rtol=0)
