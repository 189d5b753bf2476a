"""The first signal is a wish, the second Ctrl-C stops at once; workers leave both to the main process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.stop_request import StopRequest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_work_goes_on(number):
    before = [signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest() as stop:
        assert stop.signal is None
        signal.raise_signal(number)
        assert stop.signal == number
        signal.raise_signal(signal.SIGTERM)  # schedulers send it again and again
        assert stop.signal == signal.SIGTERM
    assert [signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_ctrl_c_stops_at_once(first):
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_leaves_signals_to_the_main_process(number):
    script = f"import os\nfrom common.stop_request import start_worker\nstart_worker(0)\nos.kill(os.getpid(), {number})"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
