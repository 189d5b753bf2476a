"""Image files: what is read, what is refused, what an interrupted write leaves."""

import os
import struct

import cv2
import numpy as np
import pytest

from common.media import image as module
from common.media.image import as_levels, crop_to_multiple, list_frames, read_image, to_uint8, write_image


@pytest.fixture
def picture():
    y, x = np.mgrid[:33, :47]
    return np.stack((4 * y, 3 * x, y + x), -1).astype(np.uint8)


def encode(path, image, *flags):
    """Write what OpenCV makes of an array (BGR, any type and channels)."""
    path.write_bytes(cv2.imencode(path.suffix, image, list(flags))[1].tobytes())
    return path


@pytest.mark.parametrize("name", ["a.png", "a.ppm", "A.PNG", "кадр 帧é.png", "dotted.name.1.png"])
def test_lossless_round_trip(tmp_path, picture, name):
    path = tmp_path / "новая folder" / name
    write_image(path, picture)
    again = read_image(path)
    assert again.dtype == np.uint8
    assert np.array_equal(again, picture)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


def test_jpeg_quality(tmp_path, picture):
    errors, sizes = [], []
    for quality in (20, 100):
        write_image(tmp_path / "a.jpg", picture, quality=quality)
        errors.append(np.abs(read_image(tmp_path / "a.jpg").astype(int) - picture).mean())
        sizes.append((tmp_path / "a.jpg").stat().st_size)
    assert errors[1] < errors[0] < 6
    assert sizes[0] < sizes[1]


def test_grey_alpha_and_palette(tmp_path, picture):
    grey = picture[..., 1]
    for suffix in (".png", ".jpg", ".pgm"):
        read = read_image(encode(tmp_path / f"grey{suffix}", grey))
        assert read.shape == (33, 47, 3)
        assert (read == read[..., :1]).all()
        if suffix != ".jpg":
            assert np.array_equal(read[..., 0], grey)
    alpha = np.dstack((picture[..., ::-1], 255 - grey))  # half transparent: must not be blended
    assert np.array_equal(read_image(encode(tmp_path / "alpha.png", alpha)), picture)
    bilevel = (grey > 60).astype(np.uint8) * 255
    assert np.array_equal(
        read_image(encode(tmp_path / "bit.png", bilevel, cv2.IMWRITE_PNG_BILEVEL, 1))[..., 2], bilevel
    )


def test_16_bit_is_scaled(tmp_path, picture):
    wide = picture[..., ::-1].astype(np.uint16) * 257
    assert np.array_equal(read_image(encode(tmp_path / "wide.png", wide)), picture)
    ramp = np.arange(0, 65536, 32, dtype=np.uint16).reshape(32, 64)
    expected = np.floor(ramp / 257 + 0.5)
    assert np.array_equal(read_image(encode(tmp_path / "ramp.png", ramp))[..., 0], expected)


def with_exif(jpeg: bytes, payload: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def test_exif_orientation_is_ignored(tmp_path, picture):
    write_image(tmp_path / "a.jpg", picture)
    plain = (tmp_path / "a.jpg").read_bytes()
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"  # turn by 90
    (tmp_path / "turned.jpg").write_bytes(with_exif(plain, tag))
    flags = cv2.IMREAD_COLOR
    assert cv2.imdecode(np.fromfile(tmp_path / "turned.jpg", np.uint8), flags).shape == (47, 33, 3)  # the tag is good
    assert np.array_equal(read_image(tmp_path / "turned.jpg"), read_image(tmp_path / "a.jpg"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".ppm", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path, suffix, kept, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = encode(tmp_path / f"cut{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ValueError, match="cut") as error:
        read_image(path)
    assert "\n" not in str(error.value)


def test_thumbnail_does_not_hide_truncation(tmp_path, picture):
    write_image(tmp_path / "a.jpg", picture)
    plain = (tmp_path / "a.jpg").read_bytes()
    data = with_exif(plain, b"Exif\0\0" + plain)  # a whole JPEG, with its end marker, in the header
    (tmp_path / "whole.jpg").write_bytes(data + b"\0" * 40)  # padding behind the end is common
    assert np.array_equal(read_image(tmp_path / "whole.jpg"), read_image(tmp_path / "a.jpg"))
    (tmp_path / "cut.jpg").write_bytes(data[:-100])
    with pytest.raises(ValueError, match=r"cut\.jpg is a truncated JPEG"):
        read_image(tmp_path / "cut.jpg")


def test_damaged_png(tmp_path, picture):
    path = tmp_path / "a.png"
    write_image(path, picture)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.png is a damaged PNG"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello world, I am text", "not a readable image"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"P6\nx", "PPM"),
    ],
)
def test_no_images(tmp_path, content, message):
    path = tmp_path / "frame.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_image(path)
    assert str(path) in str(error.value)


def test_missing_folder_and_float_tiff(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.*No such file"):
        read_image(tmp_path / "nowhere" / "a.png")
    with pytest.raises(ValueError, match="cannot read"):
        read_image(tmp_path)
    with pytest.raises(ValueError, match="float32"):
        read_image(encode(tmp_path / "float.tif", np.ones((4, 4, 3), np.float32)))


@pytest.mark.parametrize(
    ("name", "bad"),
    [("a.gif", np.zeros((2, 2, 3), np.uint8)), ("a.png", np.zeros((2, 2, 3))), ("a.png", np.zeros((2, 2), np.uint8))],
)
def test_write_refuses(tmp_path, name, bad):
    with pytest.raises(ValueError, match="cannot write"):
        write_image(tmp_path / name, bad)
    assert not list(tmp_path.iterdir())


def test_interrupted_write_leaves_the_old_file(tmp_path, picture, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, picture)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_image(path, picture[::-1])
    monkeypatch.undo()
    assert np.array_equal(read_image(path), picture)
    assert os.listdir(tmp_path) == ["a.png"]


def test_to_uint8():
    values = np.array([-1, 0, 0.499 / 255, 0.5 / 255, 1.5 / 255, 254.5 / 255, 1, 7, np.inf, -np.inf])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 2, 255, 255, 255, 255, 0]
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(levels.astype(np.float32) / 255), levels)
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="float"):
        to_uint8(levels)


def test_list_frames(tmp_path):
    for name in ("10.png", "2.png", "frame_3.jpg", "1.PNG", ".hidden.png", "Thumbs.db", "notes.txt", "._2.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_frames(tmp_path)] == ["1.PNG", "2.png", "10.png", "frame_3.jpg"]
    with pytest.raises(ValueError, match=r"no folder .*missing"):
        list_frames(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert list_frames(tmp_path / "empty") == []


def test_crop_to_multiple(picture):
    cropped = crop_to_multiple(picture, 4)
    assert cropped.shape == (32, 44, 3)
    assert np.array_equal(cropped, picture[:32, :44])
    assert crop_to_multiple(picture[..., 0], 1).shape == (33, 47)
    with pytest.raises(ValueError, match="smaller"):
        crop_to_multiple(picture[:3], 4)


def test_sixteen_bits_stay_where_they_are_asked_for(tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (5, 6, 3)).astype(np.uint16)
    write_image(tmp_path / "deep.png", levels)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png", deep=True), levels)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), np.round(levels / 257))
    with pytest.raises(ValueError, match="uint16"):
        write_image(tmp_path / "deep.jpg", levels)


def test_levels_of_eight_bits_are_levels_of_sixteen_and_back():
    levels = np.arange(256, dtype=np.uint8)
    assert as_levels(levels, np.uint16)[[0, 1, 255]].tolist() == [0, 257, 65535]
    np.testing.assert_array_equal(as_levels(as_levels(levels, np.uint16), np.uint8), levels)
    assert as_levels(np.array([128, 129], np.uint16), np.uint8).tolist() == [0, 1]
