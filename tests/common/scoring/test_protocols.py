"""Published ways to score: complete, named as their tables name them, and equal views told from others."""

from dataclasses import replace

import numpy as np
import pytest

from common.scoring.metrics import ssim
from common.scoring.protocols import FLOW, INTERPOLATION, PROTOCOLS, PVDNET_CODE, PVDNET_PAPER, TDAN, TOFLOW


def test_protocols():
    assert PROTOCOLS == {"pvdnet_code": PVDNET_CODE, "pvdnet_paper": PVDNET_PAPER}


@pytest.mark.parametrize("table", [PROTOCOLS, TOFLOW, TDAN, INTERPOLATION, FLOW])
def test_every_protocol_is_complete_and_under_its_name(table):
    grey = np.full((16, 16, 3), 0.5)
    for name, protocol in table.items():
        assert protocol.name == name
        assert protocol.source
        assert set(protocol.metrics) <= {"PSNR", "SSIM", "MAE", "IE", "EPE", "px1", "px3", "px5", "Fl-all", "distance"}
        assert protocol.averaging in ("frames", "clips", "samples", "pixels", "images")
        if "SSIM" in protocol.metrics:
            assert ssim(grey, grey, kind=protocol.ssim, peak=protocol.peak) == pytest.approx(1)  # a kind that there is


def test_protocols_share_a_view_if_the_network_sees_the_same():
    one = INTERPOLATION["ifrnet"]
    assert replace(one, name="x", metrics=("IE",), ssim="wang", peak=255.0, averaging="samples").view == one.view
    for change in ({"crop": 512}, {"position": "random"}, {"padding": "canvas"}, {"scale": 0.8}):
        assert replace(one, **change).view != one.view
