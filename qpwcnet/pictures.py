"""Sample pictures: what the network saw, what it should have made, what it made."""

import numpy as np
import torch
from torch import Tensor

from common.media.flow_color import flow_to_image
from qpwcnet.model import warp


def flow_pictures(prv: Tensor, nxt: Tensor, flow: Tensor, truth: Tensor | None = None) -> dict[str, Tensor]:
    """Pictures (B, 3, H, W) in [0, 1] of frames (B, 3, H, W) and flows (B, 2, H, W) in pixels.

    `flow` and `truth` are in one scale of colours, `warped` is the next frame moved onto the previous one.
    """
    flow = flow.detach().float()
    shown = {"prv": prv, "nxt": nxt, "overlay": (prv + nxt) / 2, "warped": warp(nxt, flow)}
    longest = (flow if truth is None else truth).norm(dim=1).amax((1, 2)).clamp(min=1e-3).tolist()
    shown["flow"] = colours(flow, longest)
    return shown if truth is None else shown | {"truth": colours(truth, longest)}


def interp_pictures(prv: Tensor, nxt: Tensor, pred: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Pictures (B, 3, H, W) under the names that the original gives them."""
    return {"img0": prv, "img1": truth, "img2": nxt, "overlay": (prv + nxt) / 2, "pred-img1": pred.detach().float()}


def colours(flow: Tensor, longest: list[float]) -> Tensor:
    """Middlebury's colours, (B, 3, H, W) in [0, 1]; `longest` is the length of full colour, one for each flow."""
    arrays = flow.permute(0, 2, 3, 1).cpu().numpy()
    images = [flow_to_image(one, scale=scale) for one, scale in zip(arrays, longest, strict=True)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
