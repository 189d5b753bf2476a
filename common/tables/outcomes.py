"""What came out of the measurements of this machine: one file, which git ignores, written after each of them."""

import json
from pathlib import Path

from common.atomic import write_text


class Outcomes:
    """What was measured under a log root, and the trainings that were begun for it.

    Args:
        log_root: folder of the run folders.
        fresh: measure and train all that is asked for anew, whatever the file says.

    Attributes:
        path: of the file.
        measured: name of a measurement -> what `measurement.measure` gave, with the measurement's own fields, `facts`
            (columns of results.csv), `seconds`, and the conditions under which it holds: `fingerprint` (of code,
            versions and weights), `place` (device and data), `part` (the clips, where the set was not whole, or None).
    """

    def __init__(self, log_root: str | Path, fresh: bool = False):
        self.path, self.fresh = Path(log_root, "tables/state.json"), fresh
        read = json.loads(self.path.read_text()) if self.path.is_file() else {}
        self.measured: dict[str, dict] = read.get("outcomes", {})
        self._trainings: dict[str, str] = read.get("trainings", {})  # what -> under which conditions it began
        self._begun: set[str] = set()  # trainings of this call

    def goes_on(self, training: str, fingerprint: str) -> bool:
        """Whether a training's run folder is of this code, so that it goes on there; else it begins anew."""
        known = self._trainings.get(training) == fingerprint and (training in self._begun or not self.fresh)
        self._begun.add(training)
        self._trainings[training] = fingerprint
        self.save()
        return known

    def save(self) -> None:
        """Write the file, whole or not at all."""
        write_text(self.path, json.dumps({"outcomes": self.measured, "trainings": self._trainings}, indent=1))
