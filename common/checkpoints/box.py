"""The weights in the box: our own small networks, MIT, in `<paper>/weights/`; and which weights own video takes."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from common.checkpoints.published import entries
from common.cli import UsageError
from common.papers import ROOT

CHOICES = ("free", "published")


@dataclass(frozen=True)
class Boxed:
    """One file of `<paper>/weights/box.json`.

    Attributes:
        paper: folder whose box it is in.
        file: its name there.
        config: the preset that it belongs to.
        task: what it does, where the paper has several tasks.
        score: how good it is, and how good the published one is, in words.
        published: name of the published file that does the same.
    """

    paper: str
    file: str
    config: str
    task: str
    score: str
    published: str

    @property
    def path(self) -> Path:
        """Of the weights."""
        return ROOT / self.paper / "weights" / self.file

    @property
    def line(self) -> str:
        """What own video says of it."""
        fetch = f"; for those: python -m common.checkpoints fetch {self.published}" if self.published else ""
        return f"{self.path.stem}, in the box (MIT): {self.score}{fetch}"


def boxed(paper: str) -> list[Boxed]:
    """What is in the box of a paper."""
    listing = ROOT / paper / "weights" / "box.json"
    return [Boxed(paper, **entry) for entry in json.loads(listing.read_text())] if listing.is_file() else []


def choose(options, paper: str, usual: str, task: str = "") -> None:
    """Let `options` name the weights in the box, where `--weights free` asks for them, or nothing else is there.

    Unasked they are taken for own video alone, when no flag names a run, a preset or a file, and the published file of
    the usual preset is not here. A path given as `--weights` becomes `--ckpt_abs_name`.

    Args:
        options: of the command line; mode, config and ckpt_abs_name are set.
        paper: its folder.
        usual: preset whose published weights are used otherwise.
        task: of `Boxed.task`.

    Raises:
        UsageError: `--weights` with other flags that name weights, or with training; or there is nothing in the box.
    """
    asked = options.weights
    named = options.ckpt_name or options.ckpt_abs_name or options.ckpt_epoch is not None or options.ckpt_sc
    if asked and (named or options.is_train):
        raise UsageError("--weights goes with testing, --input and --export, and not with --ckpt flags")
    if asked not in (None, *CHOICES):
        options.ckpt_abs_name = asked
        return
    if asked == "published" or named or options.is_train:
        return
    if asked is None:
        own = options.mode or options.config or not options.input
        here = [e for e in entries(paper) if e.config == usual and Path("ckpt", e.file).is_file()]
        if own or here:
            return
    found = next((entry for entry in boxed(paper) if entry.task == task), None)
    if found is None and asked:
        raise UsageError(f"--weights free: there are none in the box for {task or paper}; see {paper}/weights")
    if found is None:
        return
    options.mode, options.config = found.path.stem, found.config
    options.ckpt_abs_name = str(found.path)
    if options.input:
        print(found.line, file=sys.stderr)
