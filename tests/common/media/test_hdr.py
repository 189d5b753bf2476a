"""Display and light of HDR come through an encoder and back."""

import pytest

from common.media import hdr
from common.media.hdr import Hdr
from common.media.video_reader import open_clip
from tests.helpers.clips import write_video
from tests.helpers.deep_clips import first_frame, write_ramp

MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdr") / "in.mkv"
    params = f"log-level=none:master-display={MASTER}:max-cll=1000,400"
    return open_clip(write_ramp(path, codec="libx265", **{"x265-params": params}), deep=True)


def test_what_is_told_is_read(clip):
    assert clip.hdr.chromaticities == pytest.approx((0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329))
    assert clip.hdr.luminance == pytest.approx((0.005, 1000))
    assert clip.hdr.light == (1000, 400)
    assert clip.hdr.options("libx265") == f"master-display={MASTER}:max-cll=1000,400"


@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_an_encoder_tells_it_again(clip, tmp_path, codec):
    path = write_video(tmp_path / "out.mkv", list(clip), frame_rate=25, like=clip, codec=codec)
    frame = first_frame(path)
    assert frame.format.name == "yuv420p10le"
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 9, 16)
    told = hdr.told(frame)
    assert told.chromaticities == pytest.approx(clip.hdr.chromaticities, abs=1e-4)
    assert told.luminance == pytest.approx(clip.hdr.luminance, rel=0.02)  # AV1 has steps of 1/16384
    assert told.light == (1000, 400)


def test_what_has_no_place_for_it_says_so(clip, tmp_path, caplog):
    path = write_video(tmp_path / "out.mkv", list(clip), frame_rate=25, like=clip, codec="ffv1")
    assert "not taken over: display and light of HDR" in caplog.text
    assert hdr.told(first_frame(path)) is None


def test_a_part_may_be_told():
    assert Hdr(light=(600, 0)).options("libx264") == "cll=600,0"
    assert Hdr(luminance=(0.01, 600)).options("libx264") == ""
