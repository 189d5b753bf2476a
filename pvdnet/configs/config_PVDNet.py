"""PVDNet as published: BIMNet fixed, 600,000 steps."""

from pvdnet.config import Config

config = Config()
