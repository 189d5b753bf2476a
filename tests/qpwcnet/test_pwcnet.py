"""Standard PWC-Net: the network and the mask of its warp."""

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.ops import complexity
from common.ops.memory_format import layout_of
from qpwcnet.pwcnet import INSIDE, INSIDE_OLD, LEVELS, VARIANTS, PWCNet, masked_warp
from qpwcnet.pwcnet_tensor_names import layers

PARAMETERS = {"PWC-Net": 9_374_274, "PWC-Net_old": 8_749_280 - 66, "PWC-Net_small": 9_374_274 - 1_131_266}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PWCNet().eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_have_the_published_parameters_and_our_names(network, variant):
    network = network if variant == "PWC-Net" else PWCNet(variant)
    assert complexity.parameters(network) == PARAMETERS[variant]
    assert network.state_dict().keys() == {
        f"{layer}.{kind}" for layer in layers(variant) for kind in ("weight", "bias")
    } | {"inside"}


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
