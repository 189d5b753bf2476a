"""What to beat: results of classical methods, without a network."""

import re
from collections.abc import Sequence

import cv2
import numpy as np

from common.degrade.by_name import SIGMA
from common.media.classical_flow import interpolate
from toflow.sets import WINDOW

METHODS = {  # of --baseline: what it makes of 2 or 7 frames
    "plain": "the mean of the two frames, or the middle frame as it is",
    "flow": "the frame between two by DIS flow from both sides",
    "median": "the median of the five frames in the middle, pixel by pixel",
    "nlm": "multi-frame non-local means of OpenCV, for noise",
}
FRAMES = {"plain": (2, 7), "flow": (2,), "median": (7,), "nlm": (7,)}  # that a method takes
MIDDLE = WINDOW // 2
NLM_FRAMES, NLM_STRENGTH = 3, 0.55  # frames that it sees; its h for each level of the noise's spread: best here


def classical(frames: Sequence[np.ndarray], method: str = "plain", sigma: float | None = None) -> np.ndarray:
    """The middle of two frames, or the middle one of seven, better.

    Args:
        frames: HxWx3 uint8, as many as `FRAMES` says.
        method: one of `METHODS`.
        sigma: spread of the noise in levels, for nlm; None: as it seems to be.

    Returns:
        HxWx3 float32 in [0, 1].
    """
    if method == "flow":
        return interpolate(*frames, 0.5) / np.float32(255)
    if method == "median":
        return np.median(frames[MIDDLE - 2 : MIDDLE + 3], 0).astype(np.float32) / 255
    if method == "nlm":
        return _non_local_means(frames, sigma)
    if len(frames) == 2:
        return (frames[0].astype(np.float32) + frames[1]) / 510
    return frames[MIDDLE] / np.float32(255)


def spread_of(degradation: str) -> float | None:
    """Spread of a degradation's noise in levels, where its name tells."""
    told = re.fullmatch(r"gaussian_(\d+)", degradation)
    return float(told[1]) if told else SIGMA if degradation in ("gaussian", "mixed", "pytoflow_mixed") else None


def estimate_spread(image: np.ndarray) -> float:
    """Spread of white noise in an HxWx3 uint8 image, in levels, by its median absolute second difference both ways."""
    difference = cv2.filter2D(image.astype(np.float32), -1, np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]))
    return float(np.median(np.abs(difference)) / 0.6745 / 6)  # the mask's norm is 6


def _non_local_means(frames: Sequence[np.ndarray], sigma: float | None) -> np.ndarray:
    strength = NLM_STRENGTH * (estimate_spread(frames[MIDDLE]) if sigma is None else sigma)
    found = cv2.fastNlMeansDenoisingColoredMulti(
        [np.ascontiguousarray(frame[..., ::-1]) for frame in frames], MIDDLE, NLM_FRAMES, None, strength, strength
    )
    return found[..., ::-1] / np.float32(255)
