"""QPWCNet's augmentation: what is drawn, and what the draws do, apart from each other.

Frames are HxWx3, uint8 or float32 in [0, 1], and flows HxWx2 in pixels, NumPy arrays all; what is ready for a batch is
a tensor. Colours are never clipped, so values leave [0, 1] a little. Every draw comes from the generator that is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from common.media.flow_file import UNKNOWN
from common.training.sampling import to_tensor

NOISE = 0.02


def to_unit(frame: np.ndarray) -> np.ndarray:
    """Uint8 -> float32 in [0, 1]; float stays as it is."""
    if frame.dtype == np.uint8:
        return np.multiply(frame, np.float32(1 / 255), dtype=np.float32)
    return frame.astype(np.float32, copy=False)


def without_nan(x: np.ndarray) -> np.ndarray:
    """A float array with zeros where a value is NaN, infinite, or a file's mark of unknown flow (above 1e9)."""
    return np.where(np.abs(x) <= UNKNOWN, x, np.float32(0)).astype(np.float32, copy=False)  # NaN compares false


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """HxWxC float32 -> height x width x C: bilinear, half-pixel centres, no antialias; the same array at its size."""
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_frames(frames: Sequence[np.ndarray], height: int, width: int) -> list[np.ndarray]:
    """Frames -> float32 in [0, 1], height x width x 3; what pretraining does with triplets, the aspect may change."""
    return [resize(to_unit(frame), height, width) for frame in frames]


def resize_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize HxWx2, and lengthen the vectors by each axis' factor."""
    factors = np.float32([width / flow.shape[1], height / flow.shape[0]])
    return resize(flow, height, width) * factors


def resize_pair(
    first: np.ndarray, second: np.ndarray, flow: np.ndarray, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A sample as it is, at another size: for evaluation, and for training without augmentation.

    Returns:
        (3, height, width) twice, (2, height, width) in pixels of that size; unknown flow is zero.

    Raises:
        ValueError: the three differ in size.
    """
    check_sizes(first, second, flow)
    frames = resize_frames((first, second), height, width)
    return (*(to_tensor(frame) for frame in frames), to_tensor(resize_flow(without_nan(flow), height, width)))


def cut(
    images: Sequence[np.ndarray], height: int, width: int, place: tuple[float, float] = (0.5, 0.5)
) -> tuple[list[np.ndarray], float]:
    """Images of one size, cut to height x width, their aspect kept; smaller ones are enlarged just enough before.

    Args:
        images: HxWxC float32.
        height: of the cut.
        width: of the cut.
        place: of the cut in the room that there is, down and across, 0 to 1.

    Returns:
        The cuts, and by how much they were enlarged.
    """
    *size, scale = scaled_size(images[0].shape, 1.0, height, width)
    top, left = corner(size, place, height, width)
    return [resize(image, *size)[top : top + height, left : left + width] for image in images], scale


def corner(size: Sequence[int], place: Sequence[float], height: int, width: int) -> tuple[int, int]:
    """Top and left of a cut of height x width out of `size`; `place` as in `cut`."""
    rooms = size[0] - height, size[1] - width
    return tuple(min(int(part * (room + 1)), room) for part, room in zip(place, rooms, strict=True))


def check_sizes(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> None:
    (height, width), sizes = first.shape[:2], (second.shape[:2], flow.shape[:2])
    for name, size in zip(("second frame", "flow"), sizes, strict=True):
        if size != (height, width):
            raise ValueError(f"the {name} is {size[1]}x{size[0]}, the first frame {width}x{height}; they must agree")


# Triplets


@dataclass(frozen=True)
class TripletDraw:
    """One draw for the three frames of a triplet, in the order of drawing."""

    shift: np.ndarray  # (3,) added to R, G, B
    euler: np.ndarray  # (3,) angles about the axes R, G, B, radians
    log_scale: np.ndarray  # (3,) of R, G, B
    noise: np.ndarray  # H W 3, added
    flip_ud: bool
    flip_lr: bool


def draw_triplet(rng: np.random.Generator, height: int, width: int) -> TripletDraw:
    """Draw the changes of a triplet of that size, each in its published range."""
    shift, euler, log_scale = rng.uniform(-0.3, 0.3, (3, 3))
    noise = rng.standard_normal((height, width, 3), np.float32) * np.float32(NOISE)
    flip_ud, flip_lr = (rng.random(2) < 0.5).tolist()
    return TripletDraw(shift, euler, log_scale, noise, flip_ud, flip_lr)


def rotation(euler: np.ndarray) -> np.ndarray:
    """The 3x3 matrix Rz Ry Rx of the angles (3,) about x, y, z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(euler), np.sin(euler)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def flip(image: np.ndarray, flip_ud: bool, flip_lr: bool) -> np.ndarray:
    """HxWxC upside down, mirrored, or both; the same array if neither."""
    if not (flip_ud or flip_lr):
        return image
    return cv2.flip(image, -1 if flip_ud and flip_lr else 0 if flip_ud else 1)  # several times faster than by strides


def change_triplet(frames: Sequence[np.ndarray], draw: TripletDraw) -> list[np.ndarray]:
    """Colours rotated, scaled, shifted, noise added, frames flipped: all alike."""
    # One matrix (3, 4) does the rotation, then the scale of each channel, then the shift.
    matrix = np.column_stack((np.exp(draw.log_scale)[:, None] * rotation(draw.euler), draw.shift))
    frames = [cv2.transform(to_unit(frame), matrix) + draw.noise for frame in frames]
    return [flip(frame, draw.flip_ud, draw.flip_lr) for frame in frames]


def augment_triplet(frames: Sequence[np.ndarray], rng: np.random.Generator) -> list[Tensor]:
    """The augmentation of pretraining.

    Args:
        frames: of one size, already the network's (see `resize_frames`): nothing here crops.
        rng: the sample's generator.

    Returns:
        As many tensors (3, H, W), nominally in [0, 1].
    """
    draw = draw_triplet(rng, *frames[0].shape[:2])
    return [to_tensor(frame) for frame in change_triplet(frames, draw)]


# Pairs with flow


@dataclass(frozen=True)
class PairDraw:
    """One draw for a pair of frames and their flow, in the order of drawing."""

    flip_ud: bool
    flip_lr: bool
    scale: float
    crop_y: float  # place of the crop in the room that the scaled frame leaves, 0 (top) to 1 (bottom)
    crop_x: float
    hue: float  # added, in turns
    brightness: float  # added
    saturation: float  # factor
    contrast: float  # factor


def draw_pair(rng: np.random.Generator, base_scale: float = 1.0) -> PairDraw:
    """Draw the changes of a pair; `base_scale` is 1 for Sintel, 0.56 for FlyingThings3D at 256x512."""
    flip_ud, flip_lr = (rng.random(2) < 0.5).tolist()
    scale = base_scale * rng.uniform(0.955, 1.05)
    crop_y, crop_x = rng.random(2)
    low, high = (-0.2, -0.125, 0.5, 0.5), (0.2, 0.125, 1.5, 1.5)
    return PairDraw(flip_ud, flip_lr, scale, crop_y, crop_x, *rng.uniform(low, high).tolist())


def flip_flow(flow: np.ndarray, flip_ud: bool, flip_lr: bool) -> np.ndarray:
    """The flow (HxWx2) of flipped frames: the component across the mirror changes its sign."""
    flow = flip(flow, flip_ud, flip_lr).copy()
    for component, mirrored in enumerate((flip_lr, flip_ud)):
        if mirrored:
            flow[..., component] *= -1
    return flow


def scaled_size(shape: Sequence[int], scale: float, height: int, width: int) -> tuple[int, int, float]:
    """Height and width after scaling (cut to whole pixels, as published), and the scale itself.

    A frame that would be smaller than the crop is scaled just enough to hold it.
    """
    scale = max(scale, height / shape[0], width / shape[1])
    # The product of a quotient may fall short of the whole number by a rounding error.
    return max(int(shape[0] * scale), height), max(int(shape[1] * scale), width), scale


def scale_crop(
    images: Sequence[np.ndarray], scale: float, size: tuple[int, int], top: int, left: int, height: int, width: int
) -> list[np.ndarray]:
    """Frames and, last, the flow: resized to `size`, cropped at (top, left), the vectors times `scale`."""
    places = slice(top, top + height), slice(left, left + width)
    *frames, flow = (resize(image, *size)[places] for image in images)
    return [*frames, flow * np.float32(scale)]


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """HSV saturation of (3, H, W) times `factor`, kept in [0, 1]; hue and value stay, in any range of values."""
    value = image.max(0)
    spread = value - image.min(0)
    # Saturation is spread / value: all distances to the value change alike. No positive channel counts as grey.
    most = np.divide(np.maximum(value, 0), spread, out=np.ones_like(value), where=spread > 0)
    return value - (value - image) * np.minimum(np.float32(factor), most)


def adjust_hue(image: np.ndarray, turns: float) -> np.ndarray:
    """Turn the HSV hue of (3, H, W); the largest and the smallest channel value stay, in any range of values."""
    low = image.min(0)
    spread = image.max(0) - low
    hue = cv2.split(cv2.cvtColor(cv2.merge(list(image)), cv2.COLOR_RGB2HSV))[0]  # degrees; right in any range
    hue = (hue + np.float32(360 * turns % 360)) % np.float32(360)
    ones = np.ones_like(hue)
    full = cv2.cvtColor(cv2.merge([hue, ones, ones]), cv2.COLOR_HSV2RGB)  # that hue between 0 and 1
    return low + spread * np.stack(cv2.split(full))


def change_colours(images: np.ndarray, draw: PairDraw) -> np.ndarray:
    """Brightness, saturation, hue, contrast of both frames alike.

    Args:
        images: (3, H, W) float32, the frames one below the other: the contrast is about the mean over both.
        draw: the colours of it.
    """
    images = images + np.float32(draw.brightness)
    images = adjust_hue(adjust_saturation(images, draw.saturation), draw.hue)
    mean = images.mean((1, 2), dtype=np.float64, keepdims=True).astype(np.float32)
    return (images - mean) * np.float32(draw.contrast) + mean


def change_pair(
    first: np.ndarray, second: np.ndarray, flow: np.ndarray, draw: PairDraw, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flip, scale, crop, then the colours; see `augment_pair`. Channels come first in what it returns."""
    images = [to_unit(flip(frame, draw.flip_ud, draw.flip_lr)) for frame in (first, second)]
    images.append(flip_flow(without_nan(flow), draw.flip_ud, draw.flip_lr))
    *size, scale = scaled_size(first.shape, draw.scale, height, width)
    top, left = corner(size, (draw.crop_y, draw.crop_x), height, width)
    *frames, flow = scale_crop(images, scale, tuple(size), top, left, height, width)
    colours = change_colours(np.stack(cv2.split(np.concatenate(frames))), draw)  # 3 2*height width
    return colours[:, :height], colours[:, height:], flow.transpose(2, 0, 1)


def augment_pair(
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    rng: np.random.Generator,
    height: int,
    width: int,
    base_scale: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """The augmentation of flow training.

    Args:
        first: HxWx3.
        second: the same size.
        flow: HxWx2 in pixels, from `first` to `second`; unknown flow becomes zero.
        rng: the sample's generator.
        height: of the crop. Frames that the drawn scale makes smaller than the crop are scaled just enough to hold it.
        width: of the crop.
        base_scale: middle of the range of scales.

    Returns:
        (3, height, width) twice, nominally in [0, 1]; (2, height, width) in pixels.

    Raises:
        ValueError: the three differ in size.
    """
    check_sizes(first, second, flow)
    changed = change_pair(first, second, flow, draw_pair(rng, base_scale), height, width)
    return tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in changed)
