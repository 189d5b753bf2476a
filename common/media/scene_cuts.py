"""Tell a cut from motion: how much of a picture cannot be found in the one before."""

import cv2
import numpy as np

from common.cli import UsageError
from common.media.image import as_levels

SIDE = 128  # pixels of the longer side that the pictures are reduced to
THRESHOLD = 0.5  # change from which on two frames are a cut
FLAT = 4.0  # grey levels of mean contrast; a picture with less is flat, and its noise no picture


def add_argument(group) -> None:
    """The flag --scene."""
    group.add_argument("--scene", type=float, default=THRESHOLD, metavar="SHARE",
        help="of the picture, 0 to 1, that motion fails to explain where two frames are a cut; 1: no cuts")  # fmt: skip


def check_argument(options) -> None:
    """Refuse a value of --scene that is no share.

    Raises:
        UsageError: it is none.
    """
    if not 0 < options.scene <= 1:
        raise UsageError(f"--scene {options.scene:g}: expected a share from 0 to 1")


def is_cut(first: np.ndarray, second: np.ndarray, threshold: float = THRESHOLD) -> bool:
    """Whether there is a cut between two frames, HxWx3 uint8 or uint16; at a threshold of 1 there is none anywhere."""
    return threshold < 1 and change(first, second) >= threshold


def change(first: np.ndarray, second: np.ndarray) -> float:
    """The share of the first picture's contrast that no motion from the second explains.

    Both are reduced to 128 pixels of grey and brought to mean 0 and contrast 1, so that fades and flashes do not count;
    the second is warped onto the first by a dense flow (DIS); what differs then is the answer. Measured: neighbours in
    real clips 0.02 to 0.25, four frames apart up to 0.31, eight up to 0.45, pans by a tenth of the width up to 0.32;
    joined clips from 0.74, two halves of one picture from 0.52. Motion by more than a fifth of the width counts as a
    cut, which no network could follow; a jump within one shot may count as motion.

    Args:
        first: HxWx3 uint8 or uint16 RGB.
        second: the same size.

    Returns:
        0 (the same picture, moved) to 1 (nothing in common).
    """
    first, second = _reduced(first), _reduced(second)
    levels = [np.clip(128 + 40 * picture, 0, 255).astype(np.uint8) for picture in (first, second)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*levels, None)  # h w 2
    rows, columns = np.indices(first.shape, np.float32)
    found = cv2.remap(
        second, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return min(1.0, float(np.abs(first - found).mean()))


def _reduced(picture: np.ndarray) -> np.ndarray:
    """(h, w) float32 of mean 0 and mean absolute value 1, or less where the picture is flat."""
    height, width = picture.shape[:2]
    factor = SIDE / max(height, width)
    size = [max(16, round(length * factor)) for length in (width, height)]  # the flow needs some pixels
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = as_levels(small, np.uint8)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()
    return grey / max(np.abs(grey).mean(), FLAT)
