"""Cutting a video into clips: shots told from flashes, fades and stills; frames made small by area averaging."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from common.media.scene_cuts import FLAT, is_cut
from common.sets.clip_files import LONGEST, SHORTEST

WIDEST = 640  # pixels of a frame's width
REDUCTION = 1.5  # at least: what compression did to a pixel is averaged out
SMALLEST = 32  # pixels of a side
STILL = 4.5  # grey levels; compression makes up to 3.5 of a doubled frame, the slowest real motion is from 5.8
FEW = 4  # still frames in a row that are doubled ones, as of film shown at another rate; more are a still
JUMP = 25.0  # grey levels of mean brightness from one frame to the next
FLASH = 2  # frames
SPANS = (12, 24)  # frames over which a dissolve is looked for
BLEND = 0.4  # of the difference of two frames; real motion leaves 0.45 and more, dissolves of 4 to 22 frames less
FADED = 0.5  # share of the contrast of one end that the other has at least; a fade leaves less


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of one shot: `images` HxWx3 uint8, `numbers` of each in its source."""

    images: list[np.ndarray]
    numbers: list[int]


@dataclass(frozen=True, eq=False)
class _Frame:
    number: int
    image: np.ndarray
    blocks: np.ndarray  # mean grey of blocks of 8x8 pixels
    small: np.ndarray  # 36x64 grey

    @property
    def contrast(self) -> float:
        return float(np.abs(self.small - self.small.mean()).mean())

    @property
    def is_flat(self) -> bool:
        return self.contrast < FLAT


def cut(images: Iterable[np.ndarray]) -> Iterator[Piece]:
    """The clips of a video, 9 to 64 frames each, none over a cut; shorter pieces are left out.

    A clip ends at a cut (`scene_cuts`), at a frame without a picture (as between a fade out and a fade in), at a
    dissolve, whose frames are dropped, and at a still. It does not end at a fade, which changes contrast and brightness
    alone; at one or two frames, brighter or quite different, after which the shot goes on (a flash: they are dropped);
    or at a few doubled frames, which are dropped. Doubled is a frame in which no block of 8x8 pixels has changed by
    4.5 levels.

    Args:
        images: HxWx3 uint8 of one size, already made small.

    Yields:
        The pieces, in their order. About 90 frames are held at once.
    """
    piece: list[_Frame] = []
    still = skip = 0
    for frame, following in _with_following(_seen(images)):
        if skip or not piece:
            skip = max(0, skip - 1)
            piece = [] if skip or frame.is_flat else [frame]
            continue
        last = piece[-1]
        if np.abs(last.blocks - frame.blocks).max() < STILL:
            still += 1
            if still > FEW:
                yield from _divided(piece)
                piece = []
            continue
        still = 0
        strange = _strange(last, frame)
        if strange and any(not _strange(last, other) for other in following):
            continue
        if frame.is_flat or (strange and is_cut(last.image, frame.image)):
            yield from _divided(piece)
            piece = [] if frame.is_flat else [frame]
        elif span := _dissolve(piece, frame):
            yield from _divided(piece[:-span])
            piece, skip = [], span  # it may go on
        else:
            piece.append(frame)
        if len(piece) == LONGEST + max(SPANS):  # the later ones may yet turn out as a dissolve
            yield from _divided(piece[:LONGEST])
            piece = piece[LONGEST:]
    yield from _divided(piece)


def _seen(images):
    for number, image in enumerate(images):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        blocks = [max(1, length // 8) for length in grey.shape[::-1]]
        blocks, small = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for size in (blocks, (64, 36)))
        yield _Frame(number, image, blocks, small)


def _with_following(frames):
    """Every frame with the one or two that come after it."""
    held = deque()
    for frame in frames:
        held.append(frame)
        if len(held) > FLASH:
            yield held.popleft(), tuple(held)
    while held:
        yield held.popleft(), tuple(held)


def _strange(last, frame):
    """Whether a frame cannot be the next one of a shot, or only in other light."""
    jump = abs(float(last.small.mean() - frame.small.mean()))
    return jump > JUMP or frame.is_flat or is_cut(last.image, frame.image)


def _dissolve(piece, frame):
    """Over how many frames one shot has turned into another here, each pixel on a straight way; 0: it has not."""
    for span in SPANS:
        if len(piece) >= span:
            first, middle = piece[-span], piece[-span // 2]
            low, high = sorted((first.contrast, frame.contrast))
            start, half, end = (seen.small - seen.small.mean() for seen in (first, middle, frame))
            way, off = np.abs(end - start).mean(), np.abs(half - (start + end) / 2).mean()
            if low > FADED * high and off < BLEND * way and is_cut(first.image, frame.image):
                return span
    return 0


def _divided(frames):
    """A shot as pieces of at most 64 frames, about equal."""
    parts = -(-len(frames) // LONGEST)
    bounds = [len(frames) * part // max(parts, 1) for part in range(parts + 1)]
    for start, end in pairwise(bounds):
        if end - start >= SHORTEST:
            part = frames[start:end]
            yield Piece([frame.image for frame in part], [frame.number for frame in part])


@dataclass(frozen=True)
class Reduction:
    """How frames are made small: to `widest` pixels of width and by 1.5 at least, or to an exact `size`, or not at all.

    `size` is (width, height): what is too much of the picture on two sides is cut off, evenly.
    """

    widest: int = WIDEST
    size: tuple[int, int] | None = None
    keep: bool = False

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """A frame HxWx3 uint8, made small by area averaging; its sides are multiples of 2, cut at the right and below.

        Raises:
            ValueError: it is too small for that.
        """
        rows, columns = image.shape[:2]
        width, height = self.size or (columns, rows)
        if self.size:
            factor = min(columns / width, rows / height)
            part = [min(length, round(side * factor)) for length, side in ((rows, height), (columns, width))]
            top, left = (rows - part[0]) // 2, (columns - part[1]) // 2
            image = image[top : top + part[0], left : left + part[1]]
        else:
            factor = 1.0 if self.keep else max(REDUCTION, columns / self.widest)
            width, height = round(columns / factor), round(rows / factor)
        if factor < 1 or min(width, height) < SMALLEST:
            least = "{}x{}".format(*self.size) if self.size else f"{SMALLEST} a side after reduction by {factor:.3g}"
            raise ValueError(f"frames of {columns}x{rows} pixels are too small: expected at least {least}")
        if factor > 1:
            image = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA)
        return image[: height // 2 * 2, : width // 2 * 2]
