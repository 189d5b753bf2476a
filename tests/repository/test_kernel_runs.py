"""The runs with other kernels: each with its own settings, all of them whatever fails, and the failed ones named."""

import sys

from tests.helpers import kernel_runs

SHOWS = "import os, sys; print(*sys.argv[1:], *(os.environ.get(name) for name in {names})); sys.exit({code})"
NAMES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "TEST_THREADS")


def shown(code, monkeypatch, capfd):
    """The exit code, what each run was given, and how it ended."""
    monkeypatch.setattr(kernel_runs, "COMMAND", [sys.executable, "-c", SHOWS.format(names=NAMES, code=code)])
    found = kernel_runs.main(["-q", "tests"])
    lines = capfd.readouterr().out.splitlines()
    ends = lines[-len(kernel_runs.RUNS) :]
    return found, [line for line in lines if line.startswith("-q")], ends


def test_every_run_has_its_settings_alone(monkeypatch, capfd):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    code, given, ends = shown("0", monkeypatch, capfd)
    assert code == 0
    assert given == [
        "-q tests default SSE41 None",
        "-q tests avx2 AVX2 None",
        "-q tests None None None",
        "-q tests None None 2",
        "-q tests None None 4",
    ]
    assert ends == [f"==== kernels: {name}: all passed" for name in kernel_runs.RUNS]


def test_failures_are_named_and_do_not_stop_the_rest(monkeypatch, capfd):
    code, given, ends = shown("2 * (os.environ.get('TEST_THREADS') == '2')", monkeypatch, capfd)
    assert (code, len(given)) == (1, 5)
    assert [line for line in ends if "passed" not in line] == [
        "==== kernels: this processor's, 2 threads: failed, exit code 2"
    ]
