"""The deblurring networks: sizes, shapes, memory layouts."""

import pytest
import torch

from common.ops import complexity
from common.ops.memory_format import fastest_layout, layout_of
from pvdnet.models.archs import PVDNet, PVDNet_large, PVDNet_small

FRAME = (1, 3, 32, 36)


@pytest.mark.parametrize(
    ("arch", "parameters"), [(PVDNet, 5_132_579), (PVDNet_large, 17_979_811), (PVDNet_small, 298_411)]
)
def test_parameters_and_result(arch, parameters):
    network = arch.Network(25)
    assert complexity.parameters(network) == parameters
    with torch.no_grad():
        assert network(torch.rand(1, 25, 32, 36), *[torch.rand(FRAME)] * 3).shape == FRAME


def test_the_result_starts_from_the_current_frame():
    network = PVDNet_small.Network(25)
    for parameter in network.end.parameters():
        torch.nn.init.zeros_(parameter)
    previous, current, following = torch.rand(3, *FRAME)
    assert torch.equal(network(torch.rand(1, 25, 32, 36), previous, current, following), current)


def test_layouts_agree_and_training_takes_its_own():
    torch.manual_seed(0)
    network = PVDNet_small.Network(25)
    shapes = [(1, 25, 32, 32), *[(1, 3, 32, 32)] * 3]
    inputs = [torch.rand(shape) for shape in shapes]
    results, seen = {}, []
    network.d0.register_forward_hook(lambda _module, _inputs, output: seen.append(layout_of(output)))
    for layout in (None, torch.contiguous_format, torch.channels_last):
        network.memory_format = layout
        network.zero_grad()
        network(*inputs).square().mean().backward()
        results[layout] = network.d0.weight.grad.clone()
        torch.testing.assert_close(results[layout], results[None], atol=1e-6, rtol=1e-4)
    network.memory_format = None
    with torch.no_grad():
        network(*inputs)
        assert fastest_layout(network) == torch.channels_last
    assert fastest_layout(network) == torch.contiguous_format
    assert fastest_layout(network.requires_grad_(False)) == torch.channels_last
    assert seen == [torch.contiguous_format] * 2 + [torch.channels_last] * 2
