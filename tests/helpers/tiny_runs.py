"""Tiny trainings of every paper, for what all must do alike; a paper's facts are in `tests/<paper>/facts.py`."""

import importlib
from dataclasses import dataclass, replace
from pathlib import Path

from common.checkpoints import checkpoint_file
from tests.helpers.runs import KILL, make_clips


@dataclass(frozen=True)
class TinyRun:
    """A training of seconds.

    Attributes:
        paper: its folder.
        config: preset.
        project: parent folder of its runs.
        clips: layouts of make_synthetic.py, with the arguments of each.
        settings: arguments that make it tiny, with batches of two samples.
        epochs: number of its last checkpoint.
        back: number of an earlier one, from which a resume goes on.
        step: optimiser steps after which it is stopped or killed, between two checkpoints.
        unit: what the paper counts.
        diverges: arguments under which its weights leave every bound.
        half: arguments under which its values stay within half precision.
        place: how the line of a resume calls that place.
        suffix: what the paper puts behind the name of a set of clips.
        on_clips: arguments that it needs besides, to train on sets of clips.
        root: folder of the clips.
        logs: of the runs.
    """

    paper: str
    config: str
    project: str
    clips: tuple[tuple, ...]
    settings: tuple[str, ...]
    epochs: int
    back: int
    step: int
    place: str
    unit: str = "step"
    diverges: tuple[str, ...] = ("--set", "learning_rate=1e20")
    half: tuple[str, ...] = ()
    suffix: str = ""
    on_clips: tuple[str, ...] = ()
    root: Path = Path()
    logs: Path = Path()

    @property
    def run(self):
        """The module with `main`."""
        return importlib.import_module(f"{self.paper}.run")

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.logs / self.project / "tiny"

    def at(self, root: Path, logs: Path) -> "TinyRun":
        """This run with its folders."""
        return replace(self, root=root, logs=logs)

    def make(self, root: Path) -> None:
        """Make the clips."""
        for layout, *arguments in self.clips:
            make_clips(root, layout, *arguments)

    def arguments(self, *more: str) -> list[str]:
        """The command line of the training."""
        paths = ("--data_root", str(self.root), "--log_root", str(self.logs))
        return ["--is_train", "--mode", "tiny", "--config", self.config, "-b", "2", *paths, *self.settings, *more]

    def weights(self) -> dict:
        """What the last checkpoint holds."""
        return checkpoint_file.load(self.folder / f"checkpoint/train/epoch/ckpt/tiny_{self.epochs:05d}.pytorch")


def facts(paper: str) -> TinyRun:
    """The facts of a paper."""
    return importlib.import_module(f"tests.{paper}.facts").TINY


def kill_at(step: int, only: str = "True") -> str:
    """Code that kills the process with -9 when it is about to take a step after so many; `only` may look at `self`."""
    return (
        KILL + "from common.training.minimiser import Minimiser\nold, steps = Minimiser.step, []\n"
        f"def step(self, *a):\n    if len(steps) == {step} and {only}: die()\n    steps.append(1)\n"
        "    return old(self, *a)\nMinimiser.step = step"
    )
