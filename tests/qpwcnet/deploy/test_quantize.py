"""int8's rounding in PyTorch: what it does to values, gradients, ranges and checkpoints."""

import copy

import pytest
import torch

from qpwcnet.deploy import quantize
from qpwcnet.model import Flower
from qpwcnet.pwcnet import PWCNet


def small(**more):
    torch.manual_seed(0)
    return Flower((4, 4, 8, 8, 8), activation="leaky_relu", **more).eval()


def frames(batch=1):
    return torch.rand(2, batch, 3, 64, 64, generator=torch.Generator().manual_seed(1)).unbind()


def test_scale_and_zero_keep_zero_exact():
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)):
        scale, zero = quantize.scale_and_zero(torch.tensor(low), torch.tensor(high))
        values = torch.tensor([0.0, low, high])
        rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, 255)
        assert rounded[0] == 0
        torch.testing.assert_close(rounded, values, atol=scale.item() / 2 + 1e-6, rtol=0)


def test_what_is_rounded():
    network = small()
    names = set(network.state_dict())
    assert not quantize.is_prepared(network)
    quantize.prepare(network)
    assert quantize.is_prepared(network)
    added = set(network.state_dict()) - names
    assert names <= set(network.state_dict())
    assert added == {f"{name}.ranges" for name in (
        *(f"encoder.{k}.{conv}" for k in range(5) for conv in ("conv_a", "conv_aa", "conv_b")),
        *(f"decoder.{k}" for k in range(4)), *(f"flower.{k}.conv" for k in range(4)),
        *(f"flower.{k}.feat.{j}.depthwise" for k in range(4) for j in range(1, 4)),  # the first reads costs
        *(f"flower.{k}.feat.{j}.pointwise" for k in range(4) for j in range(4)),
        *(f"flower.4.feat.{layer}" for layer in ("0.pointwise", "1.depthwise", "1.pointwise")),  # the last make pixels
    )}  # fmt: skip
    assert quantize.has_ranges(network.state_dict())
    assert not quantize.has_ranges(small().state_dict())
    with torch.device("meta"):
        heads = [name for name, layer in quantize.prepare(PWCNet()).named_modules()
                 if isinstance(layer, quantize.CONVOLUTIONS) and not hasattr(layer, "ranges")]  # fmt: skip
    expected = {f"decoder.{k}.flow" for k in "65432"} | {"context.6"}
    assert set(heads) == expected | {f"decoder.{k}.{up}" for k in "5432" for up in ("up_flow", "up_feature")}


def test_a_state_tells_what_was_rounded():
    layer = "flower.4.conv"  # which the rules leave in float
    network = quantize.prepare(small(), {f"{layer}.ranges": torch.zeros(2, 2)})
    assert [name for name in network.state_dict() if name.endswith(".ranges")] == [f"{layer}.ranges"]


def test_calibration_takes_the_extremes_and_rounds_a_little():
    network, pairs = small(), [frames(), [x / 2 for x in frames()]]
    exact = network(*pairs[0])["flow_5"]
    seen = []
    network.encoder[0].conv_a.register_forward_hook(lambda _, x, y: seen.append((x[0], y.clone())))
    for pair in pairs:
        network(*pair)
    expected = torch.stack([torch.stack(torch.cat(x).aminmax()) for x in zip(*seen, strict=True)])
    quantize.calibrate(quantize.prepare(network), pairs)
    torch.testing.assert_close(network.encoder[0].conv_a.ranges, expected)
    assert all(layer.ranges.isfinite().all() for layer in network.modules() if hasattr(layer, "ranges"))
    rounded = network(*pairs[0])["flow_5"]
    assert 0 < (rounded - exact).norm() < 0.3 * exact.norm()
    # Values far from the ends of wide ranges are rounded to few steps, so the error grows.
    for layer in network.modules():
        if hasattr(layer, "ranges"):
            layer.ranges *= 30
    assert (network(*pairs[0])["flow_5"] - exact).norm() > 2 * (rounded - exact).norm()


def test_training_moves_ranges_and_weights_but_evaluation_does_not():
    network = quantize.prepare(small()).train()
    network(*frames(2))
    first = network.encoder[1].conv_a.ranges.clone()
    assert first.isfinite().all()
    network(*[x / 2 for x in frames(2)])
    second = network.encoder[1].conv_a.ranges.clone()
    low, high = first[0].abs().max(), second[0].abs().max()
    assert 0.9 * low < high < low  # a twentieth of the way
    loss = network(*frames(2))["flow_5"].square().mean()
    loss.backward()
    for name, weight in network.named_parameters():
        assert weight.grad.isfinite().all()
        assert name.endswith("bias") or weight.grad.abs().max() > 0, name
    kept = copy.deepcopy(network.state_dict())
    network.eval()(*frames(2))
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("transposed", [False, True])
def test_rounded_values_and_straight_gradients(transposed):
    torch.manual_seed(0)
    layer = torch.nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1) if transposed else torch.nn.Conv2d(4, 6, 3)
    plain = copy.deepcopy(layer)
    layer = quantize.prepare(torch.nn.Sequential(layer))[0].eval()
    assert isinstance(layer, type(plain))
    x = torch.rand(1, 4, 8, 8)
    layer.ranges.copy_(torch.tensor([[0.0, 1.0], [-4.0, 4.0]]))
    axis = 1 if transposed else 0
    scale = plain.weight.detach().abs().amax([k for k in range(4) if k != axis], keepdim=True) / 64
    weight = (plain.weight / scale).round() * scale
    with torch.no_grad():
        plain.weight.copy_(weight)
        exact = plain((x * 255).round() / 255)
    found = layer(x)
    torch.testing.assert_close(found, exact, atol=4 / 255 + 1e-5, rtol=0)
    steps = found * 255 / 8
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    found.sum().backward()
    plain((x * 255).round() / 255).sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)


def test_state_dict_round_trip_and_undo():
    network = quantize.prepare(small())
    quantize.calibrate(network, [frames()])
    other = quantize.prepare(small(scale_size=(64, 64)))
    other.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(other(*frames())["flow_4"], network(*frames())["flow_4"])
    copied = copy.deepcopy(network)
    ranges = quantize.take_ranges(copied)
    assert torch.equal(ranges["decoder.1"], network.decoder[1].ranges)
    assert not quantize.is_prepared(copied)
    assert type(copied.decoder[1]) is torch.nn.ConvTranspose2d
    assert torch.equal(copied(*frames())["flow_5"], small()(*frames())["flow_5"])
    small().load_state_dict(copied.state_dict(), strict=True)
