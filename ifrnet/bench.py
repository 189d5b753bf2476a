"""The networks that `python -m common.bench` measures."""

from ifrnet.model import SIZES, IFRNet


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    `x8` is one pair with seven times, which share its encoder pass.
    """
    frames = [(1, 3, height, width)] * 2
    table = {size: (lambda size=size: IFRNet(size), [*frames, (1,)]) for size in SIZES}
    return table | {"IFRNet x8": (IFRNet, [*frames, (7,)])}
