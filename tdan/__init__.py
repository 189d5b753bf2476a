"""TDAN: Temporally-Deformable Alignment Network for Video Super-Resolution, CVPR 2020."""
