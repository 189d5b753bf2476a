"""TDAN's samples: five low-resolution frames and the middle true one, read alike in training and in testing.

Random draws depend on the seed and the sample's position in the run alone, not on the loader's workers, nor on the
number of processes: any number of them, and any resume, gives the same samples.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.degrade.matlab_imresize import imresize
from common.degrade.operators import downsample_bd
from common.media.frame_windows import neighbour_indices
from common.media.image import crop_to_multiple, read_image
from common.training.sampling import ShuffledOrder, as_tensor
from tdan.config import PADDING
from tdan.model import MIDDLE, WINDOW
from tdan.sets import Clip

MARGIN = 8  # pixels around a crop of which both degradations need at most 7
Place = tuple[tuple[int, int], tuple[int, int]]  # first and behind the last row, then column


class Sample(NamedTuple):
    """A frame that is scored: its clip, and its number there."""

    clip: Clip
    middle: int

    @property
    def name(self) -> str:
        """Of the clip, and of the frame's file."""
        return f"{self.clip.name}/{self.clip.truths[self.middle].stem}"

    def window(self, padding: str = PADDING) -> list[int]:
        """Numbers of the five frames around it; for `padding` see `common.media.frame_windows.neighbour_indices`."""
        return neighbour_indices(self.middle, WINDOW, len(self.clip.truths), padding=padding)


def scored_samples(clips: list[Clip]) -> list[Sample]:
    """All frames that are scored, in the order of the clips."""
    return [Sample(clip, middle) for clip in clips for middle in clip.middles]


def read_truth(clip: Clip, number: int, scale: int) -> np.ndarray:
    """A true frame, HxWx3 uint8, cut (from the top left) to multiples of `scale`.

    Raises:
        ValueError: it cannot be read.
    """
    return crop_to_multiple(read_image(clip.truths[number]), scale)


def read_low(
    clip: Clip,
    number: int,
    scale: int,
    place: Place | None = None,
    truth: Callable[[int], np.ndarray] | None = None,
    like: int | None = None,
) -> np.ndarray:
    """A low-resolution frame, or a part of it: the set's file, where it brings files, else made from the true frame.

    Args:
        clip: what is read.
        number: of the frame.
        scale: 2 or 4.
        place: of the part, low-resolution pixels; None: all of it.
        truth: gives true frames by their numbers; None: reads them.
        like: number of a true frame that it must fit.

    Returns:
        hxwx3 uint8; a part has the bits that it has in the whole.

    Raises:
        ValueError: it cannot be read, or does not fit.
    """
    truth = truth or partial(read_truth, clip, scale=scale)
    frame = read_image(clip.lows[number]) if clip.lows else truth(number)
    height, width = (length // (1 if clip.lows else scale) for length in frame.shape[:2])
    if like is not None:
        h, w = (length // scale for length in truth(like).shape[:2])
        if (height, width) != (h, w):
            raise ValueError(
                f"{(clip.lows or clip.truths)[number]}: {width}x{height} pixels at low resolution, but {w}x{h} was "
                f"expected, as of {clip.truths[like]}"
            )
    place = place or ((0, height), (0, width))
    return cut(frame, place) if clip.lows else low_part(frame, place, clip.degradation, scale)


def low_part(truth: np.ndarray, place: Place, degradation: str, scale: int) -> np.ndarray:
    """A part of the low-resolution frame of a true one, HxWx3 uint8, as it would be cut out of the whole."""
    wide, inner = [], []
    for (start, stop), length in zip(place, truth.shape[:2], strict=True):
        first = max(scale * start - MARGIN, 0)
        wide.append((first, min(scale * stop + MARGIN, length)))
        inner.append((start - first // scale, stop - first // scale))
    around = cut(truth, wide)
    low = imresize(around, scale=1 / scale) if degradation == "bi" else downsample_bd(around, scale=scale)
    return cut(low, inner)


def cut(image: np.ndarray, place: Place) -> np.ndarray:
    """A part of an image."""
    return image[tuple(slice(*side) for side in place)]


class Window:
    """Five frames of a clip, each read when it is needed.

    Args:
        clip: what is read.
        numbers: of the frames in the clip.
        scale: of the low-resolution frames.
        recall: gives what it knows by a key, else what a function makes: for windows that share frames.

    Attributes:
        middle: number of the middle frame.
        truth: the true middle frame, HxWx3 uint8, cut (from the top left) to multiples of `scale`.
        size: height and width of the low-resolution frames.

    Raises:
        ValueError: a file is missing or broken.
    """

    def __init__(
        self,
        clip: Clip,
        numbers: Sequence[int],
        scale: int,
        recall: Callable[[Hashable, Callable[[], np.ndarray]], np.ndarray] = lambda _, make: make(),
    ):
        self.clip, self.numbers, self.scale, self.recall = clip, numbers, scale, recall
        self.middle = numbers[MIDDLE]
        self._true = cache(lambda number: recall((clip.name, number), partial(read_truth, clip, number, scale)))
        self.truth = self._true(self.middle)
        self.size = self.truth.shape[0] // scale, self.truth.shape[1] // scale

    def lows(self, place: Place | None = None) -> list[np.ndarray]:
        """The low-resolution frames, hxwx3 uint8, or that part of them.

        Raises:
            ValueError: a file is missing or broken, or does not fit the true middle frame.
        """
        clip, scale = self.clip, self.scale
        return [
            self.recall(
                (clip.name, number, self.size, place),
                partial(read_low, clip, number, scale, place, self._true, self.middle),
            )
            for number in self.numbers
        ]


def turn(images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Upside down, mirrored, transposed, each at random and alike for all."""
    upside_down, mirrored, transposed = rng.random(3) < 0.5

    def change(image: np.ndarray) -> np.ndarray:
        image = image[::-1] if upside_down else image
        image = image[:, ::-1] if mirrored else image
        return image.swapaxes(0, 1) if transposed else image

    return [change(image) for image in images]


class TrainingSamples(Dataset):
    """`frames` (5, 3, c, c) and `target` (3, scale c, scale c), uint8, indexed by the position.

    Of a clip with more than one possible middle frame, one is drawn at every access.
    """

    def __init__(self, clips: list[Clip], config):
        self.clips, self.config = clips, config
        self.order = ShuffledOrder(len(clips), config.manual_seed)
        self[0]  # what cannot be read shows now, not after hours of training

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        config, clip = self.config, self.clips[self.order(position)]
        rng = np.random.default_rng((config.manual_seed, position))
        middle = clip.middles[rng.integers(len(clip.middles))]
        window = Window(clip, range(middle - WINDOW // 2, middle + WINDOW // 2 + 1), config.scale)
        (height, width), side = window.size, config.crop
        if min(height, width) < side:
            raise ValueError(
                f"{clip.truths[middle]}: {width}x{height} low-resolution pixels are smaller than the crop of {side}; "
                "use a smaller --set crop="
            )
        top, left = (int(rng.integers(length - side + 1)) for length in window.size)
        place = (top, top + side), (left, left + side)
        images = [*window.lows(place), cut(window.truth, config.scale * np.array(place))]
        *lows, target = turn(images, rng) if config.flip else images
        return {"frames": torch.stack([as_tensor(low) for low in lows]), "target": as_tensor(target)}
