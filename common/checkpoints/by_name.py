"""The file of weights that a name stands for, in a call from Python or behind `--weights`."""

import difflib
import os
from pathlib import Path

from common.checkpoints.box import Boxed, boxed
from common.checkpoints.published import Entry, ensure, entries


def find_file(paper: str, weights: os.PathLike | str | None, *, usual: str = "", task: str = "") -> tuple[Path, str]:
    """The file that `weights` names, fetched first if it is a published one that is not here; and its preset.

    Args:
        paper: its folder.
        weights: None or "free": the paper's own in the box; "published": the authors' of the preset `usual`; the name
            of a file in the box or of a published one, with or without its ending; or the path of a file.
        usual: a preset.
        task: of `Boxed.task`, where the paper has several.

    Returns:
        The file, and the preset that belongs to it; "" where only the file can tell.

    Raises:
        ValueError: nothing has that name, or it is not here and cannot be fetched.
    """
    name, own, published = str(weights or "free"), boxed(paper), entries(paper)
    if name == "free":
        found = next((entry for entry in own if entry.task == task), None)
        if found is None:
            told = f" for {task}" if task else ""
            names = ", ".join(entry.file for entry in published) or "none"
            raise ValueError(f"{paper}: no weights in the box{told}: name a published file ({names}), or give a path")
    elif name == "published":
        found = next((entry for entry in published if entry.config == usual), None)
        if found is None:
            raise ValueError(f"{paper}: no weights were published for {task or usual}: give the path of a file")
    else:
        found = look_up(paper, name)
        if Path(name).is_file():
            return Path(name), found.config if found else ""
        if found is None:
            names = [name for entry in (*own, *published) for name in names_of(entry)]
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{name}: no such file, and no weights of {paper} have that name{hint}")
    return brought(found), found.config


def look_up(paper: str, name: str) -> Boxed | Entry | None:
    """What a paper has in the box, or lists, under one of `names_of`."""
    return next((entry for entry in (*boxed(paper), *entries(paper)) if name in names_of(entry)), None)


def names_of(entry: Boxed | Entry) -> tuple[str, ...]:
    """What a file is called: by its name, without its ending, with its paper, and by its place."""
    place = entry.path if isinstance(entry, Boxed) else entry.path(None)
    return Path(entry.file).stem, entry.file, f"{entry.paper}/{entry.file}", str(place)


def brought(entry: Boxed | Entry, *, offline: bool = False) -> Path:
    """Where the file lies; a published one that is absent is fetched there.

    Raises:
        ValueError: it is not here and cannot be fetched.
    """
    return entry.path if isinstance(entry, Boxed) else ensure(entry, offline=offline)
