"""Command lines in processes of their own: started, sabotaged, launched several at once."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common import cli
from tests.helpers import warm

ROOT = Path(__file__).parents[2]
KILL = "import os, signal\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
KILL_BEFORE_RENAME = (
    KILL
    + "real, count = os.replace, []\nos.replace = lambda *a: (count.append(str(a[1]).endswith('.pytorch')), "
    + "die() if sum(count) == 6 else real(*a))"
)
KILL_BEFORE_LIST = (
    KILL
    + "from common.checkpoints.run_checkpoints import CheckpointManager as C\nold, count = C._write, []\n"
    + "C._write = lambda *a: (count.append(1), die() if len(count) == 2 else old(*a))"
)
KILL_AT_STEP_7 = (
    KILL + "from common.training.loop import Training\nold = Training.update\n"
    "Training.update = lambda self, *a: die() if self.step == 7 else old(self, *a)"
)
KILLED = -signal.SIGKILL


def dataset_script(name: str):
    """A script of datasets/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "datasets" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        spec.loader.exec_module(module)
    return module


def call(capsys, main, *argv) -> tuple[int, str, str]:
    """A command line in this process: exit code, what was printed, what went to stderr; never a traceback."""
    code = cli.run(main, [str(word) for word in argv])
    out, error = capsys.readouterr()
    assert "Traceback" not in error
    return code, out, error


def program(paper: str) -> str:
    """What `python <paper>/run.py` does, as a text that sabotage can stand before; but it counts no multiplications."""
    no_count = "complexity.macs = lambda build, *_: (build(), 0)[1]"  # draws the weights still
    command = f"from {paper} import run\nsys.exit(cli.run(run.main, sys.argv[1:]))"
    return f"import sys\nfrom common import cli\nfrom common.ops import complexity\n{no_count}\n{command}"


def start(paper: str, argv, code: str = "") -> subprocess.CompletedProcess:
    """The paper's command line in a process and session of its own; `code` runs before it and may sabotage it."""
    return _run(["-c", f"{code}\n{program(paper)}", *argv])


def make_clips(root: Path, layout: str, *argv) -> None:
    """Clips of 64x48 pixels in a real set's layout, by the project's own generator."""
    command = [ROOT / "datasets/make_synthetic.py", "--layout", layout, "--root", root, "--size", "64x48", *argv]
    script([*command, "--workers", 1])


def script(command) -> None:
    """A script of the project with its arguments."""
    done = attempt(command)
    assert done.returncode == 0, done.stderr


def attempt(command) -> subprocess.CompletedProcess:
    """The same, which may fail."""
    return _run([str(word) for word in command])


def launch(paper: str, argv, port: int, launcher: str = "run", script: Path | None = None):
    """The paper's command line in two processes of torchrun ("run") or torch.distributed.launch ("launch")."""
    script = script or ROOT / paper / "run.py"
    command = ["-m", f"torch.distributed.{launcher}", "--nproc_per_node=2", f"--master_port={port}"]
    return _run([*command, str(script), *argv])


def _run(argv: list[str]) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return warm.run(argv, cwd=ROOT, env=environment, timeout=240)


def same(first: dict, second: dict) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
