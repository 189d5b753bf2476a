"""A run folder: who may write there, what a resume goes on from, what is saved when.

The newest state is `checkpoint/train/last.pytorch`, weights and state in one file, written after every epoch and when
the run is stopped; the checkpoints of epochs are the `CheckpointManager`'s.
"""

import re
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from common import atomic
from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.cli import UsageError
from common.file_lock import hold
from common.training.distributed import Processes


def lock(folder: Path):
    """Hold the folder's lock until the returned file is closed or the process ends, however it ends.

    Raises:
        UsageError: another run holds it.
    """
    try:
        return hold(folder / ".lock")
    except BlockingIOError:
        raise UsageError(f"{folder}: another run is training there; wait for it, or choose another --mode") from None


def clear(folder: Path) -> None:
    """Delete everything in a run folder but its lock."""
    for path in folder.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def new_folder(parent: Path) -> Path:
    """A folder named by the minute, made; numbered where there is one already."""
    stamp = time.strftime("%Y_%m_%d_%H%M")
    folder, number = parent / stamp, 2
    while folder.exists():
        folder, number = parent / f"{stamp}_{number}", number + 1
    folder.mkdir(parents=True)
    return folder


def numbered_runs(folder: Path) -> list[str]:
    """The runs in a folder that have numbers for names, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path.name for path in found if re.fullmatch(r"\d{3,}", path.name)), key=int)


def next_run(folder: Path) -> str:
    """The number of a new run: one more than the last, not than how many there are, so that none is met again."""
    return f"{int((numbered_runs(folder) or ['-1'])[-1]) + 1:03d}"


class RunFolder:
    """`[LOG_ROOT]/<project>/<mode>`.

    Args:
        path: the folder.
        mode: name of the run, prefix of its checkpoints.
        max_ckpt_num: checkpoints kept besides the most recent one.
    """

    def __init__(self, path: Path, mode: str, max_ckpt_num: int):
        self.path = path
        self.manager = CheckpointManager(path / "checkpoint/train/epoch", mode, max_ckpt_num)
        self.last_file = path / "checkpoint/train/last.pytorch"

    @contextmanager
    def claimed(self, options, processes: Processes):
        """Hold the folder in a `with` block; rank 0 does it for all.

        Args:
            options: `delete_log` deletes what is in it (it asks on a terminal, and -r switches it off), `resume` is -r.
            processes: this one among all.

        Raises:
            UsageError: another run trains there, or one is there and neither flag was given.
        """
        held = self._claim(options.delete_log, options.resume) if processes.is_main else None
        processes.wait()
        try:
            yield
        finally:
            if held:
                held.close()

    def _claim(self, delete: bool, resume: str | None):
        """Delete what is in the folder if told to; refuse to start over a run that is there. Returns the lock."""
        held = lock(self.path)
        if delete and not resume:
            there = [path for path in self.path.iterdir() if path.name != ".lock"]
            asked = there and sys.stdin.isatty()
            if asked and input(f"Delete {self.path}? [Y/n] ").strip().lower() not in ("", "y", "yes"):
                raise UsageError("not deleted; choose another --mode, or -r to go on")
            clear(self.path)
        elif not resume and (self.manager.lines() or self.last_file.is_file()):
            epoch = self.manager.recent_epoch()
            which, earlier = ("", "") if epoch is None else (f" (epoch {epoch})", f" or -r {epoch}")
            raise UsageError(
                f"{self.path} holds a run{which}: go on with -r auto{earlier}, "
                "delete it with -dl, or choose another --mode"
            )
        return held

    def find_saved(self, resume: str | None, processes: Processes) -> tuple[dict, dict, Path] | None:
        """Weights, state and source to go on from; rank 0 reads for all, whose machines may not see the folder.

        None: start anew. The state tells its `epoch`, the last one that is complete. Later checkpoints than the epoch
        asked for move aside.
        """
        if resume is None:
            return None
        return processes.broadcast(self._read_saved(resume) if processes.is_main else None)

    def _read_saved(self, resume: str) -> tuple[dict, dict, Path] | None:
        recent = self.manager.recent_epoch()
        last = checkpoint_file.load(self.last_file) if self.last_file.is_file() else None
        if resume == "auto":
            if last and (recent is None or last["state"]["epoch"] >= recent):
                return last["weights"], last["state"], self.last_file
            if recent is None:
                return None
        weights, state = self.manager.resume(recent if resume == "auto" else int(resume))
        if resume != "auto" and last and last["state"]["epoch"] > int(resume):
            target = self.manager.folder / "superseded"
            target.mkdir(exist_ok=True)
            self.last_file.replace(target / f"last_{time.strftime('%Y%m%d_%H%M%S')}.pytorch")
        return checkpoint_file.load(weights), checkpoint_file.load(state), weights

    def save_last(self, weights: dict, state: dict) -> None:
        """Write the newest state."""
        checkpoint_file.save({"weights": weights, "state": state}, self.last_file)

    def last_good(self) -> Path | str:
        """What can be gone on from, for an error's line."""
        recent = self.manager.recent_epoch()
        return self.last_file if self.last_file.is_file() else self.manager.select() if recent is not None else "none"

    def describe(self, config_text: str, cost: tuple[int, int], step: int) -> str:
        """Write config/config.txt and cost.txt; settings that were others before are kept beside.

        Args:
            config_text: the settings.
            cost: multiply-accumulates for one 1280x720 frame, and parameters.
            step: of the run.

        Returns:
            The text of cost.txt.
        """
        file = self.path / "config/config.txt"
        if file.is_file() and file.read_text() != config_text:
            file.replace(file.with_name(f"config_until_itr_{step}.txt"))
        atomic.write_text(file, config_text)
        macs, parameters = cost
        text = (
            f"{'Computational complexity (Macs): ':<30}{macs / 1e9:.2f} B\n"
            f"{'Number of parameters: ':<30}{parameters / 1e6:.2f} M\n"
        )
        atomic.write_text(self.path / "cost.txt", text)
        return text
