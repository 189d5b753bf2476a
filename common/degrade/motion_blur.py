"""Motion blur of a sharp clip, as REDS was made: in-between frames by flow, averaged in linear light over an exposure.

The sharp frame is in the middle of the exposure, so that it is the truth of the blurry one, pixel by pixel.
"""

from collections.abc import Sequence

import cv2
import numpy as np

GAMMA = 2.2  # of light
MOST = (
    33  # samples a blurry frame; motion by more than that over an exposure leaves steps, which nobody sees at its pace
)
LEAST = 5
FAST = 99  # percentile of the flow's length that sets the number of samples

_LIGHT = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)


def blur_clip(frames: Sequence[np.ndarray], exposure: float) -> list[np.ndarray]:
    """The blurry twins of the frames of one clip.

    A frame k is the mean light of samples, evenly spread over the times from k - exposure / 2 to k + exposure / 2 and
    so many that nothing moves much more than a pixel between two. A sample between two frames is both of them, moved
    along the flow between them (DIS, both ways; Jiang et al., Super SloMo, CVPR 2018, equation 4) and weighted by
    nearness. At the ends of the clip, where one neighbour is missing, motion goes on as it is towards the other. A
    static picture stays as it is, to the last bit.

    Args:
        frames: T images HxWx3 uint8 RGB of one shot, two or more, of 16 pixels or more a side.
        exposure: in frame intervals, above 0 and at most 2.

    Returns:
        As many, of the same size and type.

    Raises:
        ValueError: fewer than two frames, or another exposure.
    """
    if len(frames) < 2:
        raise ValueError(f"blur_clip got {len(frames)} frames: motion needs two or more")
    if not 0 < exposure <= 2:
        raise ValueError(f"blur_clip got an exposure of {exposure:g} frame intervals: expected above 0 and at most 2")
    return _blur(frames, exposure / 2)


def _blur(frames, reach):
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grid = np.stack(np.meshgrid(*map(np.arange, frames[0].shape[1::-1])), 2).astype(np.float32)  # H W 2, x before y
    here, grey, flows, blurry = cv2.LUT(frames[0], _LIGHT), cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY), None, []
    before = None  # light of the frame before, flow from it to this one and back
    for following in [*frames[1:], None]:
        after = None
        if following is not None:
            grey_after = cv2.cvtColor(following, cv2.COLOR_RGB2GRAY)
            flows = search.calc(grey, grey_after, None), search.calc(grey_after, grey, None)
            after = cv2.LUT(following, _LIGHT), *flows
        blurry.append(_exposed(here, before, after, reach, grid))
        if after is not None:
            before, here, grey = (here, flows[1], flows[0]), after[0], grey_after
    return blurry


def _exposed(here, before, after, reach, grid):
    """Mean light around a frame; `before` and `after` are (light, flow from here to there, flow from there to here)."""
    motion = max(np.percentile(cv2.magnitude(*cv2.split(side[1])), FAST) for side in (before, after) if side)
    count = int(np.clip(np.ceil(motion * 2 * reach), LEAST, MOST)) // 2  # on either side of the frame itself
    total = here.copy()
    for side in (before, after):
        for step in range(1, count + 1):
            time = reach * step / count
            total += _between(here, side, time, grid) if side else _moved(here, (before or after)[1], time, grid)
    mean = cv2.pow(total / (2 * count + 1), 1 / GAMMA)
    return np.clip(np.floor(255 * mean + 0.5), 0, 255).astype(np.uint8)


def _between(here, side, time, grid):
    """The light at `time`, 0 to 1, on the way from here to the neighbour."""
    there, onward, back = side
    from_here = cv2.addWeighted(onward, -(1 - time) * time, back, time**2, 0)
    from_there = cv2.addWeighted(onward, (1 - time) ** 2, back, -(1 - time) * time, 0)
    near, far = (_sampled(light, grid + flow) for light, flow in ((here, from_here), (there, from_there)))
    return cv2.addWeighted(near, 1 - time, far, time, 0)


def _moved(here, flow, time, grid):
    """The light `time` away from here, where the motion to the one neighbour comes from or goes on to."""
    return _sampled(here, grid + time * flow)  # a point that will be at x + flow was at x - flow


def _sampled(light, places):
    return cv2.remap(light, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
