"""BIMNet: LiteFlowNet trained with the blur-invariant loss (5,381,969 parameters); see `common/liteflownet.py`."""

from common.liteflownet import LiteFlowNet as Network  # noqa: F401
