"""QPWCNet's samples as the network takes them: pairs of frames with their flow, or with the frame between.

Random draws depend on the seed and the sample's position in the run alone, not on the loader's workers, nor on the
number of processes: any number of them, and any resume, gives the same samples.
"""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from common.media.image import read_clip
from common.training.sampling import ShuffledOrder, as_tensor
from qpwcnet.augment import augment_pair, augment_triplet, resize_frames, resize_pair
from qpwcnet.sets import Pair, Triplet, read_pair


def read_sample(sample: Pair | Triplet, config, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
    """A sample at the training's size.

    Args:
        sample: what to read.
        config: input_shape and base_scale are read.
        rng: what the augmentation draws from; None: only resized, the aspect may change.

    Returns:
        `prv` and `nxt` (3, h, w), RGB, nominally in [0, 1]; `target`, the flow (2, h, w) in pixels of that size, 0
        where nobody knows it, or the middle frame (3, h, w).

    Raises:
        ValueError: a file is missing or broken, or there is no flow.
    """
    height, width = config.input_shape
    if isinstance(sample, Triplet):
        frames = resize_frames(read_clip(sample.frames), height, width)
        prv, target, nxt = augment_triplet(frames, rng) if rng else map(as_tensor, frames)
        return {"prv": prv, "nxt": nxt, "target": target}
    first, second, flow, _ = read_pair(sample)
    if flow is None:
        raise ValueError(f"{sample.first}: no flow beside it; training needs a set with flow (datasets/README.md)")
    if rng:
        prv, nxt, target = augment_pair(first, second, flow, rng, height, width, config.base_scale)
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
