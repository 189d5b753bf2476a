"""Frames as a program has them: arrays, PIL images or tensors. What a network makes of them is of the same kind.

A frame is an array or a PIL image of H x W x 3 levels (RGB, uint8; an array also uint16), or a tensor (3, H, W) or
(B, 3, H, W), RGB, uint8 or floating point in [0, 1].
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from common.media.image import LEVELS
from common.media.video_reader import FolderReader, VideoReader

if TYPE_CHECKING:
    from PIL.Image import Image

    Frame = np.ndarray | Image | Tensor

Kind = TypeVar("Kind", "np.ndarray", "Image", Tensor)  # what comes in goes out
EXPECTED = "expected H x W x 3 uint8 (an array or a PIL image), or a tensor (3, H, W) or (B, 3, H, W) in [0, 1]"
LEAST, MOST = -0.5, 1.5  # of floating point values: networks overshoot a little; levels, and [-1, 1], do not pass


def is_image(frame) -> bool:
    """Whether it is one of PIL's images; PIL need not be installed."""
    return "PIL.Image" in sys.modules and isinstance(frame, sys.modules["PIL.Image"].Image)


def as_tensor(frame: "Frame", device: torch.device | str = "cpu") -> Tensor:
    """A frame as networks take it: (B, 3, H, W) float32 in [0, 1], B = 1 but for tensors of several.

    Raises:
        ValueError: it is no frame; the line says what was found, and how to mend it.
    """
    if is_image(frame):
        if frame.mode == "F" or frame.mode.startswith("I"):
            raise ValueError(f"a PIL image of mode {frame.mode}: {EXPECTED}; bring it to 8 bits first")
        frame = np.array(frame.convert("RGB"))
    if isinstance(frame, np.ndarray):
        _check(frame, frame.shape, frame.ndim == 3 and frame.shape[2] == 3, frame.dtype in LEVELS)
        frame = np.ascontiguousarray(frame)
        levels = torch.from_numpy(frame if frame.flags.writeable else frame.copy())
        return levels.to(device).permute(2, 0, 1)[None].float().div_(np.iinfo(frame.dtype).max)  # 1 3 H W
    if not isinstance(frame, Tensor):
        raise ValueError(f"a frame of type {type(frame).__name__}: {EXPECTED}")
    known = frame.is_floating_point() or frame.dtype == torch.uint8
    _check(frame, tuple(frame.shape), frame.ndim in (3, 4) and frame.shape[-3] == 3, known)
    x = frame.detach().to(device)
    x = x if x.ndim == 4 else x[None]
    if x.dtype == torch.uint8:
        x = x.float().div_(255)
    else:
        x = x.float()
        least, most = x.aminmax()
        if not (least >= LEAST and most <= MOST):  # NaN, too
            hint = "; divide by 255, or give uint8" if most > MOST else ""
            raise ValueError(f"a tensor with values from {least:g} to {most:g}: expected RGB in [0, 1]{hint}")
    return x.contiguous(memory_format=torch.channels_last)  # as arrays lie, so that both give the same bits


def _check(frame, shape: tuple[int, ...], fits: bool, known: bool) -> None:
    if not fits or 0 in shape:
        raise ValueError(f"a frame of shape {tuple(shape)}: {EXPECTED}")
    if not known:
        raise ValueError(f"a frame of {str(frame.dtype).removeprefix('torch.')} values: {EXPECTED}")


def to_levels(result: Tensor, kind: torch.dtype = torch.uint8) -> Tensor:
    """Levels of a result, as `image.to_uint8` makes them and where it is: rounded, and clamped to 0..255.

    Args:
        result: (B, 3, H, W) floating point, nominally in [0, 1].
        kind: uint8; or uint16, for levels in 0..65535.

    Returns:
        (B, 3, H, W) of that kind, channels last.
    """
    made, most = torch.empty_like(result, memory_format=torch.channels_last), torch.iinfo(kind).max
    return torch.mul(result, most, out=made).add_(0.5).clamp_(0, most).to(kind)  # which cuts the fraction off


def as_arrays(result: Tensor, kind: np.typing.DTypeLike = np.uint8) -> np.ndarray:
    """A result, as `to_levels` takes it, as pictures: B x H x W x 3 uint8, or uint16 if that is the kind.

    Raises:
        ValueError: it holds NaN.
    """
    highest, levels = result.amax(), to_levels(result, torch.uint16 if kind == np.uint16 else torch.uint8)
    pictures = levels.permute(0, 2, 3, 1).cpu().numpy()
    if highest.isnan():
        raise ValueError("the image holds NaN values: the network diverged or its checkpoint is damaged")
    return pictures


def like(result: Tensor, frame: Kind) -> Kind:
    """A result, (B, 3, H, W) nominally in [0, 1], as the kind of `frame`; its values are brought into [0, 1].

    Raises:
        ValueError: it holds NaN.
    """
    if isinstance(frame, Tensor) and frame.is_floating_point():
        if result.isnan().any():
            raise ValueError(
                "the result holds NaN values: the weights are damaged, or amp='fp16' is too narrow for them"
            )
        result = result.clamp(0, 1).to(frame.device, frame.dtype, copy=True, memory_format=torch.contiguous_format)
        return result if frame.ndim == 4 else result[0]
    levels = as_arrays(result, frame.dtype if isinstance(frame, np.ndarray) else np.uint8)  # B H W 3
    if isinstance(frame, Tensor):
        made = torch.from_numpy(levels).permute(0, 3, 1, 2).contiguous().to(frame.device)  # B 3 H W
        return made if frame.ndim == 4 else made[0]
    return sys.modules["PIL.Image"].fromarray(levels[0]) if is_image(frame) else levels[0]


def check_alike(first: "Frame", other: "Frame") -> None:
    """Refuse two frames of different kind or size.

    Raises:
        ValueError: they differ.
    """
    facts = [(type(x).__name__, x.size if is_image(x) else tuple(getattr(x, "shape", ()))) for x in (first, other)]
    if facts[0] != facts[1]:
        told = " and ".join(f"{kind} {'x'.join(map(str, shape))}" for kind, shape in facts)
        raise ValueError(f"frames of {told}: expected one kind and one size")


def two(first: "Frame", second: "Frame", device: torch.device | str) -> list[Tensor]:
    """Two frames that belong together, as networks take them.

    Raises:
        ValueError: one of them is no frame, or they differ in kind or size.
    """
    pair = [as_tensor(frame, device) for frame in (first, second)]
    check_alike(first, second)
    return pair


def between(predict: Callable, first: Kind, second: Kind, t: float | Fraction, device: torch.device | str) -> Kind:
    """The frame at time t between two; pairs of a batch one after the other.

    Args:
        predict: makes frames at times, each (1, 3, H, W), from two of that kind, as for `frame_rate.between`.
        first: the frame at time 0.
        second: the frame at time 1, of the same kind and size.
        t: in (0, 1).
        device: of what `predict` takes.

    Raises:
        ValueError: what came is no frame, or no such time.
    """
    if not 0 < t < 1:
        raise ValueError(f"t {t}: expected a time between the two frames, above 0 and below 1")
    exact = Fraction(t)
    near = exact.limit_denominator(1000)  # 0.3 is 3/10, not the nearest 54 bits
    time = near if float(near) == float(exact) else exact
    pairs = zip(*(frames.split(1) for frames in two(first, second, device)), strict=True)
    return like(torch.cat([next(iter(predict(*pair, [time]))) for pair in pairs]), first)


def mapped(
    stream: Callable[[Iterator[Tensor]], Iterator[Tensor]], frames: Iterable[Kind], device: torch.device | str
) -> Iterator[Kind]:
    """What `stream` makes of a clip, frame by frame, each of the kind that came; no more is read than it asks for.

    Args:
        stream: takes (B, 3, H, W) in [0, 1] one after the other, and gives one for each, in order.
        frames: of a clip: a list, an array (T, H, W, 3), a tensor (T, 3, H, W), or an iterator.
        device: of the tensors.

    Raises:
        ValueError: it is no clip, or empty; later, a frame that is none, or unlike the first.
    """
    alone = is_image(frames) or (isinstance(frames, np.ndarray | Tensor) and frames.ndim < 4)
    if alone or not isinstance(frames, Iterable) or isinstance(frames, str):
        found = "one frame" if alone else f"a {type(frames).__name__}"
        raise ValueError(f"found {found}: expected the frames of a clip, such as a list of them; clip() takes files")
    rest, nothing = iter(frames), object()
    first = next(rest, nothing)
    if first is nothing:
        raise ValueError("found no frame: expected the frames of a clip, one or more")
    as_tensor(first)  # what is no frame is told now, not when the first result is asked for

    def tensors() -> Iterator[Tensor]:
        for frame in chain((first,), rest):
            check_alike(first, frame)
            yield as_tensor(frame, device)

    return (like(result, first) for result in stream(tensors()))


def timed(
    stream: Callable[[Iterator[Tensor]], Iterator[Tensor]], reader: VideoReader | FolderReader, device, first: int = 0
) -> Iterator[tuple[np.ndarray | None, Fraction | None]]:
    """What `stream`, as for `mapped`, makes of a user's clip: H x W x 3 of its `dtype`, with the times of its frames.

    It is given the frames from `first` on; those before have no result, but a time.
    """
    times = deque()  # of frames that were read and have no result yet

    def tensors() -> Iterator[Tensor]:
        for number, (image, time) in enumerate(reader.timed()):
            times.append(time)
            if number >= first:
                yield as_tensor(image, device)

    for number, result in enumerate(stream(tensors())):
        if number == 0:
            yield from ((None, times.popleft()) for _ in range(first))
        yield as_arrays(result, reader.dtype)[0], times.popleft()


def gathered(results: Iterator[Kind], frames: Iterable[Kind]) -> "Iterable[Kind]":
    """The results of a clip as the clip came: in a tensor, an array or a list; one by one if it was an iterator."""
    if isinstance(frames, Tensor):
        return torch.stack(list(results))
    if isinstance(frames, np.ndarray):
        return np.stack(list(results))
    return list(results) if isinstance(frames, Sequence) else results
