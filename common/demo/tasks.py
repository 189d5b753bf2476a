"""What the page does with a clip or two pictures: the papers' own `load`, on what fits its limits."""

import functools
import importlib
import shlex
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np

from common.cli import UsageError
from common.degrade.matlab_imresize import imresize
from common.media.image import mean_image, to_uint8
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer

FRAMES = 48  # of a clip that are taken
LARGEST = (640, 360)  # longer and shorter side that are taken, pixels
LEAST = 16  # pixels a side
MULTI = 4  # frames for one in slow motion
CRF = 8  # of a part of a clip; noise and blocks, which are to be taken away, survive it
Pair = tuple[np.ndarray, np.ndarray]


class Task(NamedTuple):
    """One choice on the page.

    Attributes:
        title: what it is called.
        paper: whose `load` makes the model.
        output: what the shell line writes; without a suffix it is a folder, and the task takes two pictures.
        labels: of the two pictures under the slider.
        flags: of the shell line, beside --input and --output.
        load: arguments of `load`.
        clip: arguments of the model's `clip`.
        largest: longer and shorter side that are taken, pixels.
        reduces: what is larger is made smaller; else its middle is cut out, whose noise, blocks and blur stay.
    """

    title: str
    paper: str
    output: str
    labels: tuple[str, str]
    flags: str = ""
    load: Mapping[str, Any] = MappingProxyType({})
    clip: Mapping[str, Any] = MappingProxyType({})
    largest: tuple[int, int] = LARGEST
    reduces: bool = False

    @property
    def takes_pictures(self) -> bool:
        """Whether it takes two pictures; else a clip."""
        return not Path(self.output).suffix


TASKS = {
    "between": Task(
        "Frame between two", "ifrnet", "three/", ("mean of the two", "IFRNet"), flags="--multi 2", reduces=True
    ),
    "slow": Task(
        "Slow motion", "ifrnet", "slow.mp4", ("mean of two frames", "IFRNet"),
        flags=f"--multi {MULTI} --slow", clip={"multi": MULTI, "slow": True}, reduces=True,
    ),
    "enlarge": Task("Four times as large", "tdan", "large.mp4", ("bicubic", "TDAN"), largest=(320, 180)),
    "deblur": Task("Deblur", "pvdnet", "sharp.mp4", ("input", "PVDNet")),
    "denoise": Task(
        "Denoise", "toflow", "clean.mp4", ("input", "TOFlow"), flags="--task denoise", load={"task": "denoise"}
    ),
    "deblock": Task(
        "Deblock", "toflow", "deblocked.mp4", ("input", "TOFlow"), flags="--task deblock", load={"task": "deblock"}
    ),
    "flow": Task("Optical flow", "qpwcnet", "flow.mp4", ("frame", "flow by QPWCNet"), reduces=True),
}  # fmt: skip


class Result(NamedTuple):
    """What came out.

    Attributes:
        before: the input, or what it is to be compared with, H x W x 3 uint8; of a clip its middle frame.
        after: the result beside it, of the same size.
        clip: the video that was made; None for two pictures.
        told: what part of the input was taken; empty if it was all.
    """

    before: np.ndarray
    after: np.ndarray
    clip: Path | None
    told: str


def limits(task: Task) -> str:
    """What a task takes, for the page."""
    size = "{} x {} pixels".format(*task.largest)
    if task.takes_pictures:
        return f"Two pictures of one size; larger ones than {size} are reduced."
    way = "is reduced" if task.reduces else "is cut to its middle"
    return f"The first {FRAMES} frames of a clip are taken; what is larger than {size} {way}."


def command(task: Task, name: str = "clip.mp4") -> str:
    """The shell line that does a task to a whole clip of that name, or to a folder of two pictures."""
    source = "two/" if task.takes_pictures else name
    words = f"python {task.paper}/run.py", task.flags, f"--input {shlex.quote(source)} --output {task.output}"
    return " ".join((*filter(None, words), "--weights free"))


@functools.cache
def model(name: str):
    """The model of a task with the weights in the box, on the CPU."""
    task = TASKS[name]
    return importlib.import_module(task.paper).load(device="cpu", **task.load)


def run(name: str, source: str | Path | Pair | None, folder: Path) -> Result:
    """Do a task.

    Args:
        name: of `TASKS`.
        source: path of a video file; or two pictures, H x W x 3 uint8 RGB. What is missing is None.
        folder: an empty one, for the files that are made.

    Raises:
        ValueError: the source is nothing that the task takes.
    """
    task = TASKS[name]
    if source is None or (isinstance(source, tuple) and any(image is None for image in source)):
        raise UsageError(f"nothing to work on: expected {'two pictures' if task.takes_pictures else 'a clip'}")
    return _between(task, model(name), *source) if task.takes_pictures else _clip(task, model(name), source, folder)


def _between(task: Task, model: Callable, first: np.ndarray, second: np.ndarray) -> Result:
    if first.shape != second.shape:
        sizes = " and ".join(f"{image.shape[1]} x {image.shape[0]}" for image in (first, second))
        raise UsageError(f"the pictures are {sizes} pixels: expected two of one size")
    pair = [fitted(image, task) for image in (first, second)]
    told = size_told(first.shape, pair[0].shape, task)
    return Result(mean_image(*pair), model(*pair), None, told)


def _clip(task: Task, model: Any, source: str | Path, folder: Path) -> Result:
    taken, told = part(source, task, folder)
    made = folder / task.output
    model.clip(taken, made, **task.clip)
    frames, results = list(open_clip(taken)), list(open_clip(made))
    at = len(frames) // 2
    if task.clip.get("slow"):
        at = min(at, len(frames) - 2)
        return Result(
            mean_image(*frames[at : at + 2]), results[min(MULTI * at + MULTI // 2, len(results) - 1)], made, told
        )
    before, after = frames[at], results[min(at, len(results) - 1)]  # there is a flow less than there are frames
    if len(after) > len(before):
        before = to_uint8(imresize(before / 255, scale=len(after) // len(before)))
    return Result(before, after, made, told)


def part(source: str | Path, task: Task, folder: Path) -> tuple[Path, str]:
    """The part of a clip that a task takes, and what it is.

    Returns:
        The file itself and "" where it is within the limits; else a new file in `folder`, with the part's sound.

    Raises:
        ValueError: it is no video, or too small.
    """
    reader = open_clip(source)
    if reader.frame_rate is None:
        raise UsageError(f"{Path(source).name} is no video: expected a video file")
    times = [time for _, time in islice(reader.timed(), FRAMES + 1)]
    is_long = len(times) > FRAMES
    size = fitted(next(iter(reader)), task).shape
    told = size_told((*reader.size, 3), size, task)
    if not (is_long or told):
        return Path(source), ""
    reader = open_clip(source, end=times[-1]) if is_long else reader
    path = folder / "part.mp4"
    with open_writer(path, frame_rate=reader.frame_rate, like=reader, audio_from=source, crf=CRF) as writer:
        for image, time in reader.timed():
            writer.write(fitted(image, task), time)
    return path, " ".join(filter(None, (f"Its first {FRAMES} frames were taken." if is_long else "", told)))


def fitted(image: np.ndarray, task: Task) -> np.ndarray:
    """A picture or frame, H x W x 3 uint8, within a task's limits; sides are even, as players want them.

    Raises:
        UsageError: it is too small.
    """
    height, width = image.shape[:2]
    if min(height, width) < LEAST:
        raise UsageError(f"{width} x {height} pixels are too few: expected {LEAST} or more a side")
    long, short = task.largest
    most_high, most_wide = (short, long) if width >= height else (long, short)
    if task.reduces and (height > most_high or width > most_wide):
        scale = min(most_high / height, most_wide / width)
        size = [max(2, round(side * scale) // 2 * 2) for side in (width, height)]
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    rows, columns = min(height, most_high) // 2 * 2, min(width, most_wide) // 2 * 2
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def size_told(before: Iterable[int], after: Iterable[int], task: Task) -> str:
    """How a size, H W, was brought within the limits; empty if it was."""
    (height, width, *_), (rows, columns, *_) = before, after
    if (height, width) == (rows, columns):
        return ""
    reduced = task.reduces and (height - rows > 1 or width - columns > 1)
    return f"{width} x {height} pixels were {'reduced' if reduced else 'cut'} to {columns} x {rows}."
