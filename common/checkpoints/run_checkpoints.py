"""The run folder's checkpoints: which are kept, which is best, which is the most recent.

`checkpoints.txt` has a line `name score [score2]` for every kept checkpoint, best first; its last line repeats the most
recent one. Weights lie in `ckpt/`, what a resume needs besides in `state/`, under the same name.
"""

from collections.abc import Sequence
from pathlib import Path

from common import atomic
from common.checkpoints import checkpoint_file
from common.checkpoints.fetching import is_offline
from common.checkpoints.published import ensure, entries


class CheckpointManager:
    """Checkpoints of one run.

    Args:
        folder: `checkpoint/train/epoch` of the run folder.
        mode: name of the run, prefix of the files.
        max_ckpt_num: checkpoints kept besides the most recent one.
    """

    def __init__(self, folder: str | Path, mode: str, max_ckpt_num: int):
        self.folder, self.mode, self.max_ckpt_num = Path(folder), mode, max_ckpt_num
        self.list_file = self.folder / "checkpoints.txt"

    def name(self, epoch: int) -> str:
        """File name of an epoch's checkpoint."""
        return f"{self.mode}_{epoch:05d}.pytorch"

    def lines(self) -> list[str]:
        """Lines of checkpoints.txt; empty before the first save."""
        return self.list_file.read_text().splitlines() if self.list_file.is_file() else []

    def save(self, weights: dict, state: dict, epoch: int, scores: Sequence[float]) -> Path:
        """Write an epoch's checkpoint and rank it by its first score, the highest best.

        The files are complete before the list names them, and dropped files go last: a crash in between leaves at
        most a file that the list does not name.
        """
        name = self.name(epoch)
        checkpoint_file.save(state, self.folder / "state" / name)
        checkpoint_file.save(weights, self.folder / "ckpt" / name)
        lines = self.lines()
        before = {line.split()[0] for line in lines}
        line = " ".join([name, *(str(score) for score in scores)])
        ranked = sorted([old for old in lines[:-1] if old.split()[0] != name] + [line], key=_rank, reverse=True)[
            : self.max_ckpt_num
        ]
        self._write([*ranked, line])
        for dropped in before - {kept.split()[0] for kept in [*ranked, line]}:
            for kind in ("ckpt", "state"):
                (self.folder / kind / dropped).unlink(missing_ok=True)
        return self.folder / "ckpt" / name

    def select(
        self,
        *,
        name: str | None = None,
        abs_name: str | None = None,
        epoch: int | None = None,
        by_score: bool = False,
    ) -> Path:
        """Path of the weights to load: by epoch, else by path, else by name, else the best or the most recent.

        Raises:
            ValueError: there is no such checkpoint.
        """
        if epoch is not None:
            path = self.folder / "ckpt" / self.name(epoch)
        elif abs_name is not None:
            return Path(abs_name)
        elif name is not None:
            path = self.folder / "ckpt" / name
        else:
            lines = self.lines()
            if not lines:
                raise ValueError(
                    f"{self.folder}: no checkpoint yet; train first (--is_train) or name a file with --ckpt_abs_name"
                )
            path = self.folder / "ckpt" / lines[0 if by_score else -1].split()[0]
        if not path.is_file():
            there = ", ".join(sorted(file.name for file in path.parent.glob("*.pytorch"))[-5:]) or "none"
            raise ValueError(f"{path}: no such checkpoint; there are {there}")
        return path

    def recent_epoch(self) -> int | None:
        """Epoch of the most recent checkpoint."""
        lines = self.lines()
        return int(Path(lines[-1].split()[0]).stem.rsplit("_", 1)[1]) if lines else None

    def resume(self, epoch: int) -> tuple[Path, Path]:
        """Go back to an epoch: later checkpoints leave the list, their files move to `superseded/`.

        Returns:
            Paths of its weights and of its state.

        Raises:
            ValueError: that epoch was not kept.
        """
        name = self.name(epoch)
        weights, state = self.select(epoch=epoch), self.folder / "state" / name
        if not state.is_file():
            raise ValueError(f"{state}: missing, so epoch {epoch} cannot be resumed; resume from another epoch")
        ranked = [line for line in self.lines()[:-1] if line.split()[0] <= name]
        own = [line for line in self.lines() if line.split()[0] == name]
        if not own:
            raise ValueError(f"{self.list_file}: does not list {name}; resume from another epoch")
        self._write([*ranked, own[0]])
        for kind in ("ckpt", "state"):
            for file in (self.folder / kind).glob(f"{self.mode}_*.pytorch"):
                if file.name > name:
                    target = self.folder / "superseded" / kind
                    target.mkdir(parents=True, exist_ok=True)
                    file.replace(_free(target / file.name))
        return weights, state

    def _write(self, lines: list[str]) -> None:
        atomic.write_text(self.list_file, "".join(f"{line}\n" for line in lines))


def find_weights(options, config, paper: str) -> Path:
    """The weights that the `--ckpt_*` flags select; without any, the run's, else the published ones of the preset.

    Published ones that are not here are fetched for own video, unless `--offline` or the environment forbids it.

    Args:
        options: of the command line.
        config: the run's settings.
        paper: its folder, whose checkpoints.json lists the published ones.

    Raises:
        ValueError: there are none.
    """
    folder = Path(options.log_root, config.project, config.mode, "checkpoint/train/epoch")
    manager = CheckpointManager(folder, config.mode, config.max_ckpt_num)
    fetches = getattr(options, "input", None) and not (options.offline or is_offline())
    asked = options.ckpt_name or options.ckpt_abs_name or options.ckpt_epoch is not None or options.ckpt_sc
    if not asked and not manager.lines():
        fit = [e for e in entries(paper) if e.config == config.config and e.mode in ("", config.mode)]
        files = [Path("ckpt", entry.file) for entry in fit]
        here = [path for path in files if path.is_file()]
        if not here and fetches:
            for entry in fit:
                if entry.urls:
                    return ensure(entry)
        if not here:
            where = ""
            if files:
                fetch = f"python -m common.checkpoints fetch {files[0].name}; address in {paper}/checkpoints.json"
                where = f"put the published ones at {files[0]} ({fetch}), "
            raise ValueError(f"no weights: {where}name a file with --ckpt_abs_name, or train (--is_train)")
        return here[0]
    if fetches and options.ckpt_epoch is None and options.ckpt_abs_name and not Path(options.ckpt_abs_name).exists():
        for entry in entries(paper):
            if entry.path(None) == Path(options.ckpt_abs_name):
                return ensure(entry)
    return manager.select(
        name=options.ckpt_name, abs_name=options.ckpt_abs_name, epoch=options.ckpt_epoch, by_score=options.ckpt_sc
    )


def _rank(line: str) -> tuple[float, str]:
    return float(line.split()[1]), line


def _free(path: Path) -> Path:
    """`path`, or the first numbered neighbour that is not there yet."""
    number = 1
    candidate = path
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
        number += 1
    return candidate
