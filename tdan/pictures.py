"""Sample pictures of training: what the network saw, made, and where it looked."""

import numpy as np
import torch
from torch import Tensor

from common.degrade.matlab_imresize import imresize
from common.media.flow_color import flow_to_image
from common.training.sample_pictures import grid
from tdan.model import MIDDLE


def pictures(frames: Tensor, target: Tensor, outputs: dict[str, Tensor], scale: int) -> dict[str, np.ndarray]:
    """Sample pictures of a batch's first clip, HxWx3 uint8.

    `compared`: the middle frame enlarged by nearest neighbour and bicubically, the result, the truth; `frames`: what
    the network saw; `aligned`: these, moved onto the middle one; `motion`: where it looked in the neighbours.

    Args:
        frames: (B, 5, 3, H, W) in [0, 1].
        target: (B, 3, scale H, scale W) in [0, 1].
        outputs: of the network.
        scale: 2 or 4.
    """
    low = frames[0, MIDDLE].cpu().permute(1, 2, 0).numpy()  # h w 3
    nearest = torch.from_numpy(low.repeat(scale, 0).repeat(scale, 1)).permute(2, 0, 1)  # 3 H W
    bicubic = torch.from_numpy(imresize(low, scale=scale)).permute(2, 0, 1)
    motions = outputs["motion"][0].detach().float().cpu().permute(0, 2, 3, 1).numpy()  # K h w 2
    colours = torch.stack([torch.from_numpy(flow_to_image(motion)).permute(2, 0, 1) / 255 for motion in motions])
    shown = {
        "compared": torch.stack([nearest, bicubic, outputs["pred"][0].detach().float().cpu(), target[0].cpu()]),
        "frames": frames[0],
        "aligned": outputs["aligned"][0],
        "motion": colours,
    }
    return {key: grid(images) for key, images in shown.items()}
