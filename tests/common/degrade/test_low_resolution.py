"""Which degradation made a low-resolution frame."""

import numpy as np
import pytest

from common.degrade.low_resolution import SHIFTED, TITLES, compare, identify, make_low
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import downsample_bd, downsample_bi
from common.media.image import list_frames, read_image, to_uint8
from common.sets.synthetic_scene import Scene


@pytest.fixture(scope="module")
def truth():
    return to_uint8(Scene(3, 66, 97).render(0))


MAKE = {
    "bi": lambda truth: imresize(truth[:64, :96] / 255, scale=1 / 4),
    "bi_uint8": lambda truth: imresize(truth[:64, :96], scale=1 / 4, rounding="per-axis"),
    "bd": lambda truth: downsample_bd(truth, kind="bd"),
    "duf": lambda truth: downsample_bd(truth, kind="duf"),
    "sof": lambda truth: downsample_bd(truth, kind="sof"),
}


@pytest.mark.parametrize("name", MAKE)
def test_each_degradation_is_found_and_named(truth, name):
    made = MAKE[name](truth)
    low = made if made.dtype == np.uint8 else to_uint8(np.clip(made, 0, 1))
    found = identify(low, truth)
    assert (found.name, found.share, found.largest, found.mean, found.fits) == (name, 0, 0, 0, True)
    assert np.array_equal(low, make_low(truth, name))
    assert str(found).startswith(f"{TITLES[name]}: equal")
    assert str(found).endswith("networks trained for bd lose dBs on it") == (name in SHIFTED)
    others = {other: compare(low, truth, other) for other in TITLES if other != name}
    assert all(other.share > 0 for other in others.values())
    # Another rounding or border is the same degradation, the rest is not.
    alike = {"bi": {"bi_uint8"}, "bi_uint8": {"bi"}, "duf": {"sof"}, "sof": {"duf"}, "bd": set()}[name]
    assert {other for other, match in others.items() if match.fits} == alike


def test_numbers_are_of_the_differences(truth):
    low = make_low(truth, "bd")
    low[:2, :3, 0] += 2
    found = identify(low, truth)
    assert (found.name, found.share, found.largest) == ("bd", 6 / low.size, 2)
    assert found.mean == pytest.approx(12 / low.size)
    assert str(found) == f"{TITLES['bd']}: {100 * 6 / low.size:.3g} % of the values differ, by 2 levels at most"
    assert str(identify(make_low(truth, "bd") + np.eye(16, 24, dtype=np.uint8)[..., None], truth)).endswith(
        "1 level at most"
    )


def test_frames_that_nothing_known_made(truth):
    moved = np.roll(make_low(truth, "bi"), 1, axis=1)
    for low in (moved, truth[:64:4, :96:4], 255 - make_low(truth, "bi")):
        found = identify(low, truth)
        assert not found.fits
        assert str(found).startswith("no known degradation: the nearest, ")
        assert str(found).endswith(f" is {found.mean:.1f} levels away on average")


def test_of_equally_near_ones_the_first_counts(truth):
    plain = np.full((32, 32, 3), 90, np.uint8)
    low = plain[::4, ::4]
    assert identify(low, plain).name == "bi"
    assert identify(low, plain, first=("duf", "bd")).name == "duf"
    assert identify(make_low(truth, "bd"), truth, first=("duf",)).name == "bd"


@pytest.mark.parametrize(("scale", "name"), [(2, "bi"), (2, "duf"), (3, "bi_uint8")])
def test_other_scales(truth, scale, name):
    assert identify(make_low(truth, name, scale=scale), truth, scale=scale, first=("bd",)).name == name


def test_bi_of_any_scale(truth):
    assert identify(downsample_bi(truth, scale=5), truth, scale=5).name == "bi"


def test_frames_that_do_not_belong_together(truth):
    low = make_low(truth, "bi")
    with pytest.raises(ValueError, match=r"of 23x16 pixels, but 24x16 was expected: 1/4 of 97x66$"):
        identify(low[:, 1:], truth)
    with pytest.raises(ValueError, match="expected uint8 frames, got float64 and uint8"):
        identify(low / 255, truth)
    with pytest.raises(ValueError, match="unknown degradation 'bicubic': expected one of bi, bi_uint8"):
        make_low(truth, "bicubic")


def test_frames_of_the_authors_are_bi_rounded_once(real_data):
    lows = list_frames(real_data / "Vid4/BIx4/calendar_tdan")
    truths = list_frames(real_data / "Vid4/GT/calendar")
    assert len(lows) == 5
    for low, truth in zip(map(read_image, lows), map(read_image, truths[:5]), strict=True):
        assert compare(low, truth, "bi").share == 0
        other = compare(low, truth, "bi_uint8")
        assert 0.08 < other.share < 0.12
        assert other.largest <= 9
    assert str(identify(low, truth)) == "BI, rounded once: equal"
    assert not compare(low, truth, "bd").fits
