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
    return cv2.DISOpticalFlow_create(preset).calc(_grey(first), _grey(second), None)


def farneback_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Flow from the first frame to the second by polynomials of neighbourhoods (Farnebäck, SCIA 2003), OpenCV's form.

    Arguments and result as in `dis_flow`. Five octaves, windows of 15 pixels, polynomials of 7.
    """
    settings = {"pyr_scale": 0.5, "levels": 5, "winsize": 15, "iterations": 5, "poly_n": 7, "poly_sigma": 1.5}
    return cv2.calcOpticalFlowFarneback(_grey(first), _grey(second), None, **settings, flags=0)


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
