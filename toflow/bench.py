"""The networks that `python -m common.bench` measures."""

from toflow.model import FORMS, TOFlow

ROWS = ("mmagic_vfi", "paper_interp_mask", "pytoflow_denoise", "official_sr")


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width."""
    return {name: (lambda name=name: TOFlow(FORMS[name]), [(1, FORMS[name].frames, 3, height, width)]) for name in ROWS}
