"""Automatic mixed precision by the values of the flag `--amp`."""

import re
from functools import cache
from pathlib import Path

import torch

TYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """A `with` block in which convolutions compute in the type that `amp` names; "off" changes nothing."""
    amp = choose(device, amp)
    return torch.autocast(device.type, TYPES[amp], enabled=amp != "off")


def choose(device: torch.device, amp: str) -> str:
    """What `auto` is on a device: bf16 where its hardware has it, else fp16 where a card has that, else off."""
    if amp != "auto":
        return amp
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "off"
    return "bf16" if device.type == "cpu" and has_bf16() else "off"


@cache
def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    flags = {"avx512_bf16", "amx_bf16", "bf16"}  # the last one is Arm's
    return torch.ops.mkldnn._is_mkldnn_bf16_supported() and not flags.isdisjoint(_processor_flags())


def _processor_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()
