"""The user's own clip, from --input to --output: opened, run frame by frame, written with its sound, told."""

import signal
import sys
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from tqdm import tqdm

from common.cli import UsageError
from common.media.video_reader import FolderReader, VideoReader, open_clip
from common.media.video_writer import open_writer

Timed = tuple[np.ndarray, Fraction | None]  # a frame, HxWx3 uint8, and its time in seconds


def is_quiet(options) -> bool:
    """Whether a program called, which is told nothing and keeps its signals, and not a command line."""
    return getattr(options, "quiet", False)


def tell(options, line: str, file=None) -> None:
    """Print a line, unless `is_quiet`."""
    if not is_quiet(options):
        print(line, file=file)


def open_input(options) -> VideoReader | FolderReader:
    """Open --input, and say if the weights are those in the box.

    From here on SIGTERM ends like Ctrl-C, so that what is written stays playable.

    Raises:
        ValueError: it is no clip.
    """
    if not is_quiet(options):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    reader = open_clip(options.input)
    if hasattr(options, "from_the_box"):  # see common/checkpoints/choose_weights.py
        tell(options, options.from_the_box, sys.stderr)
    return reader


def check_rate(options, reader: VideoReader | FolderReader) -> None:
    """Refuse --fps where every frame of a video keeps its time.

    Raises:
        UsageError: it was given.
    """
    if reader.frame_rate and options.fps:
        raise UsageError(f"--fps {options.fps}: {options.input} keeps its own frame rate; --fps goes with images")


def write_output(results: Iterable[Timed], reader: VideoReader | FolderReader, options) -> None:
    """Write the result of every frame of --input to --output."""
    rate = reader.frame_rate or options.fps
    count = write(results, reader, options, rate=rate, total=reader.num_frames, names=reader.names)
    tell(options, f"{count} frames -> {options.output}")


def write(
    results: Iterable[Timed],
    reader: VideoReader | FolderReader,
    options,
    *,
    rate: Fraction | None,
    total: int | None,
    names: list[str] | None = None,
    sound: bool = True,
) -> int:
    """Write frames to --output, with a progress bar; returns how many there are.

    Args:
        results: frames with their times.
        reader: of the input, whose sound and colour tags are kept.
        options: of the command line: input, output and overwrite are read.
        rate: frame rate of a video.
        total: how many there will be, about.
        names: of the frames in a folder.
        sound: whether the input's sound still fits.
    """
    writer = open_writer(
        options.output,
        frame_rate=rate,
        like=reader,
        audio_from=options.input if reader.frame_rate and sound else None,
        names=names,
        overwrite=options.overwrite,
    )
    hidden = True if is_quiet(options) else None  # None: unless stderr is a terminal
    with writer, tqdm(total=total, unit="frame", disable=hidden, file=sys.stderr) as bar:
        for image, time in results:
            writer.write(image, time)
            bar.update()
    return writer.count
