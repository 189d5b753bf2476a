"""IFRNet's training samples and their augmentation.

Random draws depend on the seed and the sample's position in the run alone, not on the loader's workers, nor on the
number of processes: any number of them, and any resume, gives the same samples.
"""

import random

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from common.media.classical_flow import dis_flow
from common.media.flow_file import read_flow
from common.media.image import read_clip
from common.sets.clips import Clip
from common.training.sampling import ShuffledOrder, as_tensor
from ifrnet.model import MULTIPLE
from ifrnet.sets import Sample

MARGIN = 32  # pixels around a crop in which DIS may find what moves out of it
Frames = list[np.ndarray]  # HxWx3 uint8, or float; the first input, what lies between, the second input
Flow = np.ndarray | None  # HxWx4, from t to frame 0 and from t to frame 1, pixels; only with three frames


class Dice:
    """The two generators that the published augmentation draws from: coins from one, crops from the other."""

    def __init__(self, seed: int, position: int = 0):
        self.coins = random.Random(1_000_003 * seed + position)
        self.places = np.random.RandomState((1_000_003 * seed + position) % 2**32)

    def coin(self, chance: float) -> bool:
        return self.coins.uniform(0, 1) < chance


def enlarge(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Twice as large, bilinear."""
    frames = [cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for frame in frames]
    return frames, None if flow is None else 2 * cv2.resize(flow, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def reduce(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Half as large, by means of four pixels."""
    frames, flows = (
        [cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for x in part]
        for part in (frames, [] if flow is None else [flow])
    )
    return frames, flows[0] / 2 if flows else None


def crop(frames: Frames, flow: Flow, top: int, left: int, height: int, width: int) -> tuple[Frames, Flow]:
    """A part of every frame."""
    part = (slice(top, top + height), slice(left, left + width))
    return [frame[part] for frame in frames], None if flow is None else flow[part]


def reverse_channels(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """RGB to BGR."""
    return [frame[..., ::-1] for frame in frames], flow


def flip_vertical(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Upside down."""
    return [frame[::-1] for frame in frames], None if flow is None else flow[::-1] * np.float32([1, -1, 1, -1])


def flip_horizontal(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Left to right."""
    return [frame[:, ::-1] for frame in frames], None if flow is None else flow[:, ::-1] * np.float32([-1, 1, -1, 1])


def transpose(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Rows become columns (the published code calls it a rotation)."""
    turned = [frame.swapaxes(0, 1) for frame in frames]
    return turned, None if flow is None else flow.swapaxes(0, 1)[..., [1, 0, 3, 2]]


def reverse_time(frames: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """Last frame first; the times stay in place."""
    return frames[::-1], None if flow is None else flow[..., [2, 3, 0, 1]]


def augment(
    frames: Frames, flow: Flow, dice: Dice, height: int, width: int, enlarge_chance: float = 0.1, backwards: float = 0.5
) -> tuple[Frames, Flow]:
    """The published augmentation, its steps and draws in the published order.

    `backwards` is the chance of `reverse_time`, which leaves the times alone: right where they lie evenly.
    """
    if dice.coin(enlarge_chance):
        frames, flow = enlarge(frames, flow)
    rows, columns = frames[0].shape[:2]
    top, left = dice.places.randint(0, rows - height + 1), dice.places.randint(0, columns - width + 1)
    frames, flow = crop(frames, flow, top, left, height, width)
    for change, chance in (
        (reverse_channels, 0.5),
        (flip_vertical, 0.3),
        (flip_horizontal, 0.5),
        (transpose, 0.05),
        (reverse_time, backwards),
    ):
        if dice.coin(chance):
            frames, flow = change(frames, flow)
    return frames, flow


def read_labels(sample: Sample, shape: tuple[int, ...]) -> np.ndarray:
    """The teacher's flows of a sample, HxWx4 float32 in pixels: t to frame 0 (x, y), t to frame 1 (x, y).

    Raises:
        ValueError: they are missing, broken or of another size than the frames.
    """
    if sample.flows is None:
        raise ValueError(
            f"{sample.name}: no flow labels; make them (python datasets/prepare_vimeo90k.py --flow), "
            "or train without: --set distill=false"
        )
    flow = np.concatenate([read_flow(path)[0] for path in sample.flows], 2)
    if flow.shape[:2] != shape[:2]:
        raise ValueError(
            f"{sample.flows[0]}: a flow of {flow.shape[1]}x{flow.shape[0]}, "
            f"expected {shape[1]}x{shape[0]} as the frames"
        )
    return flow


def to_batch(frames: Frames, times: list[float], flow: Flow) -> dict[str, torch.Tensor]:
    """What training and validation take, see `as_tensor`: img0, img1 (3, h, w), target (K, 3, h, w), t (K,), labels
    (1, 4, h, w).
    """
    first, *between, last = (as_tensor(frame) for frame in frames)
    item = {"img0": first, "img1": last, "target": torch.stack(between), "t": torch.tensor(times)}
    return item if flow is None else item | {"labels": as_tensor(flow)[None]}


class TrainingSamples(Dataset):
    """Augmented crops, indexed by the position in the run."""

    def __init__(self, samples: list[Sample], config):
        self.samples, self.config = samples, config
        self.order = ShuffledOrder(len(samples), config.manual_seed)
        shape = read_clip(samples[0].frames)[0].shape  # now, not after hours of training
        if min(shape[:2]) < config.crop:
            raise ValueError(
                f"{samples[0].frames[0]}: {shape[1]}x{shape[0]} pixels are smaller than the crop of {config.crop}; "
                f"use --set crop={min(shape[:2]) // 16 * 16}"
            )
        if config.distill:
            read_labels(samples[0], shape)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        config = self.config
        sample = self.samples[self.order(position)]
        frames = read_clip(sample.frames)
        if min(frames[0].shape[:2]) < config.crop:
            raise ValueError(f"{sample.frames[0]}: smaller than the crop of {config.crop}; use a smaller --set crop")
        flow = read_labels(sample, frames[0].shape) if config.distill else None
        dice = Dice(config.manual_seed, position)
        frames, flow = augment(frames, flow, dice, config.crop, config.crop, config.augment_large)
        return to_batch(frames, sample.times, flow)


class ClipSamples(Dataset):
    """Augmented crops of any clips, indexed by the position in the run: two frames and one between, at any time.

    Of a clip whose exact flows are known, the inputs are its first and last frame, and the flows the labels. Of others,
    the distance of the inputs, 2 to `max_distance` frames, and where they begin are drawn; labels are then what DIS
    flow finds from the true frame between to both.
    """

    def __init__(self, clips: list[Clip], config):
        self.clips = [clip for clip in clips if not clip.flow or motion(clip) <= config.max_motion]
        if not self.clips:
            raise ValueError(f"{clips[0].flow.parent}: no clip moves by {config.max_motion:g} pixels or less")
        self.config, self.order = config, ShuffledOrder(len(self.clips), config.manual_seed)
        self[0]  # now, not after hours of training

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        config, clip = self.config, self.clips[self.order(position)]
        dice = Dice(config.manual_seed, position)
        first, between, last = draw_times(len(clip), None if clip.flow else config.max_distance, dice.coins)
        frames = read_clip([clip.frames[number] for number in (first, between, last)])
        if min(frames[0].shape[:2]) < config.crop:
            raise ValueError(f"{clip.frames[0]}: smaller than the crop of {config.crop}; use a smaller --set crop")
        flow = np.concatenate(clip.flows(between), 2) if config.distill and clip.flow else None
        if dice.coin(config.reduce) and min(frames[0].shape[:2]) >= 2 * config.crop:
            frames, flow = reduce(frames, flow)
        if config.distill and flow is None:
            frames, flow = label(frames, config.crop, dice)
        frames, flow = augment(frames, flow, dice, config.crop, config.crop, config.augment_large, backwards=0)
        t = (between - first) / (last - first)
        if dice.coin(0.5):
            frames, flow, t = *reverse_time(frames, flow), 1 - t
        return to_batch(frames, [t], flow)


def motion(clip: Clip) -> float:
    """How far the middle frame of a clip with flow moves to its first frame, pixels: nine of ten by less."""
    flow = clip.flows(len(clip) // 2)[0][::8, ::8]
    return float(np.percentile(np.linalg.norm(flow, axis=2), 90))


def draw_times(length: int, most: int | None, coins: random.Random) -> tuple[int, int, int]:
    """Numbers of the first input, of the frame between, and of the second input.

    Args:
        length: frames of the clip.
        most: distance of the inputs, at most; None: they are the clip's first and last frame.
        coins: what is drawn from.
    """
    distance = length - 1 if most is None else coins.randint(2, min(most, length - 1))
    first = coins.randint(0, length - 1 - distance)
    return first, first + coins.randint(1, distance - 1), first + distance


def label(frames: Frames, side: int, dice: Dice) -> tuple[Frames, Flow]:
    """A part of three frames around a crop of that side, and its flows by DIS, from the middle to the others."""
    rows, columns = frames[0].shape[:2]
    height, width = min(rows, side + 2 * MARGIN), min(columns, side + 2 * MARGIN)
    top, left = dice.places.randint(0, rows - height + 1), dice.places.randint(0, columns - width + 1)
    frames, _ = crop(frames, None, top, left, height, width)
    return frames, np.concatenate([dis_flow(frames[1], other) for other in (frames[0], frames[2])], 2)


class TestSamples(Dataset):
    """Whole test samples for validation, cut around the centre to at most 512 pixels and to multiples of 16."""

    def __init__(self, samples: list[Sample], distill: bool):
        self.samples, self.distill = samples, distill

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        sample = self.samples[number]
        frames = read_clip(sample.frames)
        flow = read_labels(sample, frames[0].shape) if self.distill and sample.flows else None
        sizes = [min(size, 512) // MULTIPLE * MULTIPLE for size in frames[0].shape[:2]]
        starts = [size // 2 - inner // 2 for size, inner in zip(frames[0].shape[:2], sizes, strict=True)]
        frames, flow = crop(frames, flow, *starts, *sizes)
        return to_batch(frames, sample.times, flow)
