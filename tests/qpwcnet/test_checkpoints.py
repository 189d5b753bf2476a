"""What network a file of weights holds, and that network."""

import dataclasses

import pytest
import torch

from common.checkpoints import checkpoint_file
from common.checkpoints.published import entries
from qpwcnet.checkpoints import build, new_network, read
from qpwcnet.config import PRESETS
from qpwcnet.deploy import quantize
from qpwcnet.model import Flower, Interpolator
from qpwcnet.pwcnet import PWCNet

FILTERS = (4, 4, 4, 8, 8)


def test_published_checkpoints_have_a_place_each():
    listed = entries("qpwcnet")
    assert len({entry.file for entry in listed}) == len(listed) == 8
    for entry in listed:
        assert entry.config in {"", "pwcnet_chairs", "pwcnet_sintel"}
        assert entry.source.startswith("https://")
        assert all(url.endswith("/" + entry.file) for url in entry.urls)


@pytest.mark.parametrize("name", ["pre_train_tiny", "flow_tiny", "flow_tiny_qat", "pwcnet_chairs"])
def test_a_file_tells_its_network(name, tmp_path):
    config = dataclasses.replace(PRESETS[name], filters=FILTERS)
    network = new_network(config)
    if config.quantise:
        quantize.prepare(network)
    checkpoint_file.save(network.state_dict(), tmp_path / "w.pytorch")
    found = read(tmp_path / "w.pytorch")
    kinds = {"pre_train_tiny": Interpolator, "pwcnet_chairs": PWCNet}
    assert type(found) is kinds.get(name, Flower)
    assert not found.training
    assert quantize.is_prepared(found) == config.quantise
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value, rtol=0, atol=0, equal_nan=True)
    if name != "pwcnet_chairs":
        assert found.scale_size == config.scale_size
        with pytest.raises(ValueError, match="holds QPWCNet, expected PWC-Net, the network of pwcnet_sintel"):
            read(tmp_path / "w.pytorch", "pwcnet_sintel")


def test_weights_without_settings_are_the_originals():
    state = Interpolator(FILTERS, activation="hard_swish", flow_order="fixed", scale_size=(4, 6)).state_dict()
    del state["settings"]
    network = build(state, "old.pytorch")
    assert (network.flow_order, network.scale_size) == ("original", None)
    state["settings"] = torch.tensor([9, 0, 0, 0])
    with pytest.raises(ValueError, match="expected numbers of activation and flow order"):
        build(state, "old.pytorch")


def test_weights_tell_how_features_are_matched():
    for made in (Flower(FILTERS, match="cosine"), Interpolator(FILTERS, match="cosine", scale_size=(4, 6))):
        found = build(made.state_dict(), "w.pytorch")
        assert (found.match, found.scale_size) == ("cosine", made.scale_size)
    with pytest.raises(ValueError, match="expected numbers of activation and flow order"):
        build(made.state_dict() | {"settings": torch.tensor([0, 0, 0, 0, 7])}, "w.pytorch")
