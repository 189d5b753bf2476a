"""Optical flow without a network: what OpenCV finds, as a baseline and as a teacher; and frames made with it."""

import cv2
import numpy as np

UNSURE = 1e-3  # the least weight of a flow
EMPTY = 1e-2  # weight below which nothing is known of a pixel


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


FLOWS = {"dis": dis_flow, "farneback": farneback_flow}


def interpolate(
    first: np.ndarray, second: np.ndarray, t: float, preset: int = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
) -> np.ndarray:
    """A frame between two, by DIS flow from both sides: what a network has to beat.

    Both flows are moved to time t, where flows that agree with each other weigh more, and averaged to one motion; what
    no pixel moves to takes the motion around it. Both frames are warped by it and blended by t; what only one of them
    shows is taken from that one.

    Args:
        first: HxWx3 uint8 RGB.
        second: the same size.
        t: its time, 0 (first) to 1 (second).
        preset: of OpenCV's DIS.

    Returns:
        HxWx3 float32 in [0, 255].
    """
    forward, backward = dis_flow(first, second, preset), dis_flow(second, first, preset)
    seen = (
        _moved(forward, t * forward, _agreement(forward, backward)),
        _moved(-backward, (1 - t) * backward, _agreement(backward, forward)),
    )  # HxWx3 each: a weight, and the motion from first to second times it
    motion = _filled(seen[0] + seen[1])  # HxWx2
    shares = [cv2.GaussianBlur(np.clip(part[..., 0], 0, 1), (0, 0), 2) + EMPTY for part in seen]
    share = ((1 - t) * shares[0] / ((1 - t) * shares[0] + t * shares[1])).astype(np.float32)
    pictures = _warped(first, -t * motion), _warped(second, (1 - t) * motion)
    return pictures[1] + share[..., None] * (pictures[0] - pictures[1])


def _grid(height: int, width: int) -> np.ndarray:
    """Every pixel's own place, HxWx2: x, y."""
    return np.stack(np.meshgrid(*(np.arange(length, dtype=np.float32) for length in (width, height))), 2)


def _warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """What the flow points to, bilinear, edges repeated: HxWxC float32."""
    return cv2.remap(
        image.astype(np.float32), _grid(*flow.shape[:2]) + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _agreement(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """How far a flow and that back to where it began cancel, HxW: 1, or less where something is hidden or wrong."""
    return np.exp(-np.linalg.norm(flow + _warped(back, flow), axis=2)) + UNSURE


def _moved(values: np.ndarray, shift: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where pixels arrive that move by `shift`, each shared among four: sums of weights and of weighted values."""
    height, width = weights.shape
    place = _grid(height, width) + shift
    corner = np.floor(place).astype(np.int64)
    part = place - corner
    sums = np.zeros((3, height * width))
    layers = np.stack((weights, weights * values[..., 0], weights * values[..., 1]))
    for right in (0, 1):
        for below in (0, 1):
            x, y = corner[..., 0] + right, corner[..., 1] + below
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            near = np.abs(1 - right - part[..., 0]) * np.abs(1 - below - part[..., 1])
            at = (y * width + x)[inside]
            for total, layer in zip(sums, layers, strict=True):
                total += np.bincount(at, (near * layer)[inside], height * width)
    return np.moveaxis(sums.reshape(3, height, width), 0, 2)


def _filled(sums: np.ndarray) -> np.ndarray:
    """The mean values of `_moved`, HxWx2 float32; holes take those around, from as far as it needs."""
    values = sums[..., 1:] / np.maximum(sums[..., :1], 1e-9)
    holes, sigma = sums[..., 0] < EMPTY, 2
    while holes.any() and sigma < max(holes.shape):
        around = cv2.GaussianBlur(sums, (0, 0), sigma)
        found = holes & (around[..., 0] > UNSURE)
        values[found] = around[found][:, 1:] / around[found][:, :1]
        holes &= ~found
        sigma *= 2
    return values.astype(np.float32)


def _grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
