"""QPWCNet's samples as the network takes them: pairs of frames with their flow, or with the frame between.

Random draws depend on the seed and the sample's position in the run alone, not on the loader's workers, nor on the
number of processes: any number of them, and any resume, gives the same samples.
"""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from common.media.image import read_clip
from common.sets.clips import Clip
from common.training.sampling import ShuffledOrder, as_tensor
from qpwcnet.augment import augment_pair, augment_triplet, cut, resize_frames, resize_pair, to_unit
from qpwcnet.sets import Pair, Triplet, pair_of, read_pair, triplet_of


def read_sample(sample: Pair | Triplet, config, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
    """A sample at the training's size.

    Args:
        sample: what to read.
        config: input_shape and base_scale are read.
        rng: what the augmentation draws from; None: only resized, the aspect may change, or cut around the centre.

    Returns:
        `prv` and `nxt` (3, h, w), RGB, nominally in [0, 1]; `target`, the flow (2, h, w) in pixels of that size, 0
        where nobody knows it, or the middle frame (3, h, w).

    Raises:
        ValueError: a file is missing or broken, or there is no flow.
    """
    height, width = config.input_shape
    if isinstance(sample, Triplet):
        frames = read_clip(sample.frames)
        if sample.cut:
            place = rng.random(2) if rng else (0.5, 0.5)
            frames, _ = cut([to_unit(frame) for frame in frames], height, width, place)
        else:
            frames = resize_frames(frames, height, width)
        prv, target, nxt = augment_triplet(frames, rng) if rng else map(as_tensor, frames)
        return {"prv": prv, "nxt": nxt, "target": target}
    first, second, flow, _ = read_pair(sample)
    if flow is None:
        raise ValueError(f"{sample.first}: no flow beside it; training needs a set with flow (datasets/README.md)")
    if rng:
        prv, nxt, target = augment_pair(first, second, flow, rng, height, width, config.base_scale)
    elif sample.cut:
        (*frames, flow), scale = cut([to_unit(first), to_unit(second), flow], height, width)
        prv, nxt, target = map(as_tensor, (*frames, flow * np.float32(scale)))
    else:
        prv, nxt, target = resize_pair(first, second, flow, height, width)
    return {"prv": prv, "nxt": nxt, "target": target}


class TrainingSamples(Dataset):
    """Augmented samples, indexed by the position in the run."""

    def __init__(self, samples: list[Pair] | list[Triplet], config):
        self.samples, self.config = samples, config
        self.order = ShuffledOrder(len(samples), config.manual_seed)
        read_sample(samples[0], config)  # now, not after the network is made

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.config.manual_seed, position)) if self.config.augment else None
        return read_sample(self.samples[self.order(position)], self.config, rng)


class ClipSamples(Dataset):
    """Augmented samples of any clips, indexed by the position in the run.

    For flow it is drawn whether it goes to a clip's first or last frame, and from how far, 1 to `max_distance` frames.
    For interpolation the distance to the middle, 1 to `max_distance` frames, is drawn, and the middle.
    """

    def __init__(self, clips: list[Clip], config):
        self.clips, self.config = clips, config
        self.order = ShuffledOrder(len(clips), config.manual_seed)
        self[0]  # now, not after the network is made

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        config, clip = self.config, self.clips[self.order(position)]
        rng = np.random.default_rng((config.manual_seed, position))
        draw = draw_pair_of if config.task == "flow" else draw_triplet_of
        sample = draw(clip, config.max_distance, rng)
        return read_sample(sample, config, rng if config.augment else None)


def draw_pair_of(clip: Clip, most: int, rng: np.random.Generator) -> Pair:
    """A frame of a clip, and the clip's first or last frame, at most `most` frames from it."""
    end = int(rng.integers(2))
    distance = int(rng.integers(1, min(most, len(clip) - 1) + 1))
    return pair_of(clip, len(clip) - 1 - distance if end else distance, end)


def draw_triplet_of(clip: Clip, most: int, rng: np.random.Generator) -> Triplet:
    """Three frames of a clip, the outer ones at most `most` frames from the one in the middle."""
    distance = int(rng.integers(1, min(most, (len(clip) - 1) // 2) + 1))
    return triplet_of(clip, int(rng.integers(distance, len(clip) - distance)), distance)
