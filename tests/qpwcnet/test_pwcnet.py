"""Standard PWC-Net: network, warp mask, and the names in every published file."""

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.ops import complexity
from common.ops.memory_format import layout_of
from qpwcnet.pwcnet import INSIDE, INSIDE_OLD, LEVELS, VARIANTS, PWCNet, masked_warp
from qpwcnet.pwcnet_keys import adapt, layers

PARAMETERS = {"PWC-Net": 9_374_274, "PWC-Net_old": 8_749_280 - 66, "PWC-Net_small": 9_374_274 - 1_131_266}
NAMINGS = ("own", "nvlabs", "sniklaus", "published")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PWCNet().eval()


def weights(variant="PWC-Net"):
    """A number of its own for each of our names; as the shapes are the network's business, that is enough here."""
    names = [f"{layer}.{kind}" for layer in layers(variant) for kind in ("weight", "bias")]
    return {name: torch.tensor(float(place)) for place, name in enumerate(names)}


def named(own, naming, variant="PWC-Net"):
    """Our state dict under the names of a file."""
    if naming == "own":
        return own | {"inside": torch.tensor(0.5)}
    table, state = layers(variant), {}
    for name, tensor in own.items():
        layer, _, kind = name.rpartition(".")
        name = f"{table[layer][naming != 'nvlabs']}.{kind}"
        state[name.replace("net", "module") if naming == "published" else name] = tensor
    return state


# The network


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_have_the_published_parameters_and_our_names(network, variant):
    network = network if variant == "PWC-Net" else PWCNet(variant)
    assert complexity.parameters(network) == PARAMETERS[variant]
    assert network.state_dict().keys() == weights(variant).keys() | {"inside"}


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"'PWC': expected one of PWC-Net, PWC-Net_old, PWC-Net_small$"):
        PWCNet("PWC")


def test_training_starts_at_kaiming_normal_and_zero_biases(network):
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            assert not layer.bias.any()
    for layer, inputs in ((network.pyramid[5][2], 196), (network.decoder["2"].dense[0], 117)):
        assert layer.weight.std().item() == pytest.approx((2 / (9 * inputs)) ** 0.5, rel=0.02)


@torch.no_grad()
def test_layouts_agree_and_every_pair_is_on_its_own(network):
    prv, nxt = torch.rand(2, 2, 3, 64, 128)
    seen = []
    hook = network.pyramid[0].register_forward_hook(lambda _module, _inputs, output: seen.append(layout_of(output)))
    try:
        network.memory_format = torch.contiguous_format
        together = network(prv, nxt)
        network.memory_format = None
        alone = network(prv[1:], nxt[1:])
    finally:
        network.memory_format = None
        hook.remove()
    assert seen == [torch.contiguous_format, torch.channels_last]
    assert alone.keys() == {"flow", "flow_2_coarse", *(f"flow_{level}" for level in LEVELS)}
    for key, flow in alone.items():
        level = 2 if key == "flow" else int(key[5])
        assert flow.shape == (1, 2, 64 >> level, 128 >> level)
        torch.testing.assert_close(together[key][1:], flow, atol=1e-3 if key == "flow" else 5e-5, rtol=0)
    assert torch.equal(alone["flow"], 20 * alone["flow_2"])
    assert not torch.equal(alone["flow_2"], alone["flow_2_coarse"])


def test_every_parameter_learns(network):
    outputs = network(*torch.rand(2, 1, 3, 64, 64))
    sum(outputs[f"flow_{level}"].square().sum() for level in LEVELS).backward()
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    network.zero_grad(set_to_none=True)
    assert still == []


@torch.no_grad()
def test_small_ends_before_the_context_network(network):
    small = PWCNet("PWC-Net_small").eval()
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("context.")}
    checkpoint_file.load_strict(small, state)
    frames = torch.rand(2, 1, 3, 64, 64)
    found = small(*frames)
    assert torch.equal(found["flow_2"], found["flow_2_coarse"])
    assert torch.equal(found["flow_2"], network(*frames)["flow_2_coarse"])


@pytest.mark.parametrize(
    ("prv", "nxt"),
    [((1, 3, 64, 96), (1, 3, 64, 96)), ((1, 3, 64, 64), (1, 3, 64, 128)), ((1, 4, 64, 64),) * 2, ((3, 64, 64),) * 2],
)
def test_frames_that_do_not_fit_are_refused(network, prv, nxt):
    with pytest.raises(ValueError, match=r"expected one shape \(B, 3, H, W\), H and W multiples of 64; `estimate` "):
        network(torch.zeros(prv), torch.zeros(nxt))


def test_estimate_refuses_frames_of_two_sizes(network):
    with pytest.raises(ValueError, match=r"\(1, 3, 9, 9\) and \(1, 3, 9, 8\): expected one shape \(B, 3, H, W\)$"):
        network.estimate(torch.zeros(1, 3, 9, 9), torch.zeros(1, 3, 9, 8))


def test_estimate_enlarges_any_size_and_scales_the_flow_back(network, monkeypatch):
    given = []

    def constant(prv, nxt):
        given.extend((prv, nxt))
        return {"flow": torch.tensor([8.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 16, 32)}

    monkeypatch.setattr(network, "forward", constant)
    flow = network.estimate(torch.full((1, 3, 33, 100), 0.25), torch.full((1, 3, 33, 100), 0.5))
    assert [frame.shape for frame in given] == [(1, 3, 64, 128)] * 2
    assert [frame.unique().tolist() for frame in given] == [[0.25], [0.5]]
    assert flow.shape == (1, 2, 33, 100)
    torch.testing.assert_close(flow[:, 0], torch.full((1, 33, 100), 8 * 100 / 128))
    torch.testing.assert_close(flow[:, 1], torch.full((1, 33, 100), -4 * 33 / 64))


def test_what_is_partly_outside_is_zero():
    x = torch.rand(1, 3, 5, 6) + 1

    def warped(right, inside):
        return masked_warp(x, torch.tensor([right, 0.0]).view(1, 2, 1, 1).expand(1, 2, 5, 6), inside)

    torch.testing.assert_close(warped(0.0, INSIDE), x)
    half = warped(0.5, INSIDE)
    torch.testing.assert_close(half[..., :-1], (x[..., :-1] + x[..., 1:]) / 2)
    assert not half[..., -1].any()
    # Half a thousandth of the first column is outside.
    assert not warped(-5e-4, INSIDE)[..., 0].any()
    torch.testing.assert_close(warped(-5e-4, INSIDE_OLD)[..., 0], x[..., 0] * (1 - 5e-4), atol=1e-5, rtol=0)


# Names


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module."])
@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_is_read(naming, prefix, wrapped):
    own = weights()
    value = {f"{prefix}{name}": tensor for name, tensor in named(own, naming).items()}
    state, variant = adapt({"state_dict": value, "epoch": 3} if wrapped else value)
    inside = {"own": 0.5, "nvlabs": 0.9999}.get(naming, 0.999)
    assert state.pop("inside").item() == pytest.approx(inside)
    assert variant == "PWC-Net"
    assert state == own


@pytest.mark.parametrize("naming", ["own", "nvlabs"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_tells_the_variant(variant, naming):
    own = weights(variant)
    theirs = named(own, naming, variant)
    if naming == "nvlabs":  # a layer that no output needs
        theirs |= {"deconv2.weight": torch.zeros(2, 2, 4, 4), "deconv2.bias": torch.zeros(2)}
    state, found = adapt(theirs)
    inside = {"own": 0.5}.get(naming, 0.999 if variant == "PWC-Net_old" else 0.9999)
    assert state.pop("inside").item() == pytest.approx(inside)
    assert (found, state) == (variant, own)


def test_names_are_those_of_the_published_code():
    table = layers("PWC-Net")
    assert [table[f"pyramid.5.{place}"][0] for place in range(3)] == ["conv6aa.0", "conv6a.0", "conv6b.0"]
    assert table["pyramid.0.1"] == ("conv1aa.0", "netExtractor.netOne.2")
    assert table["decoder.2.up_feature"] == ("upfeat3", "netTwo.netUpfeat")
    assert table["decoder.6.dense.4"] == ("conv6_4.0", "netSix.netFiv.0")
    assert table["decoder.4.flow"] == ("predict_flow4", "netFou.netSix.0")
    assert table["context.5"] == ("dc_conv6.0", "netRefiner.netMain.10")
    assert table["context.6"] == ("dc_conv7", "netRefiner.netMain.12")
    assert [layers("PWC-Net_old")[f"pyramid.5.{place}"][0] for place in range(2)] == ["conv6a.0", "conv6b.0"]


@pytest.mark.parametrize(
    ("naming", "gone"),
    [
        ("own", "decoder.3.dense.1.bias"),
        ("nvlabs", "conv3_1.0.bias"),
        ("sniklaus", "netThr.netTwo.0.bias"),
        ("published", "moduleThr.moduleTwo.0.bias"),
    ],
)
def test_missing_and_unexpected_tensors_are_told_by_the_names_in_the_file(naming, gone):
    state = named(weights(), naming)
    del state[gone]
    with pytest.raises(ValueError, match=rf"^a\.pth: not a checkpoint of PWC-Net; 1 missing: {gone}$"):
        adapt(state, "a.pth")
    for extra in "abcde":
        state[f"extra.{extra}"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"; 5 unexpected: extra\.a, extra\.b, extra\.c and 2 more$"):
        adapt(state, "a.pth")


def test_two_namings_in_one_file_are_refused():
    with pytest.raises(ValueError, match="126 unexpected: context"):
        adapt(named(weights(), "nvlabs") | weights())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"flow.weight": torch.zeros(1)}, "not a checkpoint of PWC-Net: expected tensors named as NVlabs'"),
        ({"state_dict": {"a": 1}}, "expected a state dict"),
        ({}, "expected a state dict"),
    ],
)
def test_other_files_are_refused(value, message):
    with pytest.raises(ValueError, match=rf"^a\.pth: {message}"):
        adapt(value, "a.pth")


def test_a_tensor_of_another_shape_is_refused(network):
    state = network.state_dict() | {"context.6.bias": torch.zeros(3)}
    state, _ = adapt(state, "a.pth")
    with pytest.raises(ValueError, match=r"1 of another shape: context\.6\.bias \(3,\) instead of \(2,\)$"):
        checkpoint_file.load_strict(network, state, "a.pth")
