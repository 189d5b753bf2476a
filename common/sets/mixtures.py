"""What `--data` names: a set, or several to train on at once, with weights: `free,drawn:0.5`."""

import dataclasses
import difflib
import math
from collections.abc import Callable, Sequence

import numpy as np
from torch.utils.data import Dataset

from common.cli import UsageError
from common.sets.clips import NAMES, clip_set

PERIOD = 1000  # positions after which the turns of a mixture's sets repeat


def parts(data: str) -> list[tuple[str, float]]:
    """Names and weights: `free,drawn:0.5` gives two samples of free to one of drawn; a weight not given is 1.

    Raises:
        UsageError: a weight is no positive number, or a name stands there twice.
    """
    found = []
    for part in data.split(","):
        name, colon, text = part.partition(":")
        try:
            weight = float(text) if colon else 1.0
        except ValueError:
            weight = math.nan
        if not name or not 0 < weight < math.inf:
            raise UsageError(f"--data {data}: expected a set, or sets with weights, such as free,drawn:0.5")
        if name in dict(found):
            raise UsageError(f"--data {data}: {name} stands there twice")
        found.append((name, weight))
    return found


def check(data: str, known: Sequence[str], *, field: str = "data", suffixes: Sequence[str] = ("",)) -> None:
    """Refuse names that are neither known nor those of sets of clips.

    Args:
        data: what was given.
        known: names of the paper's sets.
        field: of the settings, for the error.
        suffixes: what the paper puts behind the name of a set of clips, such as `_bi`.

    Raises:
        UsageError: the first such name.
    """
    for name, _ in parts(data):
        if name in known or clip_set(name, suffixes)[0]:
            continue
        own = [f"{clips}{end}" for clips in NAMES for end in suffixes]
        near = difflib.get_close_matches(name, [*known, *own], n=1)
        raise UsageError(
            f"{field} {name}: expected one of {', '.join(known)}, or a set of clips, whose name begins with one of "
            f"{', '.join(NAMES)}" + (f"; did you mean {near[0]}?" if near else "")
        )


def check_use(data: str, is_train: bool, known: Sequence[str], training: Sequence[str]) -> None:
    """Refuse to train on what is for testing, and to test on several sets at once.

    Args:
        data: what was given.
        is_train: whether to train.
        known: names of the paper's sets.
        training: those that can be trained on.

    Raises:
        UsageError: one of both.
    """
    named = parts(data)
    if not is_train and len(named) > 1:
        raise UsageError(f"--data {data}: several sets are for training; test on one")
    for name, _ in named if is_train else ():
        if name in known and name not in training:
            raise UsageError(f"--data {name} is for testing: train on one of {', '.join(training)}, or on clips")


def validation_set(data: str, valid_data: str) -> str:
    """Name of the set that validates: `valid_data`, or the first one that is trained on."""
    return valid_data or parts(data)[0][0]


def for_testing(config, options):
    """The settings; for whatever is no training, with the set that validates in place of several that --data names not.

    Args:
        config: the settings; data and valid_data are read.
        options: of the command line.
    """
    given = options.is_train or hasattr(options, "data")
    if given or not config.valid_data or len(parts(config.data)) == 1:
        return config
    return dataclasses.replace(config, data=config.valid_data)


def help_text(known: Sequence[str], training: Sequence[str]) -> str:
    """What --help says of --data."""
    tests = [name for name in known if name not in training]
    return (
        f"to train on: {', '.join(training)}; a set of clips (clips, clips_mine, free, drawn); or several with "
        f"weights: free,drawn:0.5; to test with: one of these, {', '.join([*tests, 'real'])}"
    )


def samples_of(data: str, make: Callable[[str], Dataset], seed: int) -> Dataset:
    """The samples of a set, or a `Mixture`.

    Args:
        data: as `parts` reads it.
        make: gives the samples of a set by its name.
        seed: of the order.
    """
    named = parts(data)
    if len(named) == 1:
        return make(named[0][0])
    return Mixture([make(name) for name, _ in named], [weight for _, weight in named], seed)


class Mixture(Dataset):
    """Several data sets at once, each with its share of the positions, whatever its size.

    Which set's turn it is, depends on the position and the seed alone. A set counts its own turns, and gives what it
    would give at these positions by itself; so its samples come in its own order, all of them before one comes again.

    Args:
        sets: indexed by the position, without end.
        weights: of the sets; rounded so that they share `PERIOD` positions.
        seed: of the turns.
    """

    def __init__(self, sets: Sequence[Dataset], weights: Sequence[float], seed: int):
        self.sets = sets
        ends = np.rint(np.cumsum(weights) / sum(weights) * PERIOD).astype(int)
        turns = np.searchsorted(ends, np.arange(PERIOD), side="right")
        self._turns = np.random.default_rng(seed).permutation(turns)
        self._counts = np.bincount(turns, minlength=len(sets))
        # How often it was this set's turn before, within a period.
        before = [np.cumsum(self._turns == number) - 1 for number in range(len(sets))]
        self._before = np.choose(self._turns, before)

    def __len__(self) -> int:
        return sum(len(part) for part in self.sets)

    def place(self, position: int) -> tuple[int, int]:
        """Number of the set whose turn it is, and the position in it."""
        period, rest = divmod(position, PERIOD)
        number = int(self._turns[rest])
        return number, int(period * self._counts[number] + self._before[rest])

    def __getitem__(self, position: int):
        number, own = self.place(position)
        return self.sets[number][own]
