"""The file of weights that a name stands for, in a call from Python or behind `--weights`."""

import difflib
from pathlib import Path

from common.checkpoints.box import boxed
from common.checkpoints.published import Entry, ensure, entries


def find_weights(paper: str, weights: str | Path | None, *, usual: str = "", task: str = "") -> tuple[Path, str]:
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
    name, own, known = str(weights or "free"), boxed(paper), entries(paper)
    if name == "free":
        found = [entry for entry in own if entry.task == task]
        if not found:
            names = ", ".join(entry.file for entry in known) or "none"
            told = f" for {task}" if task else ""
            raise ValueError(f"{paper}: no weights in the box{told}: name a published file ({names}), or give a path")
        return found[0].path, found[0].config
    if name == "published":
        known = [entry for entry in known if entry.config == usual]
        if not known:
            raise ValueError(f"{paper}: no weights were published for {task or usual}: give the path of a file")
        return ensure(known[0]), known[0].config
    path = Path(name)
    if path.is_file():
        return path, next((entry.config for entry in known if same_file(entry, path)), "")
    for entry in own:
        if name in (entry.file, entry.path.stem):
            return entry.path, entry.config
    for entry in known:
        if name in names_of(entry):
            return ensure(entry), entry.config
    names = [name for entry in known for name in names_of(entry)] + [entry.path.stem for entry in own]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{name}: no such file, and no weights of {paper} have that name{hint}")


def names_of(entry: Entry) -> tuple[str, ...]:
    """What a published file is called: its name, without its ending, with its paper, or where it lies."""
    return entry.file, Path(entry.file).stem, entry.key, str(entry.path(None))


def same_file(entry: Entry, path: Path) -> bool:
    """Whether `path` is where a published file lies."""
    return entry.path(None).absolute() == path.absolute()
