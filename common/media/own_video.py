"""The user's own clip, from --input to --output: opened, run frame by frame, written with its sound, told."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.cli import UsageError
from common.media import hdr, pipe
from common.media.containers import CONTAINERS, UNKNOWN
from common.media.encoders import Encoding
from common.media.image import IMAGE_SUFFIXES
from common.media.segments import Job, is_stopped, remove_rest
from common.media.side_by_side import beside
from common.media.video_reader import FolderReader, VideoReader, open_clip
from common.media.video_writer import is_folder, open_writer

Timed = tuple[np.ndarray, Fraction | None]  # a frame, HxWx3 uint8 or uint16, and its time in seconds


def each_input(process: Callable[[argparse.Namespace], object], options) -> int:
    """Run `process` with the options of one --input after the other, or of those of --shard; returns the exit code.

    Results of several lie in the folder --output, by the names of the inputs. An input that fails is told, and the
    others are done.

    Raises:
        UsageError: several inputs, and --output is no folder, two have the same name, or all are images.
    """
    number, count = getattr(options, "shard", None) or (1, 1)
    if len(options.input) == 1:
        if number == 1 and not is_done(options):
            process(argparse.Namespace(**{**vars(options), "input": options.input[0]}))
        return 0
    if all(Path(path).suffix.lower() in IMAGE_SUFFIXES for path in options.input):  # a shell made them of a pattern
        raise UsageError(f"--input {options.input[0]} ...: frames are given by their folder or a quoted pattern")
    folders = [Path(getattr(options, name)) for name in ("output", "flo") if getattr(options, name, None)]
    if blocker := next((path for path in folders if path.is_file() or path.suffix.lower() in CONTAINERS), None):
        raise UsageError(f"{blocker} is one file for {len(options.input)} of --input: expected a folder")
    names = [_result_name(path) for path in options.input]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two of --input would be written to {folders[0] / twice}: expected different names")
    code = 0
    for path, name in list(zip(options.input, names, strict=True))[number - 1 :: count]:
        own = {"input": path, "output": options.output and os.path.join(options.output, name)}
        if getattr(options, "flo", None):
            own["flo"] = os.path.join(options.flo, name.rstrip("/") if name.endswith("/") else Path(name).stem)
        one = argparse.Namespace(**{**vars(options), **own})
        try:
            if not is_done(one):
                process(one)
        except (UsageError, ValueError, OSError, ArithmeticError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            code = 1
    return code


def _result_name(path: str) -> str:
    """Of a video a file of its name; of images a folder, whose name ends in a slash."""
    path = Path(path)
    if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
        return path.name if path.suffix.lower() in CONTAINERS else f"{path.stem}.mkv"
    return f"{path.parent.name if '*' in path.name else path.stem if path.is_file() else path.name}/"


def is_quiet(options) -> bool:
    """Whether a program called, which is told nothing and keeps its signals, and not a command line."""
    return getattr(options, "quiet", False)


def hides_bar(options) -> bool | None:
    """Whether there is no progress bar; None: unless stderr is a terminal."""
    return True if is_quiet(options) else None


def tell(options, line: str, file=None) -> None:
    """Print a line, unless `is_quiet`."""
    if not is_quiet(options):
        print(line, file=file)


def keeps_depth(options) -> bool:
    """Whether --output holds more than 8 bits a channel, as it is asked for."""
    output = options.output
    if not output or output == pipe.PIPE:
        return options.pix_fmt not in pipe.FORMATS
    if is_folder(output) or Path(output).suffix.lower() not in CONTAINERS:
        return True
    encoding = Encoding(options.codec, options.crf, options.preset, options.pix_fmt)
    return encoding.is_deep(CONTAINERS[Path(output).suffix.lower()])


def open_input(options, deep: bool = True) -> VideoReader | FolderReader:
    """Open --input, and say if the weights are those in the box.

    Frames of more than 8 bits a channel come in 16, if what is done with them is `deep`, too, and --output keeps them.

    From here on SIGTERM ends like Ctrl-C, so that what is written stays playable, and cuDNN may try which of its
    algorithms is fastest, since frames have one size.

    Raises:
        ValueError: it is no clip.
    """
    if not is_quiet(options):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        torch.backends.cudnn.benchmark = True
    deep = deep and keeps_depth(options)
    if options.input == pipe.PIPE:
        reader = pipe.open_stdin(options.start, options.end, deep)
    else:
        reader = open_clip(options.input, options.start, options.end, deep=deep)
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


def forget_hdr(reader: VideoReader | FolderReader) -> None:
    """Let results that are no pictures of the scene, such as flow in colours, have no tags of HDR."""
    if getattr(reader, "transfer", None) in hdr.CURVES:
        reader.primaries, reader.transfer, reader.hdr = UNKNOWN, UNKNOWN, None


def is_done(options) -> bool:
    """Whether --resume finds a result, and nothing to go on from; a line says so."""
    output = options.output and Path(options.output)
    if not getattr(options, "resume", None) or options.overwrite or not output:
        return False
    remove_rest(output)
    if is_stopped(output):
        return False
    if not (output.is_file() or (output.is_dir() and any(output.iterdir()))):
        return False
    tell(options, f"{output} is there, and was not stopped: it stays as it is; --overwrite makes it anew")
    return True


def write_output(results: Iterable[Timed], reader: VideoReader | FolderReader, options, job: Job | None = None) -> None:
    """Write the result of every frame of --input to --output; `job` as for `write`."""
    rate = reader.frame_rate or options.fps
    count = write(results, reader, options, rate=rate, total=reader.num_frames, names=reader.names, job=job)
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
    job: Job | None = None,
    originals: Iterable[Timed] | None = None,
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
        job: for results that leave out what is there already, with None for an image.
        originals: what --compare shows beside the results; the input's own frames if not given.

    Raises:
        ValueError: the input is cut off, and --output was there: it stays, and the part lies beside it.
    """
    writer = _open_output(reader, options, rate, names, sound, job)
    if way := getattr(options, "compare", None):
        results = beside(results, reader.timed() if originals is None else originals, way)
    with writer, tqdm(total=total, unit="frame", disable=hides_bar(options), file=sys.stderr) as bar:
        for image, time in results:
            writer.write(image, time)
            bar.update()
        if reader.is_cut_off and Path(options.output).is_file():  # a whole result is not given up for a part
            raise ValueError(f"{options.input}: {reader.damage}")
    return writer.count


def _open_output(reader, options, rate, names, sound, job):
    if options.output == pipe.PIPE:
        return pipe.open_stdout(rate, reader, options)
    return open_writer(
        options.output,
        frame_rate=rate,
        like=reader,
        audio_from=options.input if reader.frame_rate and sound and options.input != pipe.PIPE else None,
        names=names,
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
        pix_fmt=options.pix_fmt,
        overwrite=options.overwrite,
        segments=job or Job(options, reader, names=names),
    )
