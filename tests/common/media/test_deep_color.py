"""More than 8 bits: the standards' formulas in float64, whatever the format; and from file to file no level is lost."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from common.media.deep_color import LUMA, bits, from_rgb, to_rgb
from common.media.image import write_image
from common.media.video_reader import MATRICES, open_clip
from tests.helpers.deep_clips import LEVELS, planes_of, with_planes, write_ramp

RGB = np.random.default_rng(0).integers(0, 65536, (48, 64, 3)).astype(np.uint16)
RGB[0, :3] = [[0, 0, 0], [65535, 65535, 65535], [65535, 0, 0]]


def formula(rgb, matrix, depth, full):
    """Y, Cb and Cr by ITU-T H.273, of RGB in [0, 1]."""
    kr, kb = LUMA[matrix]
    r, g, b = np.moveaxis(rgb, 2, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    pb, pr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full:
        most, half = 2**depth - 1, 2 ** (depth - 1)
        return most * y, most * pb + half, most * pr + half
    unit = 2 ** (depth - 8)
    return unit * (219 * y + 16), unit * (224 * pb + 128), unit * (224 * pr + 128)


def test_every_matrix_is_known():
    assert set(LUMA) == set(MATRICES)


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
def test_made_of_rgb_by_the_formula(matrix, depth):
    form = av.VideoFormat(f"yuv444p{depth}le" if depth > 8 else "yuv444p")
    frame = from_rgb(RGB, form, matrix, VideoReformatter())
    assert frame.format.name == form.name
    for found, exact in zip(planes_of(frame), formula(RGB / 65535, matrix, depth, False), strict=True):
        assert np.abs(found - exact).max() < 0.51  # rounded; 0.01 for float32


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["yuv444p10le", "yuv420p10le", "yuv422p12le", "p010le", "yuv444p16le"])
def test_made_to_rgb_by_the_formula(name, full):
    depth = bits(av.VideoFormat(name))
    y, cb, cr = (np.round(channel) for channel in formula(RGB / 65535, 9, depth, full))
    if "444" not in name:  # one colour, as chroma of halves is made up
        cb, cr = np.full_like(cb, 130 * 2 ** (depth - 8)), np.full_like(cr, 125 * 2 ** (depth - 8))
    y, cb, cr = (np.minimum(channel, 2**depth - 1) for channel in (y, cb, cr))
    frame = with_planes(name, y, cb, cr)
    frame.color_range = 2 if full else 1
    kr, kb = LUMA[9]
    zero, one = (formula(np.full((1, 1, 3), value), 9, depth, full)[0].item() for value in (0, 1))
    scale = (one - zero) * (1 if full else 224 / 219)
    luma, pb, pr = (y - zero) / (one - zero), (cb - 2 ** (depth - 1)) / scale, (cr - 2 ** (depth - 1)) / scale
    red, blue = luma + 2 * (1 - kr) * pr, luma + 2 * (1 - kb) * pb
    exact = np.dstack((red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue))
    found = to_rgb(frame, 9, VideoReformatter()) / 65535
    assert np.abs(found - exact.clip(0, 1)).max() < 0.52 / 65535


@pytest.mark.parametrize("name", ["gbrp10le", "gbrp12be", "gbrp16be", "gbrap10le", "gbrap16le", "rgb48le", "rgba64le"])
def test_rgb_is_widened_and_narrowed(name):
    form = av.VideoFormat(name)
    most = 2 ** bits(form) - 1
    levels = np.round(RGB / 65535 * most)  # that the format has
    frame = from_rgb(np.round(levels / most * 65535).astype(np.uint16), form, 9, VideoReformatter())
    found = to_rgb(frame, 9, VideoReformatter())
    np.testing.assert_array_equal(np.round(found / 65535 * most), levels)
    assert found[0, 1].tolist() == [65535, 65535, 65535]


def test_grey_has_full_range():
    frame = with_planes("gray10le", np.arange(1024).reshape(16, 64))
    exact = np.round(np.arange(1024) / 1023 * 65535)
    np.testing.assert_array_equal(to_rgb(frame, 1, VideoReformatter())[..., 1].ravel(), exact)


def test_a_ramp_is_read_with_all_its_levels(tmp_path):
    path = write_ramp(tmp_path / "ramp.mkv")
    clip = open_clip(path, deep=True)
    assert clip.dtype == np.uint16
    image = next(iter(clip))
    assert len(np.unique(image[..., 1])) == len(LEVELS)
    np.testing.assert_array_equal(image[..., 0], image[..., 2])  # grey


@pytest.mark.parametrize("order", [("8.png", "16.png", "16.png"), ("16.png", "8.png", "16.png")])
def test_of_a_folder_the_first_image_tells_the_bits_and_what_is_lost_is_told_once(tmp_path, caplog, order):
    levels = {"8.png": (RGB // 257).astype(np.uint8), "16.png": RGB}
    for number, kind in enumerate(order):
        write_image(tmp_path / f"{number}.png", levels[kind])
    clip = open_clip(tmp_path, deep=True)
    list(clip)
    images = list(clip)
    if order[0] == "16.png":
        assert np.array_equal(images[2], RGB)
        assert np.array_equal(images[1], levels["8.png"].astype(np.uint16) * 257)
        assert not caplog.messages
    else:
        assert np.array_equal(images[1], np.round(RGB / 257).astype(np.uint8))
        assert len(caplog.messages) == 1
        assert caplog.messages[0].endswith("1.png: its 16 bits a channel become 8, which the first image has")


def test_where_eight_bits_are_asked_for_a_folder_says_so_once(tmp_path, caplog):
    for number in range(2):
        write_image(tmp_path / f"{number}.png", RGB)
    assert all(np.array_equal(image, np.round(RGB / 257).astype(np.uint8)) for image in open_clip(tmp_path))
    assert caplog.messages == [f"{tmp_path}: its 16 bits a channel become 8"]
