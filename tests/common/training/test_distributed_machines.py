"""A training on two machines: two torchruns at addresses of their own, in folders of their own; each is lost once."""

import json
import re
import shlex
import socket

import pytest

from common import cli
from common.papers import ROOT
from tests.helpers.runs import attempt, launch, program, same
from tests.helpers.tiny_runs import facts

PORT = 29605
PAGE = ROOT / "common/training/README.md"
# Two machines: argv is the line of torchrun, without its first word, and the machines' folders.
MACHINES = """
import json, os, runpy, sys
words, folders = sys.argv[1:-2], sys.argv[-2:]
numbers = {}
for number, folder in enumerate(folders, 1):
    machine = os.fork()
    if machine == 0:
        os.chdir(folder)
        os.dup2(os.open("told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["torchrun", f"--local_addr=127.0.0.{number}", *words]
        runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
        sys.exit()
    numbers[machine] = number
codes = {numbers[machine]: os.waitstatus_to_exitcode(status) for machine, status in (os.wait() for _ in folders)}
print(json.dumps([codes[1], codes[2]]))
"""
# kill -9 of a machine's torchrun and of its process, which has so many steps behind it.
LOST = """
import os, signal
from common.training.loop import Training
update = Training.update
def lost(self, *given):
    if self.processes.rank == {rank} and self.step == {step}:
        for process in (os.getppid(), os.getpid()):
            os.kill(process, signal.SIGKILL)
    return update(self, *given)
Training.update = lost
"""


@pytest.fixture
def machines(tmp_path):
    """Run the page's command on two machines; returns exit codes, and what each told."""
    for number in (1, 2):
        try:
            with socket.socket() as one:
                one.bind((f"127.0.0.{number}", 0))
        except OSError as error:
            pytest.skip(f"127.0.0.{number} cannot be bound: {error}")
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    line = re.search(r"^torchrun (.*--nnodes=2 .*first:29500.*)$", PAGE.read_text(), re.M)[1]
    line = line.replace("first:29500", f"127.0.0.1:{PORT}").replace("--nproc_per_node=4", "--nproc_per_node=1")

    def run(arguments, code):
        (tmp_path / "run.py").write_text(f"{code}\n{program('ifrnet')}")
        words = shlex.split(line.replace("ifrnet/run.py", str(tmp_path / "run.py")))
        done = attempt(["-c", MACHINES, *words, *arguments, *folders])
        return json.loads(done.stdout.splitlines()[-1]), [(folder / "told").read_text() for folder in folders]

    return run


def test_two_machines_equal_one_and_go_on_when_either_was_lost(machines, tmp_path):
    tiny = facts("ifrnet").at(tmp_path / "clips", tmp_path / "one")
    tiny.make(tiny.root)
    assert cli.run(tiny.run.main, tiny.arguments()) == 0
    pair = tiny.at(tiny.root, tmp_path / "pair")
    done = launch(tiny.paper, pair.arguments("-b", "1", "-dist"), PORT + 1)
    assert done.returncode == 0, done.stderr

    both = tiny.at(tiny.root, tmp_path / "first/logs")
    arguments = [word.replace(str(both.logs), "logs") for word in both.arguments("-b", "1")]
    for rank, step in ((1, 6), (0, 9)):
        codes, told = machines(arguments, LOST.format(rank=rank, step=step))
        assert codes[rank] == -9
        assert codes[1 - rank] == 1
        assert "\nerror: another process has ended" in "\n" + told[1 - rank]
        assert "cli.run" not in told[1 - rank]  # no traceback of ours
    codes, told = machines(arguments, "")
    assert codes == [0, 0], told
    assert not (tmp_path / "second/logs").exists()
    assert same(both.weights(), pair.weights())
    one = tiny.weights()
    assert max((both.weights()[key] - one[key]).abs().max().item() for key in one) < 2e-5
