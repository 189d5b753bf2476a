"""Optical flow as colours, by the wheel of Baker et al. (A Database and Evaluation Methodology for Optical Flow)."""

import numpy as np

from common.media.flow_file import UNKNOWN

# Colours between neighbouring corners of the wheel: red-yellow-green-cyan-blue-magenta-red.
_RAMPS = (15, 6, 4, 11, 13, 6)
_CORNERS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]]) * 255.0


def color_wheel() -> np.ndarray:
    """The 55 colours of the wheel, (55, 3) RGB, whole levels as float64."""
    parts = []
    for steps, start, stop in zip(_RAMPS, _CORNERS[:-1], _CORNERS[1:], strict=True):
        ramp = np.floor(255 * np.arange(steps) / steps)[:, None]
        # The moving channel rises by the ramp or falls from 255 by it.
        parts.append(start + np.sign(stop - start) * ramp)
    return np.concatenate(parts)


def flow_to_image(
    flow: np.ndarray, *, scale: float | None = None, clip: float | None = None, clip_rule: str = "magnitude"
) -> np.ndarray:
    """Colour a flow: hue is the direction, saturation the length; unknown flow is black.

    Args:
        flow: HxWx2 in pixels, x to the right then y down; not finite or above 1e9 means unknown.
        scale: the length in pixels that gets full colour (longer ones are darkened); None takes the longest of this
            flow (plus 1e-5). Give one value for all frames of a video, or it flickers.
        clip: longest length kept, in pixels.
        clip_rule: "magnitude" shortens vectors. "components" is what RAFT's `flow_viz` does: it clips x and y to
            [0, clip], which deletes every motion to the left and up; only for parity.

    Returns:
        HxWx3 RGB uint8.

    Raises:
        ValueError: not HxWx2, a scale that is not positive, or an unknown clip rule.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"a flow must be HxWx2, got shape {flow.shape}")
    if clip_rule not in ("magnitude", "components"):
        raise ValueError(f"clip_rule must be 'magnitude' or 'components', got {clip_rule!r}")
    if scale is not None and not scale > 0:
        raise ValueError(f"scale must be above 0 pixels, got {scale}")
    flow = flow.astype(np.float64)
    known = (np.abs(flow) <= UNKNOWN).all(-1)
    flow = np.where(known[..., None], flow, 0.0)
    if clip is not None:
        flow = _shorten(flow, clip) if clip_rule == "magnitude" else np.clip(flow, 0, clip)
    if scale is None:
        scale = _length(flow).max(initial=0.0) + 1e-5
    return _colour(flow / scale) * known[..., None]


def _length(flow: np.ndarray) -> np.ndarray:
    return np.hypot(flow[..., :1], flow[..., 1:])  # H W 1


def _shorten(flow: np.ndarray, longest: float) -> np.ndarray:
    return flow * np.minimum(1.0, longest / np.maximum(_length(flow), 1e-12))


def _colour(flow: np.ndarray) -> np.ndarray:
    """HxWx2 in units of the full-colour length to HxWx3 uint8."""
    wheel = color_wheel() / 255
    length = _length(flow)
    angle = np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi  # -1..1
    position = (angle + 1) / 2 * (len(wheel) - 1)
    below = np.floor(position).astype(int)
    part = (position - below)[..., None]
    colour = (1 - part) * wheel[below] + part * wheel[(below + 1) % len(wheel)]
    colour = np.where(length <= 1, 1 - length * (1 - colour), colour * 0.75)
    return np.floor(255 * colour).astype(np.uint8)
