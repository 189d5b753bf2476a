"""Padding to the sizes that a network takes, on two sides and on four, and back."""

import pytest
import torch
import torch.nn.functional as F

from common.ops.pad import pad_centred, pad_to_multiple


@pytest.mark.parametrize("mode", ["replicate", "reflect", "zeros"])
@pytest.mark.parametrize("shape", [(2, 3, 17, 64), (1, 1), (2, 5, 3, 3, 7), (3, 2), (1, 4, 128, 1)])
def test_pad_and_unpad_restore_the_image(shape, mode):
    x = torch.rand(shape)
    padded, unpad = pad_to_multiple(x, 64, mode)
    assert padded.shape[-2] % 64 == 0
    assert padded.shape[-1] % 64 == 0
    assert padded.shape[:-2] == x.shape[:-2]
    assert max(padded.shape[-2] - shape[-2], padded.shape[-1] - shape[-1]) < 64
    assert torch.equal(unpad(padded), x)
    enlarged = padded.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert torch.equal(unpad(enlarged, scale=4), x.repeat_interleave(4, -1).repeat_interleave(4, -2))


@pytest.mark.parametrize("mode", ["replicate", "reflect", "constant"])
def test_pad_equals_torch_where_torch_can(mode):
    x = torch.rand(2, 3, 30, 45)
    padded, _ = pad_to_multiple(x, 16, "zeros" if mode == "constant" else mode)
    assert torch.equal(padded, F.pad(x, (0, 3, 0, 2), mode=mode))


def test_pad_leaves_fitting_sizes_and_keeps_dtype_and_gradient():
    x = torch.randint(0, 255, (3, 32, 64), dtype=torch.uint8)
    assert pad_to_multiple(x, 32)[0] is x
    assert pad_to_multiple(x, 60)[0].dtype == torch.uint8
    leaf = torch.ones(1, 1, 2, 3, requires_grad=True)
    pad_to_multiple(leaf, 4)[0].sum().backward()
    assert leaf.grad.tolist() == [[[[1, 1, 2], [3, 3, 6]]]]


@pytest.mark.parametrize(
    ("shape", "multiple", "mode"), [((3, 0, 4), 8, "replicate"), ((4, 4), 0, "zeros"), ((4, 4), 8, "x")]
)
def test_pad_refuses(shape, multiple, mode):
    with pytest.raises(ValueError, match="expected"):
        pad_to_multiple(torch.zeros(shape), multiple, mode)


def test_pad_centred():
    x = torch.arange(2 * 5 * 7.0).view(2, 5, 7)
    padded, unpad = pad_centred(x, 4)
    assert torch.equal(padded, F.pad(x, (0, 1, 1, 2), mode="replicate"))
    assert torch.equal(unpad(padded), x)
    assert pad_centred(x, 1)[0] is x
