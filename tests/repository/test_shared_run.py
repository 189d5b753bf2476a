"""Several pytest processes share one run: every test once, the worst exit code, no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import shared_run

HERE = Path(__file__).parent
IMPORT = "import sys; from tests.helpers import shared_run"
COUNTED = """
import os, pathlib, pytest
HERE = pathlib.Path(__file__).parent

@pytest.mark.parametrize("number", range(3))
def test_counted(number, request):
    with open(HERE / "ran", "a") as file:
        file.write(f"{request.node.name} {pathlib.Path(__file__).stem} {os.getpid()}\\n")
"""
# Waits until the other process has claimed the other module, so that both have one.
WAITS = """
def test_both_run():
    import time
    end = time.monotonic() + 60
    while len({line.split()[2] for line in open(HERE / "ran")}) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
"""
FAILS = "\ndef test_fails():\n    assert 0\n"


def run(folder, count=2):
    """Exit code and output of a shared run of the tests in a folder."""
    code = f"{IMPORT}; sys.exit(shared_run.run(['-q', '--rootdir', '.', '.'], {count}))"
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def ran(folder):
    return [line.split() for line in (folder / "ran").read_text().splitlines()]


def test_each_test_runs_once_and_a_failure_counts(folder):
    for name, more in (("a", WAITS), ("b", WAITS + FAILS)):
        (folder / f"test_{name}.py").write_text(COUNTED + more)
    code, out = run(folder)
    assert code == 1, out
    lines = ran(folder)
    assert len(lines) == len({(test, module) for test, module, _ in lines}) == 6
    assert len({(module, process) for _, module, process in lines}) == 2  # a module stays whole
    assert out.count("1 failed, 4 passed") == 1
    assert out.count("4 passed") == 2
    assert "skipped" not in out
    assert out.count("[100%]") == 2
    assert "==== process 2 of 2" in out
    assert out.endswith("==== 2 processes: exit code 1\n")


def test_a_process_without_a_module_is_no_failure(folder):
    (folder / "test_a.py").write_text(COUNTED)
    code, out = run(folder)
    assert code == 0, out
    assert len(ran(folder)) == 3
    assert out.endswith("==== 2 processes: all passed\n")


def test_no_tests_at_all(folder):
    assert run(folder)[0] == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_process_that_dies_is_a_failure(folder):
    (folder / "test_a.py").write_text("import os\ndef test_dies():\n    os.kill(os.getpid(), 9)\n")
    assert run(folder)[0] == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all(folder, number):
    forever = "\ndef test_forever():\n    import time\n    time.sleep(60)\n"
    for name in "ab":
        (folder / f"test_{name}.py").write_text(COUNTED + forever)
    code = f"{IMPORT}; shared_run.cores = lambda: 2; sys.exit(shared_run.main(['-q', '.']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (folder / "ran").is_file() or len(ran(folder)) < 6:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    for child in {int(line[2]) for line in ran(folder)}:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_long_modules_come_first(tmp_path):
    sizes = {"test_readme.py": 1, "test_x_train.py": 2, "test_long.py": 9, "test_a.py": 3, "test_b.py": 3}
    for name, size in sizes.items():
        (tmp_path / name).write_text("#" * size)
    found = sorted(tmp_path.iterdir(), key=shared_run.turn)
    assert [path.name for path in found] == list(sizes)
