"""The network as ONNX files hold it computes what the network does."""

import pytest
import torch

from qpwcnet.deploy import onnx_network
from qpwcnet.model import Flower, Interpolator
from qpwcnet.pwcnet import VARIANTS, PWCNet, resize
from tests.helpers.exported_qpwcnet import frames, small


@torch.no_grad()
@pytest.mark.parametrize("kind", [Flower, Interpolator, *VARIANTS])
def test_deployed_form_computes_the_same(kind):
    if isinstance(kind, str):
        torch.manual_seed(0)
        network, pair = PWCNet(kind).eval(), frames((64, 64))
        expected = resize(network(*pair)["flow"], 64, 64)
        found = onnx_network.OnnxNetwork(network, "flow")(*pair)
    else:
        network, pair = small(kind), frames()
        interpolates = kind is Interpolator
        expected = network(*pair)["img_5" if interpolates else "flow_5"]
        found = onnx_network.OnnxNetwork(network, "interp" if interpolates else "flow")(*pair)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def test_gathered_warp_at_and_beyond_the_border():
    x, flow = torch.rand(1, 3, 5, 6), 12 * torch.rand(1, 2, 5, 6) - 6
    flow[..., 0] = 0
    torch.testing.assert_close(onnx_network.gathered_warp(x, flow), onnx_network.model.warp(x, flow), atol=1e-5, rtol=0)
