"""PVDNet_small: our own reduction for a few minutes of training on a CPU; no published weights."""

from pvdnet.models.archs import PVDNet


class Network(PVDNet.Network):
    """A quarter of PVDNet's width, a third of its blocks."""

    def __init__(self, PV_channels: int):
        super().__init__(PV_channels, width=16, deep_width=48, num_blocks=4)
