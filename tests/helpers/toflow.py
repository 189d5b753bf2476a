"""Narrow networks of TOFlow and clips for them."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from toflow.model import FORMS, TOFlow

NCHW = torch.contiguous_format
SMALL = {"widths": (4, 6, 5, 3), "channels": 8}


def build(form, seed=0, **changes):
    """A narrow network where what starts at zero is random too, so that every part moves the result."""
    torch.manual_seed(seed)
    network = TOFlow(replace(FORMS[form], **SMALL | changes))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return network.eval()


def smooth_clips(form, batch=1, height=32, width=48, seed=1):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch * FORMS[form].frames, 3, height // 4, width // 4, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return smooth.unflatten(0, (batch, -1))
