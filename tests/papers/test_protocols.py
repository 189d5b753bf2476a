"""The papers' protocols: complete, and named as their tables name them."""

import importlib

import numpy as np
import pytest

from common.papers import PAPERS, ROOT
from common.scoring import protocols
from common.scoring.metrics import ssim

METRICS = {"PSNR", "SSIM", "MAE", "IE", "EPE", "px1", "px3", "px5", "Fl-all", "distance"}
OWN = [importlib.import_module(f"{paper}.protocols") for paper in PAPERS if (ROOT / paper / "protocols.py").is_file()]


@pytest.mark.parametrize("module", [protocols, *OWN], ids=lambda module: module.__name__)
def test_every_protocol_is_complete_and_under_its_name(module):
    tables = [table for name, table in vars(module).items() if name.isupper() and isinstance(table, dict)]
    tables = [table for table in tables if all(hasattr(value, "metrics") for value in table.values())]
    assert tables
    grey = np.full((16, 16, 3), 0.5)
    for name, protocol in (item for table in tables for item in table.items()):
        assert protocol.name == name
        assert protocol.source
        assert set(protocol.metrics) <= METRICS
        assert protocol.averaging in ("frames", "clips", "samples", "pixels", "images")
        if "SSIM" in protocol.metrics:
            assert ssim(grey, grey, kind=protocol.ssim, peak=protocol.peak) == pytest.approx(1)  # a kind that there is
