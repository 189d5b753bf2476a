"""Two pictures in one, for looking: a result beside what it was made of (--compare), or two clips."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import cv2
import numpy as np

from common.media.image import as_levels

WAYS = ("split", "side")
LINE = 400  # times the width of the line is that of the picture


def beside(
    results: Iterable[tuple[np.ndarray | None, Fraction | None]],
    originals: Iterable[tuple[np.ndarray, Fraction | None]],
    way: str,
) -> Iterator[tuple[np.ndarray | None, Fraction | None]]:
    """Pictures of results with the frame of the input that is shown at their time.

    Args:
        results: HxWx3 uint8 or uint16, and their times in seconds; None for an image stays None.
        originals: frames of the input, of any size, and their times; where times are None, one for each result.
        way: "split": the input on the left of a line, the result on its right; "side": the whole of both.
    """
    originals = iter(originals)
    shown, following = None, next(originals, None)
    for image, time in results:
        while following and (shown is None or time is None or following[1] <= time):
            shown, following = following[0], next(originals, None)
            if time is None:
                break
        yield (None if image is None else one_picture(shown, image, way)), time


def one_picture(original: np.ndarray, image: np.ndarray, way: str) -> np.ndarray:
    """A picture of two, of the type of `image`; `original` is enlarged where it is smaller; `way` as for `beside`."""
    height, width = image.shape[:2]
    original = as_levels(original, image.dtype)
    if original.shape != image.shape:
        original = cv2.resize(original, (width, height), interpolation=cv2.INTER_CUBIC)
    if way == "side":
        return np.hstack((original, image))
    middle, half = width // 2, max(1, width // LINE // 2)
    picture = np.hstack((original[:, :middle], image[:, middle:]))
    picture[:, max(0, middle - half) : middle + half] = np.iinfo(image.dtype).max
    return picture
