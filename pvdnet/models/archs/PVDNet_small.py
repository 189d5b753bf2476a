"""PVDNet_small: our own reduction for a few minutes of training on a CPU; no published weights."""

from pvdnet.models.archs import PVDNet


class Network(PVDNet.Network):
    def __init__(self, PV_channels: int):
        super().__init__(PV_channels, width=24, deep_width=48, num_blocks=4)
