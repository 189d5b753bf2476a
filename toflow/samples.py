"""TOFlow's samples: crops, degradations made on the fly, labels of flow; and whole frames to test with.

Random draws of training depend on the seed and the sample's position in the run alone, not on the loader's workers, nor
on the number of processes: any number of them, and any resume, gives the same samples.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.degrade.by_name import clip_rng, degrade
from common.media.flow_file import read_flow
from common.media.frame_windows import neighbour_indices
from common.media.image import read_clip
from common.sets.clips import Clip
from common.training.sampling import ShuffledOrder, as_tensor
from toflow.sets import CLIP_PADDING, WINDOW, FlowSample, Sample

Frames = list[np.ndarray]  # HxWxC


def stack(frames: Sequence[np.ndarray]) -> Tensor:
    """T images HxWxC -> (T, C, H, W)."""
    return torch.stack([as_tensor(frame) for frame in frames])


def crop(frames: Frames, side: int, rng: np.random.Generator, source: Path) -> Frames:
    """The same square of all frames; 0: whole frames.

    Raises:
        ValueError: they are smaller.
    """
    height, width = frames[0].shape[:2]
    if min(height, width) < side:
        raise ValueError(
            f"{source}: {width}x{height} pixels are smaller than the crop of {side}; use a smaller --set crop= "
            "(of the flow stage: flow_crop=), in multiples of 16"
        )
    if not side:
        return frames
    top, left = (int(rng.integers(0, size - side + 1)) for size in (height, width))
    return [frame[top : top + side, left : left + side] for frame in frames]


def turn(frames: Frames, target: np.ndarray, rng: np.random.Generator) -> tuple[Frames, np.ndarray]:
    """Mirrored, transposed, played backwards, each at random."""
    backwards, upside_down, mirrored, transposed = rng.random(4) < 0.5

    def change(image: np.ndarray) -> np.ndarray:
        image = image[::-1] if upside_down else image
        image = image[:, ::-1] if mirrored else image
        return np.ascontiguousarray(image.swapaxes(0, 1) if transposed else image)

    return [change(frame) for frame in (frames[::-1] if backwards else frames)], change(target)


def read_labels(paths: Sequence[Path] | None, shape: tuple[int, ...]) -> Frames:
    """Flows, HxWx2 float32 in pixels.

    Raises:
        ValueError: they are missing, broken or of another size than the frames.
    """
    for path in paths or (Path("sets of clips"),):
        if not path.is_file():
            raise ValueError(
                f"{path}: no such label; make them (python datasets/prepare_vimeo90k.py --flow), or train without the "
                "stages flow and mask: --set stages=joint --set steps=0 --set learning_rates=3e-5"
            )
    flows = [read_flow(path)[0] for path in paths]
    for path, flow in zip(paths, flows, strict=True):
        if flow.shape[:2] != shape[:2]:
            raise ValueError(f"{path}: {flow.shape[1]}x{flow.shape[0]}, expected {shape[1]}x{shape[0]} as the frames")
    return flows


class TrainingSamples(Dataset):
    """`frames` (T, 3, h, w), `target` (3, h, w) and, if asked, `flows` (2, 2, h, w), indexed by the position.

    A crop is degraded after it was cut out, so that codecs and borders see what they see of whole frames.
    """

    def __init__(self, samples: list[Sample], config, labels: bool = False):
        self.samples, self.config, self.labels = samples, config, labels
        self.order = ShuffledOrder(len(samples), config.manual_seed)
        self[0]  # what cannot be read shows now, not after hours of training

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        config, rng = self.config, np.random.default_rng((self.config.manual_seed, position))
        sample = self.pick(self.order(position), rng)
        images = read_clip((*sample.frames, sample.target))
        flows = read_labels(sample.flows, images[0].shape) if self.labels else []
        parts = crop(images + flows, config.crop, rng, sample.target)
        *frames, target = parts[: len(images)]
        if config.flip and not self.labels:
            frames, target = turn(frames, target, rng)
        if sample.degradation:
            frames = degrade(frames, sample.degradation, rng)
        item = {"frames": stack(frames), "target": as_tensor(target)}
        return item | {"flows": stack(parts[len(images) :])} if self.labels else item

    def pick(self, number: int, rng: np.random.Generator) -> Sample:
        """What stands at a place of the order."""
        return self.samples[number]


class ClipSamples(TrainingSamples):
    """Of any clips: which seven frames, or which three at which distance, is drawn at every access."""

    def __init__(self, clips: list[Clip], degradation: str, config, labels: bool = False):
        self.degradation = degradation
        super().__init__(clips, config, labels)

    def pick(self, number: int, rng: np.random.Generator) -> Sample:
        """Two frames up to `max_distance` away on either side of a third; or seven frames, to be degraded.

        At the ends of a clip the seven are those that would be read in testing.
        """
        clip = self.samples[number]
        distance = 0
        if not self.degradation:
            distance = int(rng.integers(1, min(self.config.max_distance, (len(clip) - 1) // 2) + 1))
        middle = int(rng.integers(distance, len(clip) - distance))
        window = (middle - distance, middle + distance)
        if self.degradation:
            window = neighbour_indices(middle, WINDOW, len(clip), padding=CLIP_PADDING)
        frames = tuple(clip.frames[k] for k in window)
        return Sample(clip.name, frames, clip.frames[middle], self.degradation)


class FlowSamples(Dataset):
    """`frames` (2, 3, h, w) and `flows` (1, 2, h, w) from the first to the second, indexed by the position.

    The frames are degraded as the task's are: the paper adapts its flow networks to the task with such pairs.
    """

    def __init__(self, samples: list[FlowSample], config, degradation: str):
        self.samples, self.config, self.degradation = samples, config, degradation
        self.order = ShuffledOrder(len(samples), config.manual_seed)
        self[0]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        sample = self.samples[self.order(position)]
        rng = np.random.default_rng((self.config.manual_seed, position))
        frames = read_clip(sample.frames)
        flows = read_labels([sample.flow], frames[0].shape)
        *frames, flow = crop(frames + flows, self.config.flow_crop, rng, sample.frames[0])
        frames = degrade(frames, self.degradation, rng) if self.degradation else frames
        return {"frames": stack(frames), "flows": stack([flow])}


def evaluation_frames(sample: Sample, seed: int) -> Frames:
    """The frames of a sample as the network is to see them, HxWx3 uint8: a seed's tests always get the same ones.

    Raises:
        ValueError: a file is missing or broken, or they differ in size.
    """
    frames = read_clip(sample.frames)
    return degrade(frames, sample.degradation, clip_rng(seed, sample.name)) if sample.degradation else frames
