"""The networks that `python -m common.bench` measures."""

from ifrnet.model import SIZES, IFRNet


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    `x8` is one pair with seven times, whose encoder pass they share.
    """
    frames = [(1, 3, height, width)] * 2
    table = {}
    for size in SIZES:
        build = lambda size=size: IFRNet(size)  # noqa: E731
        table[size] = (build, [*frames, (1,)])
        table[f"{size} x8"] = (build, [*frames, (7,)])
    return table
