"""Stopping a training on SIGTERM or Ctrl-C between two steps, with everything saved."""

import signal


class StopRequest:
    """Turns the first SIGTERM or Ctrl-C into a wish to stop, `signal`; a second Ctrl-C stops at once."""

    def __enter__(self):
        self.signal = None
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number, _frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def start_worker(_number: int) -> None:
    """Make a loader's worker leave to the main process what `timeout`, job schedulers and terminals send to all.

    That has a step to end, for which it may need a batch; the worker ends when it is told to, or has lost it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
