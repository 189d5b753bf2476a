"""The networks that `python -m common.bench` measures."""

from tdan.model import TDAN, WINDOW


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    The offsets are random, as the authors start: at zero offsets the sampling would read memory in order.
    """
    shapes = [(1, WINDOW, 3, height, width)]
    return {
        "TDAN": (lambda: TDAN(init="authors"), shapes),
        "TDAN_2018": (lambda: TDAN(border="tdan", init="authors"), shapes),
    }
