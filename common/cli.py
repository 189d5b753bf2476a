"""The command line that all papers share: strict parsing, the common flags, one-line errors."""

import argparse
import contextlib
import difflib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

AMP = ("auto", "off", "bf16", "fp16")  # values of --amp and of the setting; see common/ops/autocast.py
REMEDY = "try --tile 512 with --input, a smaller -b in training and testing, or --amp bf16"


class UsageError(ValueError):
    """The command line, or a call from Python, asks for something that cannot be; ends in exit code 2."""


class OneProcessError(ValueError):
    """Something that went wrong in this process alone, so that it has to tell it, whatever its rank."""


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose unknown flag is an error that names the nearest known one."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter, **options)

    def parse_args(self, args: Sequence[str] | None = None, namespace=None):
        """As argparse's; the error for an unknown flag names the nearest known one."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1, cutoff=0.5)
            self.error(f"unknown argument {unknown[0]}" + (f"; did you mean {near[0]}?" if near else "; see --help"))
        return known

    def error(self, message: str):
        raise UsageError(message)


def rate(text: str) -> Fraction:
    """A frame rate of the command line, exact; 29.97 and its like stand for 30000/1001 and its like."""
    if text in ("23.976", "23.98", "29.97", "47.952", "59.94", "119.88"):
        return Fraction(round(float(text)) * 1000, 1001)
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, such as 60 or 60000/1001") from None


def seconds(text: str) -> Fraction:
    """A time of the command line, exact: seconds, m:ss or h:mm:ss, with decimals."""
    if not re.fullmatch(r"(\d+:)?(\d+:)?\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, such as 90 or 1:30.5 or 0:01:30")
    return sum(Fraction(part) * 60**power for power, part in enumerate(reversed(text.split(":"))))


def shard(text: str) -> tuple[int, int]:
    """Which part of how many, counted from 1, of the command line."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a part, as 3/8 for the third of eight")
    return number, count


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that every paper's run.py takes, beside the paper's own."""
    keep = argparse.SUPPRESS  # absent unless given, so that a preset is overridden only on purpose
    group = parser.add_argument_group("every paper")
    group.add_argument("--data_root", default="./datasets", help="folder of the data sets")
    group.add_argument("--log_root", default="./logs", help="folder of the run folders")
    group.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, or auto: cuda where there is one")
    group.add_argument("--amp", default=keep, choices=AMP,
        help="mixed precision; auto, the default with --input: what the hardware has")  # fmt: skip
    group.add_argument("--compile", default=keep, action="store_true", help="torch.compile the network")
    group.add_argument("--seed", dest="manual_seed", type=int, default=keep, help="of every random draw")
    add_video_arguments(group)
    group.add_argument("--tile", type=int, help="side of the tiles in pixels, for frames too large for memory")
    group.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a preset's field")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # Launchers append these; the environment tells the rank.
    group.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def add_video_arguments(group) -> None:
    """The flags of a user's own video; see common/media/README.md."""
    group.add_argument("--input", nargs="+", metavar="PATH",
        help="a video file, a folder of frames or a quoted glob, or several; -: y4m on stdin")  # fmt: skip
    group.add_argument(
        "--output", help="video file or folder to write, or - for y4m on stdout; of several inputs a folder"
    )
    group.add_argument("--fps", type=rate, help="of the video written, such as 60 or 60000/1001")
    group.add_argument("--overwrite", action="store_true", help="replace an --output that is there")
    group.add_argument("--start", type=seconds, help="of the part of a video to take: seconds, or h:mm:ss.sss")
    group.add_argument("--end", type=seconds, help="of the part of a video to take, after its beginning")
    group.add_argument(
        "--codec", help="of the video written: h264, h265, av1, vp9, ffv1 (lossless), prores, or h264_nvenc ..."
    )
    group.add_argument("--crf", type=int, help="its rate factor: 0 is best and largest; 16 with h264")
    group.add_argument("--preset", help="its speed, as its encoder calls it, such as slow")
    group.add_argument("--compare", choices=("split", "side"), help="show the input beside the result, for looking")
    group.add_argument("--shard", type=shard, help="3/8: of several inputs the 3rd, the 11th and so on, for job arrays")
    group.add_argument("--pix_fmt", help="its pixel format, as FFmpeg calls it, such as yuv444p10le")


def add_run_arguments(parser: argparse.ArgumentParser, place: str) -> None:
    """The flags of run folders, training and checkpoints; `place` is where a paper's runs lie."""
    keep = argparse.SUPPRESS
    group = parser.add_argument_group("runs")
    add = group.add_argument
    add("--is_train", action="store_true", help="train; else evaluate, or run on --input")
    add("--mode", help=f"name of the run: its folder in {place}, the prefix of its checkpoints")
    add("--project", help="parent folder of the runs in --log_root")
    add("-b", "--batch_size", type=int, default=keep, help="samples per process")
    add("-th", "--thread_num", type=int, default=keep, help="loader workers; as many as there are cores")
    add("-r", "--resume", nargs="?", const="auto",
        help="epoch to go on from, or auto: the newest state, or the start where there is none; of an own video, "
        "without a value: go on where it was stopped")  # fmt: skip
    add("-dl", "--delete_log", action="store_true", help="delete the run folder first; -r switches it off")
    add("-ss", "--save_sample", action="store_true", default=keep, help="save sample pictures")
    add("-dist", "--dist", action="store_true", help="one of several processes of torchrun")
    add("-ckpt_name", "--ckpt_name", help="checkpoint of the run, by file name")
    add("-ckpt_abs_name", "--ckpt_abs_name", help="checkpoint by path; wins over --ckpt_name")
    add("-ckpt_epoch", "--ckpt_epoch", type=int, help="checkpoint of the run, by epoch; wins over both")
    add("--weights", metavar="free|published|NAME|PATH",
        help="ours, in the box; the authors'; weights by name; a file; own video takes the authors' if here, else "
        "ours, and fetches what is named and not here")  # fmt: skip
    add("--offline", action="store_true", help="fetch no weights, as with VIDEOREF_OFFLINE=1")
    add("-ckpt_sc", "--ckpt_sc", "--ckpt_score", dest="ckpt_sc", action="store_true",
        help="the run's checkpoint with the best validation score; else the most recent one")  # fmt: skip


def check_run_options(options: argparse.Namespace, baselines: Sequence[str] = ("baseline",)) -> None:
    """Refuse values of the flags of all papers that none takes, or not together.

    Args:
        options: of the command line.
        baselines: names of the flags that do without a network.

    Raises:
        UsageError: one of them.
    """
    actions = [f"--{name}" for name in ("is_train", "input", "export") if getattr(options, name, None)]
    if len(actions) > 1:
        raise UsageError(f"{' and '.join(actions)} do not go together")
    for baseline in baselines:
        if getattr(options, baseline) and actions and actions != ["--input"]:
            raise UsageError(f"--{baseline} has no network: it goes with testing and with --input")
    export_size = getattr(options, "export_size", None)
    if export_size and not options.export:
        raise UsageError("--export_size goes with --export")
    if export_size and not re.fullmatch(r"\d+x\d+", export_size):
        raise UsageError(f"--export_size {export_size}: expected WxH, such as 448x256")
    if options.fps is not None and not options.input:
        raise UsageError("--fps goes with --input")
    if options.fps is not None and options.fps <= 0:
        raise UsageError(f"--fps {options.fps}: expected a positive number, such as 60 or 60000/1001")
    for name in ("start", "end", "codec", "crf", "preset", "pix_fmt", "compare", "shard"):
        if getattr(options, name) is not None and not options.input:
            raise UsageError(f"--{name} goes with --input")
    if options.tile is not None and options.tile < 1:
        raise UsageError(f"--tile {options.tile}: expected a side in pixels")
    if options.resume not in (None, "auto") and not options.resume.isdigit():
        raise UsageError(f"-r {options.resume}: expected an epoch number or auto")
    if options.input and options.resume and not options.output:
        raise UsageError("--resume with --input goes on with an --output: expected one")
    _check_pipes(options)
    for name in ("ckpt_name", "ckpt_epoch", "ckpt_sc"):
        value = getattr(options, name)
        if options.is_train and value is not None and value is not False:  # epoch 0 is one
            raise UsageError(f"--{name} goes with testing; -r resumes a training")


def _check_pipes(options: argparse.Namespace) -> None:
    inputs = [options.input] if isinstance(options.input, str) else options.input or []
    if "-" not in (*inputs, options.output):
        return
    if not inputs or len(inputs) > 1:
        raise UsageError("- is one video on stdin or stdout: expected one --input, and it alone")
    if options.resume:
        raise UsageError("--resume goes on with files, and - is a pipe: leave it out, or give files")
    if options.compare and "-" in inputs:
        raise UsageError("--compare reads the input twice, and a pipe is read once: expected a file as --input")


def flags(build_parser: Callable[[], Parser], **given) -> argparse.Namespace:
    """What a command line with these flags gives, for a call from Python; `quiet` says that nobody reads along.

    Args:
        build_parser: of the paper.
        given: names and values of flags; the others have their defaults.

    Raises:
        UsageError: a value that cannot be.
    """
    options = build_parser().parse_args([])
    vars(options).update(given, quiet=True)
    check_run_options(options, ())
    return options


def is_memory(error: RuntimeError) -> bool:
    """Whether PyTorch ran out of memory, on a GPU or on the CPU."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def run(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Run `main`; an expected error becomes one line and an exit code: 2 for usage, 1 for the rest.

    `--debug` shows the traceback. Errors that are ours to mend (a bug) always show it.
    """
    argv = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that a terminal cannot show do not end a run
    is_video = ("--output", "-") in pairwise(argv) or "--output=-" in argv  # stdout is that video's alone
    try:
        with contextlib.redirect_stdout(sys.stderr) if is_video else contextlib.nullcontext():
            return main(argv) or 0
    except (ValueError, OSError, ArithmeticError) as error:
        if "--debug" in argv:
            traceback.print_exc()
        tells = isinstance(error, OSError | OneProcessError)  # the others may not know
        if int(os.environ.get("LOCAL_RANK", "0")) == 0 or tells or "--debug" in argv:  # the first of each machine
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UsageError) else 1
    except RuntimeError as error:
        if not is_memory(error) or "--debug" in argv:
            raise
        print(f"error: out of memory ({str(error).splitlines()[0]}): {REMEDY}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
