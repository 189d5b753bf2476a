"""How a clip moves: differences of flow, warping error, flicker; one name for every published definition.

Frames are HxWx3 uint8 RGB, flows HxWx2 float in pixels (x, then y), NumPy arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of two frames, from the first to the second


@dataclass(frozen=True)
class TemporalProtocol:
    """One definition of a measure along time, of two consecutive frames; a clip's value is the mean over its pairs.

    Attributes:
        name: what outputs print.
        source: where it is from.
        kind: "tof" compares the flow of the clip with that of the reference; "warp" the clip's second frame, moved to
            the first by the reference's flow, with the first.
        norm: "l1" (sum of absolute components), "l2" (length), "squared" (mean square).
        masked: "warp" leaves out what the reference's flows, there and back, do not agree on, and edges of motion.
        peak: value of white in the compared frames.
    """

    name: str
    source: str
    kind: str
    norm: str
    masked: bool = False
    peak: float = 1.0


TOF_L1 = TemporalProtocol("tOF_l1", "TecoGAN (Chu et al., TOG 2020), as the paper writes it", "tof", "l1")
TOF_L2 = TemporalProtocol("tOF_l2", "the same as an end-point error, as it is often computed", "tof", "l2")
WARP_MASKED = TemporalProtocol(
    "Ewarp", "Lai et al., ECCV 2018: mean square outside occlusions, RGB in [0, 1]", "warp", "squared", masked=True
)
WARP_WHOLE = TemporalProtocol("Ewarp_whole", "mean absolute difference of all pixels, levels", "warp", "l1", peak=255)
PROTOCOLS = (TOF_L1, TOF_L2, WARP_MASKED, WARP_WHOLE)


def flow_difference(flow: np.ndarray, reference: np.ndarray, norm: str) -> float:
    """Mean over the pixels of the difference of two flows: the sum of its absolute components, or its length."""
    difference = flow.astype(np.float64) - reference
    if norm == "l1":
        return float(np.abs(difference).sum(-1).mean())
    return float(np.hypot(difference[..., 0], difference[..., 1]).mean())


def warped(frame: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`frame` read at p + flow(p), bilinear, HxWx3 float32, and where that lies inside, HxW bool."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # cv2.remap rounds places to 1/32 of a pixel; these four reads do not
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2).clip(0), np.minimum(y.astype(int), height - 2).clip(0)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = (x - left)[..., None], (y - top)[..., None]
    image = frame.astype(np.float32)
    upper = image[top, left] * (1 - a) + image[top, right] * a
    lower = image[below, left] * (1 - a) + image[below, right] * a
    return upper * (1 - b) + lower * b, inside


def seen_in_both(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where two flows agree, and no edge of motion lies: HxW bool (Ruder et al., GCPR 2016, section 3.2).

    |w + w'|^2 <= 0.01 (|w|^2 + |w'|^2) + 0.5 with w' the way back from where w leads, and |grad u|^2 + |grad v|^2 <=
    0.01 |w|^2 + 0.002.
    """
    back, inside = warped(np.dstack((backward, backward[..., :1])), forward)
    back = back[..., :2]
    square = (forward**2).sum(-1)
    agree = ((forward + back) ** 2).sum(-1) <= 0.01 * (square + (back**2).sum(-1)) + 0.5
    gradient = sum((np.stack(np.gradient(forward[..., k])) ** 2).sum(0) for k in range(2))
    return inside & agree & (gradient <= 0.01 * square + 0.002)


def warping_error(
    first: np.ndarray, moved: np.ndarray, inside: np.ndarray, seen: np.ndarray, protocol: TemporalProtocol
) -> float:
    """Difference of `first` and of what `warped` moved onto it, over the pixels `seen`, or `inside` where the protocol
    has no mask; 0 where there are none.
    """
    difference = (moved.astype(np.float64) - first) * (protocol.peak / 255)
    values = np.abs(difference) if protocol.norm == "l1" else difference**2
    values = values[seen if protocol.masked else inside]
    return float(values.mean()) if values.size else 0.0


def brightness(frame: np.ndarray) -> float:
    """Mean luma in levels; flicker is how much more it changes from frame to frame than the reference's."""
    return float(cv2.mean(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))[0])
