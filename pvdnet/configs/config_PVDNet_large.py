"""PVDNet_large as published: the recipe of PVDNet with the larger network."""

from pvdnet.config import Config

config = Config(network="PVDNet_large")
