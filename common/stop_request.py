"""Stopping a training on SIGTERM or Ctrl-C between two steps, with everything saved."""

import signal


class StopRequest:
    """Turns the first SIGTERM or Ctrl-C into a wish to stop, `signal`; a second Ctrl-C stops at once.

    `timeout` and job schedulers send SIGTERM to the loader's workers too. From then on their death is no error: the
    step that goes on has its batch already.
    """

    def __enter__(self):
        self.signal = None
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number, _frame):
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where PyTorch's loader watches its workers

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def start_worker(_number: int) -> None:
    """Make a loader's worker leave Ctrl-C to the main process, and end on SIGTERM, by which that ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
