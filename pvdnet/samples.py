"""PVDNet's samples: windows of frames to train on, their order, which process takes what, and whole clips to test on.

Crops and noise depend on the seed, the epoch and the sample alone, not on the loader's workers: a run gives the same
samples with any number of workers and after any resume.

The order of samples is that of the published code, and PVDNet's alone; the other papers draw by
`common/training/sampling.py`. An epoch is a permutation, seeded with the epoch, of a total that is padded to a multiple
of the processes; it is dealt out to them in turn, and a process's last batch of an epoch may be smaller.
"""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from common.media.frame_windows import neighbour_indices
from common.media.image import crop_to_multiple, read_image
from common.training.sampling import as_tensor, to_tensor
from pvdnet.sets import Video, read_pair

_ODD_SIZE = "differs in size from the frame before; expected one size a video"
REFINE = 4  # frames are cut to multiples of this: the network halves twice


def training_items(lengths: list[int], frame_itr_num: int = 13) -> list[tuple[int, int]]:
    """(video, first centre frame) of every training sample: blocks of frames that do not overlap, no remainder."""
    return [
        (video, start)
        for video, length in enumerate(lengths)
        for start in range(0, length - frame_itr_num + 1, frame_itr_num)
    ]


def window_frames(start: int, frame_itr_num: int, length: int) -> list[int]:
    """Frame numbers of a sample: the centre frames and one more at each end, kept inside the video."""
    return [min(max(frame, 0), length - 1) for frame in range(start - 1, start + frame_itr_num + 1)]


def training_order(num_items: int, epoch: int, rank: int = 0, world_size: int = 1, seed: int = 0) -> list[int]:
    """Samples of one process in an epoch: shuffled by the epoch, dealt out in turn, the first ones again at the end."""
    total = math.ceil(num_items / world_size) * world_size
    order = torch.randperm(total, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
    return (order % num_items).tolist()[rank::world_size]


def validation_videos(num_videos: int, rank: int, world_size: int) -> range:
    """Videos of one process: whole ones, as the recurrence needs them, each in one process only."""
    return range(rank, num_videos, world_size)


class TrainingClips(Dataset):
    """Windows of consecutive frames, cropped at random, with a little noise.

    Indexed by (epoch, sample). Gives `input` and `gt`, each (T, 3, h, w): float32 in [0, 1], and uint8.
    """

    def __init__(self, videos: list[Video], config):
        self.videos, self.config = videos, config
        self.items = training_items([len(video) for video in videos], config.frame_itr_num)
        if not self.items:
            raise ValueError(
                f"no video has {config.frame_itr_num} frames; the longest has {max(len(video) for video in videos)}: "
                "use longer videos or a smaller --set frame_itr_num"
            )
        for number in sorted({video for video, _ in self.items}):  # now, not after hours of training
            check_crop(read_image(videos[number].blurry[0]).shape, config, videos[number])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        epoch, sample = key
        config, (number, start) = self.config, self.items[sample]
        video = self.videos[number]
        draw = np.random.default_rng((config.manual_seed, epoch, sample))
        crop = None
        frames, truths = [], []
        for index in window_frames(start, config.frame_itr_num, len(video)):
            blurry, sharp = read_pair(video, index)
            if crop is None:
                check_crop(blurry.shape, config, video)  # a later frame may be smaller than the first
                size, crop = blurry.shape, blurriest_crop(blurry, sharp, config, draw)
            elif blurry.shape != size:
                raise ValueError(f"{video.blurry[index]}: {_ODD_SIZE}")
            frame = to_tensor(blurry[crop])
            if draw.random() < 0.5:
                noise = draw.normal(0, config.noise_sigma, frame.shape).astype(np.float32)
                frame = (frame + torch.from_numpy(noise)).clamp(0, 1)
            frames.append(frame)
            truths.append(as_tensor(sharp[crop]))
        return {"input": torch.stack(frames), "gt": torch.stack(truths)}


class MixedClips(Dataset):
    """Several `TrainingClips` at once, each with its share of every epoch, whatever its size.

    An epoch has as many samples as all of them together. A set goes on where the epoch before has left it, so that all
    of its samples come before one comes again, and each time with another crop.

    Args:
        sets: what is mixed.
        weights: of the sets.
    """

    def __init__(self, sets: Sequence[TrainingClips], weights: Sequence[float]):
        self.sets = sets
        self.ends = np.rint(np.cumsum(weights) / sum(weights) * sum(map(len, sets))).astype(int)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def place(self, epoch: int, sample: int) -> tuple[int, int, int]:
        """Number of the set, how often it was used up before, and the sample in it."""
        number = int(np.searchsorted(self.ends, sample, side="right"))
        begin, end = (0, *self.ends.tolist())[number : number + 2]
        return number, *divmod(epoch * (end - begin) + sample - begin, len(self.sets[number]))

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        number, *own = self.place(*key)
        return self.sets[number][tuple(own)]


def check_crop(shape: tuple[int, ...], config, video: Video) -> None:
    """Refuse frames that are smaller than the crop.

    Raises:
        ValueError: they are.
    """
    if shape[0] < config.height or shape[1] < config.width:
        raise ValueError(
            f"video {video.name}: frames of {shape[1]}x{shape[0]} are smaller than the crop of "
            f"{config.width}x{config.height}; use --set width=... --set height=..."
        )


def random_crop(shape: tuple[int, ...], config, draw: np.random.Generator) -> tuple[slice, slice]:
    """A crop of the configured size out of a frame that is not smaller, every position equally likely."""
    top = int(draw.integers(shape[0] - config.height + 1))
    left = int(draw.integers(shape[1] - config.width + 1))
    return slice(top, top + config.height), slice(left, left + config.width)


def blurriest_crop(blurry: np.ndarray, sharp: np.ndarray, config, draw: np.random.Generator) -> tuple[slice, slice]:
    """Of `crop_tries` random crops that where the two frames differ most: much of a real clip stands still."""
    crops = [random_crop(blurry.shape, config, draw) for _ in range(config.crop_tries)]
    return max(crops, key=lambda crop: cv2.norm(blurry[crop], sharp[crop], cv2.NORM_L1)) if crops[1:] else crops[0]


class EpochBatches:
    """Keys of one batch after another, epoch after epoch without end, from any point on.

    Args:
        num_items: samples of the set.
        batch_size: samples a batch; an epoch's last batch may be smaller.
        epoch: first epoch.
        batch: first batch within it.
        rank: this process.
        world_size: number of processes.
        seed: of the shuffling.
    """

    def __init__(self, num_items, batch_size, *, epoch=1, batch=0, rank=0, world_size=1, seed=0):
        self.num_items, self.batch_size = num_items, batch_size
        self.epoch, self.batch = epoch, batch
        self.rank, self.world_size, self.seed = rank, world_size, seed

    @property
    def per_epoch(self) -> int:
        """Batches of one process in an epoch."""
        return math.ceil(math.ceil(self.num_items / self.world_size) / self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, batch = self.epoch, self.batch
        while True:
            order = training_order(self.num_items, epoch, self.rank, self.world_size, self.seed)
            for first in range(batch * self.batch_size, len(order), self.batch_size):
                yield [(epoch, sample) for sample in order[first : first + self.batch_size]]
            epoch, batch = epoch + 1, 0


def clip_frames(video: Video, refine: int = REFINE) -> Iterator[tuple[int, list[torch.Tensor], np.ndarray | None]]:
    """Run through a video for evaluation, reading each file once.

    Yields:
        The frame's number; the previous, current and next blurry frame, each (1, 3, H, W) uint8 until `to_device`, cut
        to multiples of `refine`, the clip's ends repeated; the sharp frame HxWx3 uint8 cut alike, or None.

    Raises:
        ValueError: a file is broken, or sizes differ.
    """
    window: dict[int, tuple[torch.Tensor, np.ndarray | None]] = {}
    size = None
    for index in range(len(video)):
        wanted = neighbour_indices(index, 3, len(video), padding="replicate")
        for number in wanted:
            if number not in window:
                blurry, sharp = read_pair(video, number)
                if size not in (None, blurry.shape):
                    raise ValueError(f"{video.blurry[number]}: {_ODD_SIZE}")
                size = blurry.shape
                if min(size[:2]) < refine:
                    raise ValueError(f"{video.blurry[number]}: {size[1]}x{size[0]} pixels are too few")
                cut = None if sharp is None else crop_to_multiple(sharp, refine)
                window[number] = (as_tensor(crop_to_multiple(blurry, refine))[None], cut)
        window = {number: window[number] for number in sorted(set(wanted))}
        yield index, [window[number][0] for number in wanted], window[index][1]
