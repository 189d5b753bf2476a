"""Mixed precision by the values of the flag."""

import pytest
import torch
import torch.nn.functional as F

from common.ops.autocast import TYPES, autocast

CPU = torch.device("cpu")


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_convolutions_compute_in_the_type_that_is_named(amp, dtype):
    image, weight = torch.rand(1, 2, 5, 5), torch.rand(3, 2, 3, 3)
    with autocast(CPU, amp):
        found = F.conv2d(image, weight)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), F.conv2d(image, weight), atol=0.0 if amp == "off" else 0.1, rtol=0)
    assert F.conv2d(image, weight).dtype == torch.float32  # behind the block nothing has changed


def test_off_switches_off_what_is_around_it():
    image, weight = torch.rand(1, 2, 5, 5), torch.rand(3, 2, 3, 3)
    with autocast(CPU, "bf16"), autocast(CPU, "off"):
        assert F.conv2d(image, weight).dtype == torch.float32


def test_values_of_the_flag():
    assert list(TYPES) == ["off", "bf16", "fp16"]
    with pytest.raises(KeyError):
        autocast(CPU, "int8")
