"""The tests on all cores: one pytest a core, and each test module belongs to the first of them that comes to it.

python tests/helpers/shared_run.py -q        flags are pytest's

The first one's output is seen as it comes, that of the others when they have ended; the exit code is the worst.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

MOST = 4  # processes; each has PyTorch in memory, and the trainings among the tests start two more
NONE_LEFT = int(pytest.ExitCode.NO_TESTS_COLLECTED)  # the others had claimed all
INTERRUPTED = 130
PATIENCE = 10  # seconds


class Share:
    """In each pytest process: claims modules in a folder that the processes have in common."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.mine: dict[str, bool] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: turn(item.path))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        module = module_of(item)
        if module not in self.mine:
            self.mine[module] = claim(self.folder / module)
        if not self.mine[module]:
            item.session.testscollected -= 1  # or the percentages would end below 100
            return True
        if nextitem is None or module_of(nextitem) == module:
            return None
        # Which module comes next is not known yet, so everything is torn down.
        return item.ihook.pytest_runtest_protocol(item=item, nextitem=None)


def module_of(item: pytest.Item) -> str:
    """The module of a test, as the name of a file."""
    return item.nodeid.split("::")[0].replace("/", ".")


def turn(path: Path) -> tuple:
    """Long modules come first, so that no process is left with one at the end: commands, trainings, then by size."""
    return path.name != "test_readme.py", not path.stem.endswith("_train"), -path.stat().st_size, str(path)


def claim(place: Path) -> bool:
    """Whether this process is the first to ask."""
    try:
        place.mkdir()
    except FileExistsError:
        return False
    return True


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(argv: list[str], count: int) -> int:
    """Share the tests among `count` processes; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        claims = Path(folder, "claims")
        claims.mkdir()
        outputs = [Path(folder, str(number)) for number in range(2, count + 1)]
        command = [sys.executable, __file__, "--share", str(claims), *argv]
        processes = [subprocess.Popen(command)]
        try:
            for output in outputs:
                with output.open("wb") as file:
                    processes.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT))
            codes = [process.wait() for process in processes]
        except KeyboardInterrupt:
            end(processes)
            codes = [INTERRUPTED]
        for number, output in enumerate(outputs, 2):
            if output.is_file():
                print(f"\n==== process {number} of {count}", flush=True)
                sys.stdout.buffer.write(output.read_bytes())
                sys.stdout.flush()
    codes = [128 - code if code < 0 else code for code in codes]  # a signal, as the shell tells it
    ran = [code for code in codes if code != NONE_LEFT]
    worst = max(ran, default=NONE_LEFT)
    print(f"\n==== {count} processes: {'all passed' if not worst else f'exit code {worst}'}", flush=True)
    return worst


def end(processes: list[subprocess.Popen]) -> None:
    """Wait for processes that a Ctrl-C reached, too; interrupt, then kill, those that it did not."""
    for number in (None, signal.SIGINT, signal.SIGKILL):
        alive = [process for process in processes if process.poll() is None]
        for process in alive:
            if number:
                process.send_signal(number)
        for process in alive:
            try:
                process.wait(PATIENCE if number else 1)
            except subprocess.TimeoutExpired:
                pass


def main(argv: list[str]) -> int:
    """Start the processes, or be one of them."""
    if argv[:1] == ["--share"]:
        # The processes' lists of failed tests would overwrite one another's.
        return int(pytest.main(["-p", "no:cacheprovider", *argv[2:]], plugins=[Share(Path(argv[1]))]))
    for number in (signal.SIGINT, signal.SIGTERM):  # a script's background process would ignore the first
        signal.signal(number, signal.default_int_handler)
    return run(argv, min(MOST, cores()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
