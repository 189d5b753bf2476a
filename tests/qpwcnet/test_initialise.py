"""What a training starts from: other weights, or kernels whose values keep their size."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from common.checkpoints import checkpoint_file
from common.cli import UsageError
from qpwcnet.config import PRESETS
from qpwcnet.deploy import quantize
from qpwcnet.initialise import initialise, start_file, start_kaiming, transfer
from qpwcnet.model import COSTS, Flower, Interpolator

FILTERS = (4, 4, 4, 8, 8)


def pair(seed: int, count: int) -> torch.Tensor:
    return torch.rand(2, count, 3, 32, 64, generator=torch.Generator().manual_seed(seed))


def test_flow_starts_from_an_interpolator_and_nothing_else_does(tmp_path):
    torch.manual_seed(0)
    source = Interpolator(FILTERS, activation="leaky_relu")
    network = Flower(FILTERS, activation="leaky_relu")
    transfer(network, source, "pre.pytorch")
    assert torch.equal(network.flower[4].flow.weight, source.flower[4].flow.weight)
    with pytest.raises(ValueError, match=r"pre\.pytorch: .*encoder"):
        transfer(Flower((4, 4, 4, 8, 16)), source, "pre.pytorch")
    with pytest.raises(ValueError, match="missing"):
        transfer(Interpolator(FILTERS), network, "flow.pytorch")


def test_kaiming_brings_costs_and_features_to_their_spreads():
    torch.manual_seed(0)
    network, frames = Flower(FILTERS, activation="hard_swish"), pair(1, 8)
    start_kaiming(network, *frames)
    assert network.encoder[0].conv_a.weight.mean((1, 2, 3)).abs().max() < 1e-6
    level, seen = network.flower[4], {}
    level.feat[0].depthwise.register_forward_hook(lambda _, x, y: seen.update(x=x[0]))
    network.levels(*network.features(*frames))
    spread = seen["x"].std((0, 2, 3))
    scaled = level.feat[0].depthwise.weight.flatten(1).std(1) * spread
    ratio = scaled[:COSTS].mean() / scaled[COSTS:].mean()
    assert 2 < ratio < 5  # 1 to 0.3


def test_a_file_is_started_from_and_what_is_another_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("qpwcnet.initialise.CALIBRATING", 2)
    torch.manual_seed(0)
    source = Interpolator(FILTERS, activation="mish")
    checkpoint_file.save(source.state_dict(), tmp_path / "pre.pytorch")
    config = dataclasses.replace(PRESETS["flow_tiny_qat"], filters=FILTERS, activation="leaky_relu", scale_size=())
    options = SimpleNamespace(ckpt_abs_name=str(tmp_path / "pre.pytorch"), log_root=str(tmp_path))
    prv, nxt = pair(2, 2)
    samples = [{"prv": prv[k], "nxt": nxt[k]} for k in (0, 1)]
    network, told = Flower(FILTERS, activation="leaky_relu"), []
    initialise(network, options, config, samples, told.append)
    assert told == [
        f"starts from the weights of {tmp_path / 'pre.pytorch'}",
        "warning: activation was mish there and is leaky_relu here",
    ]
    assert torch.equal(network.encoder[1].conv_b.weight, source.encoder[1].conv_b.weight)
    assert quantize.is_prepared(network)
    assert network.encoder[1].conv_b.ranges.isfinite().all()


def test_without_a_run_to_start_from(tmp_path):
    options = SimpleNamespace(ckpt_abs_name=None, log_root=str(tmp_path))
    assert start_file(options, PRESETS["flow_tiny"]) is None
    with pytest.raises(UsageError, match="no weights of flow_tiny to start from: train them"):
        start_file(options, PRESETS["flow_tiny_qat"])
