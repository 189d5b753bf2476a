"""Clips of a known motion, as arrays and as videos."""

import cv2
import numpy as np

from common.media.video_writer import open_writer


def texture(height, width, seed=0):
    """A picture HxWx3 uint8 with detail of all sizes, so that flow finds its way."""
    rng, total = np.random.default_rng(seed), np.zeros((height, width, 3))
    for cell in (2, 4, 8, 16, 32):
        grid = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2, 3))
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * cell**0.5
    return np.uint8(np.clip(128 + 18 * total, 0, 255))


def panned(canvas, shift):
    """What is seen of a canvas by a camera moved by `shift` pixels to the right: its middle, half a canvas wide."""
    height, width = canvas.shape[:2]
    move = np.float32([[1, 0, -width / 8 - shift], [0, 1, 0]])
    return cv2.warpAffine(canvas, move, (width // 2, height), flags=cv2.INTER_LINEAR)


def shot(seed, count, *, height=96, width=128, step=3):
    """Frames of a pan over a picture of its own, HxWx3 uint8."""
    canvas = texture(height, 2 * width + 2 * step * count, seed)
    return [np.ascontiguousarray(canvas[:, step * k : step * k + width]) for k in range(count)]


def write_video(path, frames, **options):
    """Frames as a video, little compressed. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(path, **{"frame_rate": 25, **options}) as writer:
        for frame in frames:
            writer.write(frame)
    return path
