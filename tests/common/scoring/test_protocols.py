"""Published ways to score frames between frames: equal views told from others."""

from dataclasses import replace

from common.scoring.protocols import INTERPOLATION


def test_protocols_share_a_view_if_the_network_sees_the_same():
    one = INTERPOLATION["ifrnet"]
    assert replace(one, name="x", metrics=("IE",), ssim="wang", peak=255.0, averaging="samples").view == one.view
    for change in ({"crop": 512}, {"position": "random"}, {"padding": "canvas"}, {"scale": 0.8}):
        assert replace(one, **change).view != one.view
