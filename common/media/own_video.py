"""The user's own clip, from --input to --output: opened, run frame by frame, written with its sound, told."""

import signal
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.cli import UsageError
from common.media.video_reader import FolderReader, VideoReader, open_clip
from common.media.video_writer import open_writer

Timed = tuple[np.ndarray, Fraction | None]  # a frame, HxWx3 uint8, and its time in seconds


def open_input(options) -> VideoReader | FolderReader:
    """Open --input, and say if the weights are those in the box.

    From here on SIGTERM ends like Ctrl-C, so that what is written stays playable.

    Raises:
        ValueError: it is no clip.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reader = open_clip(options.input)
    if hasattr(options, "from_the_box"):  # see common/checkpoints/choose_weights.py
        print(options.from_the_box, file=sys.stderr)
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
    print(f"{count} frames -> {options.output}")


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
        options: of the command line: those of `cli.add_video_arguments` are read.
        rate: frame rate of a video.
        total: how many there will be, about.
        names: of the frames in a folder.
        sound: whether the input's sound still fits.

    Raises:
        ValueError: the input is cut off, and --output was there: it stays, and the part lies beside it.
    """
    writer = open_writer(
        options.output,
        frame_rate=rate,
        like=reader,
        audio_from=options.input if reader.frame_rate and sound else None,
        names=names,
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
        pix_fmt=options.pix_fmt,
        overwrite=options.overwrite,
    )
    with writer, tqdm(total=total, unit="frame", disable=None, file=sys.stderr) as bar:
        for image, time in results:
            writer.write(image, time)
            bar.update()
        if reader.is_cut_off and Path(options.output).is_file():  # a whole result is not given up for a part
            raise ValueError(f"{options.input}: {reader.damage}")
    return writer.count
