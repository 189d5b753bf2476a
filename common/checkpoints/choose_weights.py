"""Which weights a command takes that names none: those in the box, where there are no others."""

from pathlib import Path

from common.checkpoints.box import boxed
from common.checkpoints.by_name import brought, look_up
from common.checkpoints.published import entries
from common.cli import UsageError


def choose_weights(options, paper: str, usual: str, task: str = "", run: str = "") -> None:
    """Let `options` name the weights in the box, where `--weights free` asks for them, or nothing else is there.

    Unasked they are taken for own video alone, when no flag names a run, a preset or a file, and neither a run of the
    usual name nor the published file of the usual preset is here; `options.from_the_box` is then the line that own
    video says. A path given as `--weights` becomes `--ckpt_abs_name`.

    Args:
        options: of the command line; mode, config, ckpt_abs_name and from_the_box are set.
        paper: its folder.
        usual: preset whose published weights are used otherwise.
        task: of `Boxed.task`.
        run: name of the run that is used otherwise; that of the preset if not given.

    Raises:
        ValueError: a file that is named is not here and cannot be fetched.
        UsageError: `--weights` with other flags that name weights, or with training; or there is nothing in the box.
    """
    asked = options.weights
    named = options.ckpt_name or options.ckpt_abs_name or options.ckpt_epoch is not None or options.ckpt_sc
    if asked and (named or options.is_train):
        raise UsageError("--weights goes with testing, --input and --export, and not with --ckpt flags")
    if asked not in (None, "free", "published"):
        options.ckpt_abs_name = asked
        known = None if Path(asked).is_file() else look_up(paper, asked)
        if known:
            options.ckpt_abs_name = str(brought(known, offline=options.offline))
            options.config = options.config or known.config or None
        return
    if asked == "published" or named or options.is_train:
        return
    if asked is None:
        own = options.mode or options.config or not options.input
        here = [e for e in entries(paper) if e.config == usual and Path("ckpt", e.file).is_file()]
        checkpoints = Path(options.log_root, options.project, run or usual, "checkpoint/train/epoch/checkpoints.txt")
        if own or here or checkpoints.is_file():
            return
    found = next((entry for entry in boxed(paper) if entry.task == task), None)
    if found is None and asked:
        raise UsageError(f"--weights free: there are none in the box for {task or paper}; see {paper}/weights")
    if found is None:
        return
    options.mode, options.config = found.path.stem, found.config
    options.ckpt_abs_name = str(found.path)
    options.from_the_box = found.line
