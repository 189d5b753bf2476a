"""The command line that all papers share: strict parsing, the common flags, one-line errors."""

import argparse
import dataclasses
import difflib
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path


class UsageError(Exception):
    """The command line asks for something that cannot be; ends in exit code 2."""


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


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that every paper's run.py takes, beside the paper's own."""
    keep = argparse.SUPPRESS  # absent unless given, so that a preset is overridden only on purpose
    group = parser.add_argument_group("every paper")
    group.add_argument("--data_root", default="./datasets", help="folder of the data sets")
    group.add_argument("--log_root", default="./logs", help="folder of the run folders")
    group.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, or auto: cuda where there is one")
    group.add_argument("--amp", default=keep, choices=("off", "bf16", "fp16"), help="automatic mixed precision")
    group.add_argument("--compile", default=keep, action="store_true", help="torch.compile the network")
    group.add_argument("--seed", dest="manual_seed", type=int, default=keep, help="of every random draw")
    group.add_argument("--input", help="a video file, a folder of frames or a quoted glob: run the model on it")
    group.add_argument("--output", help="video file or folder to write")
    group.add_argument("--overwrite", action="store_true", help="replace an --output that is there")
    group.add_argument("--tile", type=int, help="side of the tiles in pixels, for frames too large for memory")
    group.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a preset's field")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # Launchers append these; the environment tells the rank.
    group.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def add_run_arguments(parser: argparse.ArgumentParser, place: str) -> None:
    """The flags of run folders, training and checkpoints; `place` is where a paper's runs lie."""
    keep = argparse.SUPPRESS
    group = parser.add_argument_group("runs")
    add = group.add_argument
    add("--is_train", action="store_true", help="train; else evaluate, or run on --input")
    add("--mode", help=f"name of the run: its folder in {place}, the prefix of its checkpoints")
    add("--project", help="parent folder of the runs in --log_root")
    add("-b", "--batch_size", type=int, default=keep, help="samples per process")
    add("-th", "--thread_num", type=int, default=keep, help="loader workers; as many as the batch has samples")
    add("-r", "--resume", help="epoch to go on from, or auto: the newest state, or the start where there is none")
    add("-dl", "--delete_log", action="store_true", help="delete the run folder first; -r switches it off")
    add("-ss", "--save_sample", action="store_true", default=keep, help="save sample pictures")
    add("-dist", "--dist", action="store_true", help="one of several processes of torchrun")
    add("-ckpt_name", "--ckpt_name", help="checkpoint of the run, by file name")
    add("-ckpt_abs_name", "--ckpt_abs_name", help="checkpoint by path; wins over --ckpt_name")
    add("-ckpt_epoch", "--ckpt_epoch", type=int, help="checkpoint of the run, by epoch; wins over both")
    add("-ckpt_sc", "--ckpt_sc", "--ckpt_score", dest="ckpt_sc", action="store_true",
        help="the run's checkpoint with the best validation score; else the most recent one")  # fmt: skip


def check_run_options(options: argparse.Namespace) -> None:
    """Refuse values of `add_run_arguments` and `add_common_arguments` that no paper takes, or not together.

    Raises:
        UsageError: one of them.
    """
    if options.tile is not None and options.tile < 1:
        raise UsageError(f"--tile {options.tile}: expected a side in pixels")
    if options.resume not in (None, "auto") and not options.resume.isdigit():
        raise UsageError(f"-r {options.resume}: expected an epoch number or auto")
    for name in ("ckpt_name", "ckpt_epoch", "ckpt_sc"):
        value = getattr(options, name)
        if options.is_train and value is not None and value is not False:  # epoch 0 is one
            raise UsageError(f"--{name} goes with testing; -r resumes a training")


def check_run_name(mode: str) -> None:
    """Refuse a `mode` that cannot name a folder, and files in a list with blanks.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(r"[^\s./\\][^\s/\\]*", mode):
        raise UsageError(f"--mode {mode!r}: expected a name without blanks and slashes, no dot first")


def check_values(config, choices: Mapping[str, Iterable[str]], least: Mapping[str, int]) -> None:
    """Refuse fields that are none of their choices, or below their least value.

    Raises:
        UsageError: the first such field.
    """
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise UsageError(f"{name} {getattr(config, name)}: expected one of {', '.join(allowed)}")
    for name, value in least.items():
        if getattr(config, name) < value:
            raise UsageError(f"{name} {getattr(config, name)}: expected {value} or more")


def read_config(kind: type, path: Path):
    """Read a run folder's config/config.txt as the dataclass `kind`.

    Raises:
        ValueError: it is not one of ours.
    """
    try:
        values = json.loads(path.read_text())
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    except (TypeError, AttributeError, ValueError) as error:  # ValueError: no JSON, or no text
        raise ValueError(
            f"{path}: not a saved config of this version ({error}); name a preset with --config"
        ) from error


def settle(config, options: argparse.Namespace):
    """The frozen dataclass `config` with what flags and `--set` give instead.

    Raises:
        UsageError: a value does not fit.
    """
    names = [field.name for field in dataclasses.fields(config) if field.name != "config"]
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return override(dataclasses.replace(config, **given), options.set)


def override(config, assignments: Sequence[str]):
    """Apply `--set FIELD=VALUE` to a frozen dataclass; the value is read as the type of the field's present value.

    Raises:
        UsageError: no such field, or a value of another type.
    """
    names = [field.name for field in dataclasses.fields(config)]
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"--set {assignment}: expected FIELD=VALUE{hint}")
        old = getattr(config, name)
        try:
            values[name] = _read_like(text, old)
        except ValueError as error:
            raise UsageError(f"--set {assignment}: expected a value like {old!r}") from error
    return dataclasses.replace(config, **values)  # at once: some fields must fit others


def _read_like(text: str, old):
    if isinstance(old, bool):
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]
    if isinstance(old, tuple):
        parts = [part for part in text.strip("()[] ").split(",") if part.strip()]
        kind = type(old[0]) if old else float if any("." in part or "e" in part for part in parts) else int
        return tuple(kind(part) for part in parts)
    return type(old)(text)


def run(main: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Run `main`; an expected error becomes one line and an exit code: 2 for usage, 1 for the rest.

    `--debug` shows the traceback. Errors that are ours to mend (a bug) always show it.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        return main(argv) or 0
    except (UsageError, ValueError, OSError, ArithmeticError) as error:
        if "--debug" in argv:
            traceback.print_exc()
        if int(os.environ.get("RANK", "0")) == 0 or "--debug" in argv or isinstance(error, OSError):
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
