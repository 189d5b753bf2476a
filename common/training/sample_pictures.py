"""Sample pictures of a training: a batch laid out in rows, and the files of a step."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.media.image import to_uint8, write_image


def grid(images: Tensor, columns: int = 3) -> np.ndarray:
    """Lay out a batch in rows.

    Args:
        images: (B, 3, H, W) in [0, 1]; values outside are clamped.
        columns: pictures per row.

    Returns:
        uint8 picture, a 2-pixel black line between its parts.
    """
    images = images.detach().float().cpu().nan_to_num(0)
    batch, _, height, width = images.shape
    columns = min(columns, batch)
    rows = -(-batch // columns)
    canvas = torch.zeros(3, rows * (height + 2) + 2, columns * (width + 2) + 2)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + 2) + 2, (number % columns) * (width + 2) + 2
        canvas[:, top : top + height, left : left + width] = image
    return to_uint8(canvas.permute(1, 2, 0).numpy())


def save(folder: Path, prefix: str, pictures: dict[str, np.ndarray]) -> None:
    """Write `{prefix}_{n:02}_{key}.jpg` for every picture."""
    for number, (key, picture) in enumerate(pictures.items(), 1):
        write_image(folder / f"{prefix}_{number:02}_{key}.jpg", picture)
