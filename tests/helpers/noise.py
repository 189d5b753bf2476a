"""Image files of noise, unlike for unlike seeds."""

import numpy as np

from common.media.image import write_image


def picture(path, height=24, width=32, seed=0):
    write_image(path, np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))
