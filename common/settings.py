"""The settings of a run: a frozen dataclass a paper, its named presets, and what flags and saved files make of it."""

import argparse
import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from common.cli import UsageError

Config = TypeVar("Config")


def preset(presets: Mapping[str, Config], name: str) -> Config:
    """The settings of that name, for a run of that name.

    Raises:
        UsageError: there are none.
    """
    if name not in presets:
        raise UsageError(f"--config {name}: expected one of {', '.join(presets)}")
    return dataclasses.replace(presets[name], config=name, mode=name)


def choose(
    kind: type[Config],
    options: argparse.Namespace,
    preset: Callable[[str], Config],
    names: Iterable[str],
    otherwise: str,
) -> Config:
    """Settings of a run: those of `--config`, else those that the run folder of `--mode` has saved, else a preset's.

    Args:
        kind: dataclass of the settings.
        options: of the command line; `mode` is set.
        preset: gives the settings of a name.
        names: of the presets, for the error.
        otherwise: the preset that the run's name or other flags stand for; "": none.

    Raises:
        UsageError: there are none.
    """
    saved = Path(options.log_root, options.project, options.mode, "config", "config.txt")
    if options.config:
        return preset(options.config)
    if saved.is_file() and not (options.is_train and options.delete_log and not options.resume):
        return read(kind, saved)
    if otherwise:
        return preset(otherwise)
    raise UsageError(f"--mode {options.mode} has no saved config: add --config, one of {', '.join(names)}")


def settle(config: Config, options: argparse.Namespace) -> Config:
    """The settings with what flags and `--set` give instead.

    Own video takes the hardware's precision, and testing float32, whatever a training took.

    Raises:
        UsageError: a value does not fit.
    """
    names = [field.name for field in dataclasses.fields(config) if field.name != "config"]
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if "amp" in names and not options.is_train:
        given.setdefault("amp", "auto" if options.input else "off")
    return override(dataclasses.replace(config, **given), options.set)


def to_json(config) -> str:
    """The text that the run folder keeps in config/config.txt."""
    return json.dumps(dataclasses.asdict(config), indent=4)


def read(kind: type[Config], path: Path) -> Config:
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


def check_average(decay: float) -> None:
    """Refuse a field `ema` that is no decay of an average.

    Raises:
        UsageError: it is none.
    """
    if decay and not 0.5 <= decay < 1:
        raise UsageError(f"ema {decay:g}: expected 0, for no average, or a number from 0.5 to below 1, such as 0.999")


def check_run_name(mode: str) -> None:
    """Refuse a `mode` that cannot name a folder, and files in a list with blanks.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(r"[^\s./\\][^\s/\\]*", mode):
        raise UsageError(f"--mode {mode!r}: expected a name without blanks and slashes, no dot first")
