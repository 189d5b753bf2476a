"""Automatic mixed precision by the values of the flag `--amp`."""

import torch

TYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """A `with` block in which convolutions compute in the type that `amp` names; "off" changes nothing."""
    return torch.autocast(device.type, TYPES[amp], enabled=amp != "off")
