"""A lock that one process holds: others are refused or wait, and a process that dies lets it go."""

import subprocess
import sys
import time

import pytest

from common import file_lock
from common.papers import ROOT
from tests.helpers.runs import KILL

HOLD = "import sys, time\nfrom pathlib import Path\nfrom common.file_lock import hold, alone\n"


def start(code, *given):
    process = subprocess.Popen([sys.executable, "-c", HOLD + code, *map(str, given)], cwd=ROOT, stdout=subprocess.PIPE,
        text=True)  # fmt: skip
    assert process.stdout.readline() == "held\n"
    return process


def test_one_holds_it(tmp_path):
    with start("held = hold(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)", tmp_path / "a/l") as other:
        with pytest.raises(BlockingIOError, match="another process holds it"):
            file_lock.hold(tmp_path / "a/l")
        other.kill()
    file_lock.hold(tmp_path / "a/l").close()


def test_others_wait_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(file_lock, "PAUSE", 0.01)
    lock, trace = tmp_path / "l", tmp_path / "trace"
    code = "with alone(Path(sys.argv[1])):\n print('held', flush=True)\n time.sleep(0.5)\n Path(sys.argv[2]).touch()"
    with start(code, lock, trace):
        before = time.monotonic()
        with file_lock.alone(lock):
            assert trace.exists()
            assert time.monotonic() > before
    assert not lock.exists()
    with pytest.raises(ZeroDivisionError), file_lock.alone(lock):
        raise ZeroDivisionError
    assert not lock.exists()


def test_what_a_killed_process_leaves_is_no_obstacle(tmp_path):
    lock = tmp_path / "l"
    with start(KILL + "with alone(Path(sys.argv[1])):\n print('held', flush=True)\n die()", lock) as other:
        pass
    assert other.returncode < 0
    assert lock.exists()
    with file_lock.alone(lock):
        pass
    assert not lock.exists()
