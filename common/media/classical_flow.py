"""Optical flow without a network: what OpenCV finds, as a baseline and as a teacher."""

import cv2
import numpy as np


def dis_flow(first: np.ndarray, second: np.ndarray, preset: int = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) -> np.ndarray:
    """Flow from the first frame to the second by dense inverse search (Kroeger et al., ECCV 2016), OpenCV's form of it.

    Args:
        first: HxWx3 uint8 RGB.
        second: the same size.
        preset: of OpenCV; medium if not given.

    Returns:
        HxWx2 float32 in pixels, x to the right, then y down.
    """
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    return cv2.DISOpticalFlow_create(preset).calc(*grey, None)
