"""Operators: warp, correlation, deformable convolution, LiteFlowNet, padding, tiles, precision, complexity."""
