"""How every evaluation ends: scores of all processes joined, written, printed, and told beside the published ones."""

from collections.abc import Callable
from pathlib import Path

from common import atomic
from common.scoring.score_frames import published, total
from common.training.distributed import Processes
from common.training.run_folder import new_folder


class Evaluation:
    """Where the results of some weights on a set go.

    Args:
        options: of the command line: log_root is read.
        config: the settings: project, mode and data are read.
        name: of the weights, or of what stands for a network.
        processes: this one among all.
        data: of the set, if it is not the settings'.
        place: folder in the run folder.

    Attributes:
        folder: of this evaluation, named by set and minute: for pictures and score files.
    """

    def __init__(self, options, config, name: str, processes: Processes, data: str = "", place: str = "result"):
        self.name, self.data, self.processes = name, data or config.data, processes
        self.of_weights = Path(options.log_root, config.project, config.mode, place, name)
        self.folder = processes.broadcast(new_folder(self.of_weights / self.data) if processes.is_main else None)

    def gather(self, compute: Callable[[], dict[str, list]]) -> dict[str, list]:
        """What `compute` gives in every process, protocol -> scores, one process's after the other's.

        Raises:
            ValueError: it failed in one of them, which would leave the others waiting.
        """
        found, error = {}, None
        try:
            found = compute()
        except ValueError as fault:
            error = fault
        everyone = self.processes.gather((found, error))
        for _, error in everyone:
            if error:
                raise error
        return {name: [score for part, _ in everyone for score in part[name]] for name in everyone[0][0]}

    def tell(
        self,
        protocol: str,
        values: list[dict[str, float]],
        means: dict[str, float],
        lines: list[str],
        *,
        paper: str,
        row: str,
        part: str = "",
    ) -> None:
        """Write the score file of a protocol, and print its last line and the published row.

        Args:
            protocol: its name.
            values: of each frame, metric -> value.
            means: metric -> value.
            lines: of the file, without the last.
            paper: whose results.csv has the row.
            row: what its column `configuration` calls these weights.
            part: how much of the published set is here, in words; empty if all of it.
        """
        if not self.processes.is_main:
            return
        last = total(f"{self.name}|{self.data}", protocol, values, means)
        for place in (self.of_weights, self.folder):
            atomic.write_text(place / f"score_{self.data}_{protocol}.txt", "\n".join([*lines, last]) + "\n")
        print(last)
        beside = published(paper, row, self.data, protocol, means)
        if beside:
            print(f"  {beside}" + (f"; not the same set, here are {part}" if part else ""))

    def end(self, pictures: str = "") -> None:
        """Tell where everything is; `pictures` says which there are, such as " and pictures"."""
        if self.processes.is_main:
            print(f"scores{pictures}: {self.folder}", flush=True)
