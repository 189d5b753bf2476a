"""PVDNet_large: the same network with 192 channels and 24 blocks at quarter size (17,979,811 parameters)."""

from pvdnet.models.archs import PVDNet


class Network(PVDNet.Network):
    def __init__(self, PV_channels: int):
        super().__init__(PV_channels, deep_width=192, num_blocks=24)
