"""Procedural video that behaves like real video, with exact in-between frames, optical flow and motion blur.

A scene is a stack of flat layers (`synthetic_textures.py`), each moving by its own similarity transform before a moving
camera. Textures are drawn once, in linear light; a frame is then one `cv2.warpAffine` a layer.

Shapes: H W frame size in pixels, h w texture size in texels, M oscillations.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from common.sets.photo_textures import Photographs
from common.sets.synthetic_textures import DENSITY, GAMMA, backdrop, cut_out, random_mood, surface

MAX_ANGLE, MAX_ZOOM = 0.2, 0.18  # radians, log scale: limits of one oscillation

Roi = tuple[slice, slice]


@dataclass
class Path:
    """A pose over time: start + rate * t + sum of slow oscillations, so that motion is smooth and gently accelerated.

    The four numbers of a pose are x, y (pixels), angle (radians) and log scale.
    """

    start: np.ndarray  # 4
    rate: np.ndarray  # 4, per frame
    swing: np.ndarray  # M 4
    period: np.ndarray  # M 4, frames
    phase: np.ndarray  # M 4

    def pose(self, time: float) -> np.ndarray:
        return self.start + self.rate * time + (self.swing * np.sin(2 * np.pi * time / self.period + self.phase)).sum(0)


@dataclass
class Layer:
    """One flat cut-out. `texture` is (h, w, 4): linear-light RGB times alpha, and alpha."""

    texture: np.ndarray
    path: Path
    parallax: float = 1.0  # how much it follows the camera's pan: 1 for the background, more for what is nearer
    is_background: bool = False  # repeats in both directions
    alpha: np.ndarray = field(init=False)  # h w, the last channel in memory of its own

    def __post_init__(self):
        self.alpha = self.texture[..., 3].copy()


def similarity(x: float, y: float, angle: float = 0.0, log_scale: float = 0.0) -> np.ndarray:
    """3x3 matrix that scales, rotates, then translates."""
    c, s = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y], [0, 0, 1]])


def random_speed(rng: np.random.Generator, median: float, spread: float) -> float:
    """Pixels a frame: log-normal, cut where the tail stops being of use."""
    return median * np.exp(spread * np.clip(rng.normal(), -2, 2))


def random_path(rng: np.random.Generator, start: np.ndarray, speed: float, spin: float, zoom: float) -> Path:
    """Drift plus a slow swing plus the tremor of a hand. `speed` px, `spin` rad, `zoom` log scale, all per frame."""
    direction = rng.normal(0, 1, 2) * (1, 0.6)  # people pan and walk sideways more than up and down
    direction /= np.linalg.norm(direction)
    slow, fast = rng.uniform(50, 160, 4), rng.uniform(9, 25, 4)
    velocity = np.array([*(rng.normal(0, 0.5, 2) * speed), spin, zoom])
    swing = velocity * slow / (2 * np.pi)
    swing[2:] = swing[2:].clip((-MAX_ANGLE, -MAX_ZOOM), (MAX_ANGLE, MAX_ZOOM))
    tremor = rng.normal(0, 1, 4) * (0.12 * speed**0.5, 0.12 * speed**0.5, 0.0004, 0.0002) * fast / (2 * np.pi)
    rate = np.array([*(direction * speed * rng.uniform(0.5, 1)), 0, 0])
    return Path(start, rate, np.stack((swing, tremor)), np.stack((slow, fast)), rng.uniform(0, 2 * np.pi, (2, 4)))


class Scene:
    """A random world and a camera in it, that can be looked at at any real time.

    Args:
        seed: what everything is drawn from; a numpy Generator is taken as it is.
        height: of the frames, pixels.
        width: of the frames, pixels.
        pace: time passes this much faster. At 1 the motion is that of ordinary 30 fps video: median about 2.3 pixels
            a frame, 14 at 99 %; 0.125 is the same at 240 fps.
        photographs: what surfaces are taken from; None draws all of them.

    Raises:
        ValueError: a photograph cannot be read.
    """

    def __init__(
        self,
        seed: int | np.random.Generator,
        height: int,
        width: int,
        pace: float = 1.0,
        photographs: Photographs | None = None,
    ):
        rng = np.random.default_rng(seed)
        self.height, self.width, self.pace = height, width, pace
        speed = random_speed(rng, 2.6, 0.7)
        self.camera = random_path(rng, np.zeros(4), speed, 0.001 * rng.normal(), 0.001 * rng.normal())
        mood = random_mood(rng)
        still = Path(np.zeros(4), np.zeros(4), np.zeros((1, 4)), np.ones((1, 4)), np.zeros((1, 4)))
        behind, paint = (photographs.backdrop, photographs.surface) if photographs else (backdrop, surface)
        self.layers = [Layer(behind(rng, height, width, mood), still, is_background=True)]
        for parallax in np.sort(rng.uniform(1, 1.8, rng.integers(3, 10))):  # from far to near
            radius = min(height, width) * np.exp(rng.uniform(np.log(0.06), np.log(0.5)))
            texture = cut_out(rng, radius, mood, paint)
            start = np.array([*((rng.random(2) - 0.5) * (width, height)), 0, 0])
            path = random_path(rng, start, random_speed(rng, 1.7, 0.9), 0.004 * rng.normal(), 0.002 * rng.normal())
            self.layers.append(Layer(texture, path, parallax))

    def _free_matrix(self, layer: Layer, time: float) -> np.ndarray:
        """3x3 matrix from texels of the layer to pixels of the frame at `time`, in an unbounded world."""
        x, y, angle, zoom = self.camera.pose(time * self.pace)
        h, w = layer.texture.shape[:2]
        view = similarity((self.width - 1) / 2, (self.height - 1) / 2, angle, zoom)
        pan = similarity(x * layer.parallax, y * layer.parallax)
        texel = similarity(0, 0, 0, -np.log(DENSITY)) @ similarity(-(w - 1) / 2, -(h - 1) / 2)
        return view @ pan @ similarity(*layer.path.pose(time * self.pace)) @ texel

    def _jump(self, layer: Layer, matrix: np.ndarray) -> np.ndarray:
        """Translation that brings a layer which left the frame back in at the other side, so that no scene empties.

        `matrix` is its `_free_matrix`. The translation changes only while nothing of the layer can be seen.
        """
        if layer.is_background:
            return np.eye(3)
        h, w = layer.texture.shape[:2]
        centre = (matrix @ ((w - 1) / 2, (h - 1) / 2, 1))[:2]
        margin = np.hypot(h, w) / 2 / DENSITY * np.exp(2 * (MAX_ZOOM + 0.05))  # camera and layer zoom
        period = np.array([self.width, self.height]) + 2 * margin
        return similarity(*(-period * np.floor((centre + margin) / period)))

    def _warp(self, layer: Layer, time: float, texture: np.ndarray) -> tuple[Roi, np.ndarray] | None:
        """Its texture or alpha at `time`: the region where it can be seen, and the values there; None if nowhere."""
        matrix = self._free_matrix(layer, time)
        matrix = self._jump(layer, matrix) @ matrix
        h, w = layer.texture.shape[:2]
        x0, y0, x1, y1 = 0, 0, self.width, self.height
        inverse = np.linalg.inv(matrix)
        if layer.is_background:  # counted from the nearest copy: small coordinates keep their digits in float32
            inverse[:2, 2] -= np.floor((inverse @ (x1 / 2, y1 / 2, 1))[:2] / (w, h)) * (w, h)
        else:
            corners = (matrix @ np.array([[0, w, 0, w], [0, 0, h, h], [1, 1, 1, 1]]))[:2]
            x0, y0 = np.maximum(np.floor(corners.min(1)), 0).astype(int)
            x1, y1 = np.minimum(np.ceil(corners.max(1)) + 1, (x1, y1)).astype(int)
            if x0 >= x1 or y0 >= y1:
                return None
        warped = cv2.warpAffine(
            texture,
            (inverse @ similarity(x0, y0))[:2],
            (int(x1 - x0), int(y1 - y0)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP if layer.is_background else cv2.BORDER_CONSTANT,
        )
        return (slice(y0, y1), slice(x0, x1)), warped

    def _linear(self, time: float) -> np.ndarray:
        """(H, W, 3) float32 in linear light."""
        for layer in self.layers:
            if seen := self._warp(layer, time, layer.texture):
                roi, rgba = seen
                if layer.is_background:
                    frame = rgba
                else:  # four equal factors, because unbroken rows are several times faster than broadcasting
                    frame[roi] *= cv2.cvtColor(1 - rgba[..., 3], cv2.COLOR_GRAY2BGRA)
                    frame[roi] += rgba
        return frame[..., :3].copy()

    def render(self, time: float) -> np.ndarray:
        """The frame at any real time, in frames: (H, W, 3) float32 RGB in [0, 1]."""
        return _display(self._linear(time))

    def blurred(self, time: float, exposure: float, samples: int) -> np.ndarray:
        """A frame taken with an open shutter: the mean of sharp frames in linear light, gamma 2.2.

        Args:
            time: of the middle of the exposure, which is also the middle sample: its sharp frame is `render(time)`.
            exposure: in frames; samples are spread as the centres of equal parts of it.
            samples: an odd number.

        Returns:
            (H, W, 3) float32 RGB in [0, 1].

        Raises:
            ValueError: `samples` is even, so none of them is the sharp frame.
        """
        if samples % 2 == 0:
            raise ValueError(f"samples is {samples}: expected an odd number, whose middle is the sharp frame")
        times = time + exposure * ((np.arange(samples) + 0.5) / samples - 0.5)
        return _display(sum(self._linear(t) for t in times) / samples)

    def samples(self, time: float, exposure: float, least: int = 7, most: int = 33) -> int:
        """How many samples `blurred` needs so that nothing moves much more than a pixel between two: an odd number."""
        start, end = time - exposure / 2, time + exposure / 2
        here, there = self._follow(self._labels(start), start, end)
        longest = np.hypot(*(there - here)[:2]).max()
        return int(np.clip(2 * np.ceil(longest / 2) + 1, least, most))

    def _labels(self, time: float) -> np.ndarray:
        """(H, W) int: the layer that covers more than half of each pixel, from the front."""
        labels = np.zeros((self.height, self.width), int)
        for index, layer in enumerate(self.layers[1:], 1):
            if seen := self._warp(layer, time, layer.alpha):
                roi, alpha = seen
                labels[roi][alpha > 0.5] = index
        return labels

    def motion(self, start: float, end: float) -> np.ndarray:
        """The flow of `flow` alone, in half of its time: (H, W, 2) float32."""
        here, there = self._follow(self._labels(start), start, end)
        return _displacement(here, there)

    def flow(self, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Exact motion of what is seen at `start`.

        Returns:
            flow (H, W, 2) float32, pixels, x to the right and y down, from `start` to `end`; and
            hidden (H, W) bool, True where the point is behind something or outside of the frame at `end`.
        """
        labels = self._labels(start)
        here, there = self._follow(labels, start, end)
        x, y = there[:2]
        hidden = (x < -0.5) | (y < -0.5) | (x > self.width - 0.5) | (y > self.height - 0.5)
        for index, layer in enumerate(self.layers[1:], 1):
            matrix = self._free_matrix(layer, end)
            inverse = np.linalg.inv(self._jump(layer, matrix) @ matrix)
            column, row = np.tensordot(inverse[:2], there, 1).astype(np.float32)
            alpha = cv2.remap(layer.alpha, column, row, cv2.INTER_LINEAR)
            hidden |= (alpha > 0.5) & (labels < index)
        return _displacement(here, there), hidden

    def _follow(self, labels: np.ndarray, start: float, end: float) -> tuple[np.ndarray, np.ndarray]:
        """Homogeneous positions (3, H, W) of the frame's pixels, and of what they show at `start`, by time `end`."""
        rows, columns = np.indices(labels.shape, float)
        here = np.stack((columns, rows, np.ones(labels.shape)))
        there = np.empty_like(here)
        for index in np.unique(labels):
            layer, shown = self.layers[index], labels == index
            before, after = (self._free_matrix(layer, time) for time in (start, end))
            jump = self._jump(layer, before)  # for both times: a jump is not motion
            there[:, shown] = jump @ after @ np.linalg.inv(jump @ before) @ here[:, shown]
        return here, there


def _displacement(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.moveaxis(there[:2] - here[:2], 0, -1).astype(np.float32)


def _display(linear: np.ndarray) -> np.ndarray:
    """Linear light to RGB in [0, 1].

    An alpha that rounding left above 1 makes black behind it negative, whose root would be no number.
    """
    return np.clip(cv2.pow(np.maximum(linear, 0), 1 / GAMMA), 0, 1)
