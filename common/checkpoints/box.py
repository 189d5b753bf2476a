"""The weights in the box: our own small networks, MIT, in `<paper>/weights/`."""

import json
from dataclasses import dataclass
from pathlib import Path

from common.papers import ROOT


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
