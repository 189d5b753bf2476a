"""The names of PWC-Net's tensors in every published file."""

import pytest
import torch

from common.checkpoints import checkpoint_file
from qpwcnet.pwcnet import VARIANTS, PWCNet
from qpwcnet.pwcnet_tensor_names import adapt, layers

NAMINGS = ("own", "nvlabs", "sniklaus", "published")


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


def test_a_tensor_of_another_shape_is_refused():
    network = PWCNet()
    state = network.state_dict() | {"context.6.bias": torch.zeros(3)}
    state, _ = adapt(state, "a.pth")
    with pytest.raises(ValueError, match=r"1 of another shape: context\.6\.bias \(3,\) instead of \(2,\)$"):
        checkpoint_file.load_strict(network, state, "a.pth")
