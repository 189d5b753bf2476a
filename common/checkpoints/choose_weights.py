"""Which weights a command takes that names none: those in the box, where there are no others."""

import sys
from pathlib import Path

from common.checkpoints.box import boxed
from common.checkpoints.published import entries
from common.cli import UsageError


def choose_weights(options, paper: str, usual: str, task: str = "") -> None:
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
    if asked not in (None, "free", "published"):
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
