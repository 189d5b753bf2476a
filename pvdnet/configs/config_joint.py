"""BIMNet and PVDNet trained together, as an early version of the published code did."""

from pvdnet.config import Config

config = Config(fix_BIMNet=False, BIMNet_ckpt="", LRS="LD")
