"""TDAN's training samples: crops of five low-resolution frames and of the middle true one.

Random draws depend on the seed and the sample's position in the run alone, not on the loader's workers, nor on the
number of processes: any number of them, and any resume, gives the same samples.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.degrade.low_resolution import make_low
from common.media.image import crop_to_multiple, read_clip, read_image
from common.training.sampling import ShuffledOrder, to_tensor
from tdan.model import MIDDLE, WINDOW
from tdan.sets import Clip

MARGIN = 8  # pixels around a crop of which both degradations need at most 7


def turn(images: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Upside down, mirrored, transposed, each at random and alike for all."""
    upside_down, mirrored, transposed = rng.random(3) < 0.5

    def change(image: np.ndarray) -> np.ndarray:
        image = image[::-1] if upside_down else image
        image = image[:, ::-1] if mirrored else image
        return image.swapaxes(0, 1) if transposed else image

    return [change(image) for image in images]


def make_lows(truths: list[np.ndarray], place: tuple[slice, slice], degradation: str, scale: int) -> list[np.ndarray]:
    """Low-resolution crops as they would be cut out of whole low-resolution frames, to the last bit.

    Args:
        truths: HxWx3 uint8, H and W multiples of `scale`.
        place: rows and columns of the crop, low-resolution pixels.
        degradation: one of `sets.DEGRADATIONS`.
        scale: 2 or 4.
    """
    wide, inner = [], []
    for side, length in zip(place, truths[0].shape[:2], strict=True):
        first = max(scale * side.start - MARGIN, 0)
        wide.append(slice(first, min(scale * side.stop + MARGIN, length)))
        inner.append(slice(side.start - first // scale, side.stop - first // scale))
    return [make_low(truth[tuple(wide)], degradation, scale=scale)[tuple(inner)] for truth in truths]


class TrainingSamples(Dataset):
    """`frames` (5, 3, c, c) and `target` (3, scale c, scale c), in [0, 1], indexed by the position.

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
        scale, side = config.scale, config.crop
        middle = clip.middles[rng.integers(len(clip.middles))]
        window = slice(middle - WINDOW // 2, middle + WINDOW // 2 + 1)
        if clip.lows:
            lows, truths = read_clip(clip.lows[window]), []
            target = crop_to_multiple(read_image(clip.truths[middle]), scale)
            height, width = lows[0].shape[:2]
            if target.shape[:2] != (scale * height, scale * width):
                raise ValueError(
                    f"{clip.lows[middle]}: {width}x{height}, expected 1/{scale} of {target.shape[1]}x"
                    f"{target.shape[0]}, the size of {clip.truths[middle]}"
                )
        else:
            truths = [crop_to_multiple(image, scale) for image in read_clip(clip.truths[window])]
            target = truths[MIDDLE]
            height, width = (length // scale for length in target.shape[:2])
        if min(height, width) < side:
            raise ValueError(
                f"{clip.truths[middle]}: {width}x{height} low-resolution pixels are smaller than the crop of {side}; "
                "use a smaller --set crop="
            )
        top, left = (int(rng.integers(length - side + 1)) for length in (height, width))
        place = slice(top, top + side), slice(left, left + side)
        if clip.lows:
            lows = [low[place] for low in lows]
        else:
            lows = make_lows(truths, place, clip.degradation, scale)
        images = [*lows, target[tuple(slice(scale * part.start, scale * part.stop) for part in place)]]
        *lows, target = turn(images, rng) if config.flip else images
        return {"frames": torch.stack([to_tensor(low) for low in lows]), "target": to_tensor(target)}
