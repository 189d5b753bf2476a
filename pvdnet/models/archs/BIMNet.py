"""BIMNet: LiteFlowNet trained with the blur-invariant loss (5,381,969 parameters); see `common/ops/liteflownet.py`."""
