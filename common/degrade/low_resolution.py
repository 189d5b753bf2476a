"""Which degradation made a low-resolution frame: two BIs and three BDs are about, under two names.

| name | how a frame is made small | who does it |
|---|---|---|
| bi | MATLAB's `imresize(im2double(frame))`, rounded once | TDAN's Vid4, MMagic, BasicSR, EDVR, Vimeo-90K |
| bi_uint8 | MATLAB's `imresize(frame)`, rounded after each axis | TDAN's Temple, SOF-VSR |
| bd | Gaussian of 12 taps, pixels 1, 5, 9, ...: block centres, as BI | RDN, TDAN, MMagic, BasicVSR |
| duf | Gaussian of 13 taps, pixels 0, 4, 8, ...: 1.5 pixels off | VSR-DUF |
| sof | as duf, but for the border | SOF-VSR |

The two BIs cost a network nothing; a BD in place of another costs dBs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.degrade.operators import downsample_bd, downsample_bi

TITLES = {
    "bi": "BI, rounded once",
    "bi_uint8": "BI, rounded after each axis",
    "bd": "BD of RDN, MMagic and TDAN (samples at 1, 5, 9)",
    "duf": "DUF's BD (samples at 0, 4, 8)",
    "sof": "SOF-VSR's BD (samples at 0, 4, 8)",
}
SHIFTED = ("duf", "sof")  # 1.5 pixels of the truth off the others
# Levels, of the mean absolute difference. Other roundings stay below 0.2, other degradations of photographs are at 1.4
# or more; in between lie resizers that are nearly MATLAB's (PIL's: 0.3).
_FITS = 0.5


@dataclass(frozen=True)
class Match:
    """How a low-resolution frame differs from what a degradation makes of its truth; prints as a sentence.

    Attributes:
        name: one of `TITLES`, or a title.
        share: of the values that differ, 0..1.
        largest: difference, in levels.
        mean: absolute difference, in levels.
    """

    name: str
    share: float
    largest: int
    mean: float

    @property
    def fits(self) -> bool:
        """Whether that degradation, maybe with another rounding, made the frame."""
        return self.mean <= _FITS

    def __str__(self) -> str:
        title = TITLES.get(self.name, self.name)
        if not self.fits:
            return f"no known degradation: the nearest, {title}, is {self.mean:.1f} levels away on average"
        how = "equal"
        if self.share:
            levels = f"{self.largest} level{'s' * (self.largest > 1)}"
            how = f"{100 * self.share:.3g} % of the values differ, by {levels} at most"
        return f"{title}: {how}" + ("; networks trained for bd lose dBs on it" if self.name in SHIFTED else "")


def make_low(truth: np.ndarray, name: str, *, scale: int = 4) -> np.ndarray:
    """The low-resolution frame of a true one by the degradation `name` of `TITLES`.

    Args:
        truth: HxWx3 uint8; cut (from the top left) to multiples of `scale`.
        name: one of `TITLES`.
        scale: integer factor.

    Returns:
        H/scale x W/scale x 3 uint8.

    Raises:
        ValueError: unknown name, a scale that it is not defined for, or a frame smaller than that.
    """
    if name not in TITLES:
        raise ValueError(f"unknown degradation {name!r}: expected one of {', '.join(TITLES)}")
    if name in ("bi", "bi_uint8"):
        return downsample_bi(truth, scale=scale, rounding="once" if name == "bi" else "per-axis")
    return downsample_bd(truth, kind=name, scale=scale)


def compare(low: np.ndarray, truth: np.ndarray, name: str, *, scale: int = 4) -> Match:
    """Compare a low-resolution frame with what the degradation `name` makes of its truth.

    Args:
        low: H/scale x W/scale x 3 uint8.
        truth: HxWx3 uint8.
        name: one of `TITLES`.
        scale: integer factor.

    Raises:
        ValueError: as `make_low`, or the frames do not belong together by type or size.
    """
    height, width = (length // scale for length in truth.shape[:2])
    if low.dtype != np.uint8 or truth.dtype != np.uint8:
        raise ValueError(f"expected uint8 frames, got {low.dtype} and {truth.dtype}: convert them with to_uint8 first")
    if low.shape != (height, width, *truth.shape[2:]):
        raise ValueError(
            f"a low-resolution frame of {low.shape[1]}x{low.shape[0]} pixels, but {width}x{height} was expected: "
            f"1/{scale} of {truth.shape[1]}x{truth.shape[0]}"
        )
    return difference(low, make_low(truth, name, scale=scale), name)


def difference(image: np.ndarray, made: np.ndarray, name: str) -> Match:
    """Compare two uint8 images of the same size, of which the second was made by `name`."""
    levels = np.abs(image.astype(np.int16) - made)
    return Match(name, float((levels > 0).mean()), int(levels.max()), float(levels.mean()))


def identify(low: np.ndarray, truth: np.ndarray, *, scale: int = 4, first: Sequence[str] = ()) -> Match:
    """Find out which degradation made a low-resolution frame.

    Args:
        low: H/scale x W/scale x 3 uint8.
        truth: HxWx3 uint8.
        scale: integer factor; degradations that are not defined for it are left out.
        first: names to try first: of several that are equally near (on a frame of one colour all are) the first counts.

    Returns:
        The nearest; whether it is the one, `fits` tells.

    Raises:
        ValueError: the frames do not belong together by type or size.
    """
    defined = TITLES if scale == 4 else ("bi", "bi_uint8", "duf") if scale in (2, 3) else ("bi", "bi_uint8")
    names = dict.fromkeys([*(name for name in first if name in defined), *defined])
    matches = []
    for name in names:
        matches.append(compare(low, truth, name, scale=scale))
        if matches[-1].share == 0:  # nothing can be nearer
            break
    return min(matches, key=lambda match: match.mean)
