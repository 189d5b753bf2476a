"""A signal that has arrived for certain."""

import os
import signal
import time


def stop_with(number: int) -> None:
    """Send this process a signal from a thread of it, and wait until its `StopRequest` has taken note of it.

    Args:
        number: a signal that it handles.
    """
    stop, end = signal.getsignal(number).__self__, time.monotonic() + 60
    os.kill(os.getpid(), number)
    while stop.signal is None:  # only the main thread runs handlers, and it may be late
        assert time.monotonic() < end, "the signal was not noted"
        time.sleep(0.01)
