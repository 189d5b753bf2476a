"""BIMNet alone with the blur-invariant loss: the paper's first stage, whose settings were never published.

Optimiser, sampler and schedule are those of PVDNet. `BIMNet_ckpt` may name LiteFlowNet weights to start from.
"""

from pvdnet.config import Config

config = Config(network="BIMNet", trainer="trainer_BIMNet", fix_BIMNet=False, BIMNet_ckpt="")
