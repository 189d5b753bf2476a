"""Videos of blurry and sharp frames whose pixels tell where they are from."""

import numpy as np

from common.media.image import write_image
from pvdnet.sets import SUBFOLDERS


def frame(number, height=36, width=40, level=0):
    """A picture whose pixels tell the frame's number and their own place."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 2 + level, columns * 2 + level, np.full_like(rows, number * 5 + level)], -1).astype(
        np.uint8
    )


def make_video(folder, data="nah", count=5, suffix=".png", **size):
    """Blurry frames are 10 levels brighter than their sharp ones."""
    for kind, level in zip(SUBFOLDERS[data], (10, 0), strict=True):
        for number in range(count):
            write_image(folder / kind / f"{number:06d}{suffix}", frame(number, level=level, **size))
    return folder
