"""Mixed precision by the values of the flag."""

import pytest
import torch
import torch.nn.functional as F

from common import cli
from common.ops import autocast as precision
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


def test_auto_is_what_the_hardware_has(monkeypatch):
    for has, expected in ((True, "bf16"), (False, "off")):
        monkeypatch.setattr(precision, "has_bf16", lambda has=has: has)
        assert precision.choose(CPU, "auto") == expected
        assert precision.choose(CPU, "fp16") == "fp16"
    for capability, expected in (((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "off")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert precision.choose(torch.device("cuda"), "auto") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx2\n", False),
        ("", False),
    ],
)
def test_bf16_in_hardware_is_read_from_the_processor(monkeypatch, text, expected):
    monkeypatch.undo()  # what the tests are kept from asking
    monkeypatch.setattr(precision.Path, "read_text", lambda path: text)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert precision.has_bf16.__wrapped__() is expected


def test_values_of_the_flag():
    assert cli.AMP == ("auto", *TYPES)
    with pytest.raises(KeyError):
        autocast(CPU, "int8")
