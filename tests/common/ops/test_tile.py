"""Tiles: one call's result where the network is local, one size for all of them, no seam."""

import pytest
import torch

from common.ops.tile import tiled


@pytest.mark.parametrize("size", [(64, 64), (65, 130), (40, 200), (151, 33), (64, 65)])
@pytest.mark.parametrize("overlap", [0, 1, 5, 32])
def test_tiled_identity(size, overlap):
    x = torch.rand(2, 3, *size)
    assert (tiled(lambda part: part, x, tile=64, overlap=overlap) - x).abs().max() < 1e-6


def test_tiled_is_exact_when_one_tile_covers_the_image():
    x = torch.rand(1, 3, 50, 60)
    conv = torch.nn.Conv2d(3, 4, 5, padding=2)
    for tile in (60, 100, 0):
        assert torch.equal(tiled(conv, x, tile=tile, overlap=20), conv(x))


def test_tiled_convolution_has_no_seam():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 150, 170)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 9, padding=4)
    )  # looks 6 pixels far: 3/8 of an overlap of 16
    with torch.no_grad():
        assert (tiled(network, x, tile=64, overlap=16) - network(x)).abs().max() < 1e-5


def test_tiled_with_scale_clips_and_one_tile_size():
    x = torch.rand(1, 2, 3, 70, 90)
    sizes = set()

    def enlarge(part):
        sizes.add(tuple(part.shape[-2:]))
        return part[:, 0].repeat_interleave(4, -1).repeat_interleave(4, -2).to(torch.bfloat16)

    output = tiled(enlarge, x, tile=32, overlap=8, scale=4)
    whole = enlarge(x)
    assert output.dtype == torch.bfloat16
    assert sizes == {(32, 32), (70, 90)}
    assert (output.float() - whole.float()).abs().max() <= 2**-8


def test_tiled_refuses():
    x = torch.rand(1, 3, 100, 100)
    with pytest.raises(ValueError, match="overlap"):
        tiled(lambda part: part, x, tile=32, overlap=17)
    with pytest.raises(ValueError, match="expected 2 times"):
        tiled(lambda part: part, x, tile=32, overlap=8, scale=2)
