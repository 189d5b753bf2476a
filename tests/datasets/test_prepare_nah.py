"""The script for GoPro: the official archive, and blur made of the frames of 240 a second."""

import os

import numpy as np
import pytest

from common.media.image import read_image, write_image
from tests.helpers.deblurring_sets import check, dvd, nah, run, video


@pytest.fixture
def official_nah(tmp_path):
    """GOPRO_Large as it comes out of its archive, published lengths and all."""
    source = tmp_path / "download" / "GOPRO_Large"
    for name, count in nah.TRAIN.items():
        video(source / "train" / name, ("blur", "blur_gamma", "sharp"), count, ".png", first=47)
    for number, name in enumerate(nah.TEST):
        video(source / "test" / name, ("blur", "blur_gamma", "sharp"), 101, ".png", first=number)
    return source


# Laying out


def test_official_gopro(official_nah, tmp_path, capsys):
    root = tmp_path / "datasets"
    assert run(nah, capsys, "--source", official_nah, "--root", root)[0] == 0
    assert sorted(os.listdir(root)) == ["test_nah", "train_nah"]
    assert sorted(os.listdir(root / "train_nah")) == sorted(nah.TRAIN)
    assert sorted(os.listdir(root / "test_nah")) == sorted(nah.TEST)
    one = root / "train_nah" / "GOPR0372_07_00"
    assert sorted(os.listdir(one)) == ["blur_gamma", "sharp"]
    assert sorted(os.listdir(one / "sharp"))[0] == "000047.png"
    assert (one / "sharp/000047.png").samefile(official_nah / "train/GOPR0372_07_00/sharp/000047.png")
    assert check(root, capsys, nah) == ([], f"nah in {root}: complete, every frame readable")
    for kind in ("blur_gamma", "sharp"):
        (one / kind / "000050.png").unlink()
    (root / "test_nah" / nah.TEST[3]).rename(root / "test_nah" / "GOPR9999_11_00")
    assert check(root, capsys, nah)[0] == [
        f"{root}/train_nah: 2102 frames, expected 2103",
        f"{one}: 99 frames, expected 100",
        f"{root}/test_nah/{nah.TEST[3]}: missing",
    ]


def test_published_numbers_agree():
    assert (len(nah.TRAIN), sum(nah.TRAIN.values())) == (22, 2103)
    assert (len(set(nah.TEST)), nah.NAH.splits["test"].frames) == (11, 1111)
    assert not set(nah.TRAIN) & set(nah.TEST)
    assert len(set(dvd.TEST)) == 10
    assert (dvd.DVD.splits["train"].videos, dvd.DVD.splits["train"].frames) == (61, 5708)


# Making blur


def moving(path, level, height=8, width=12):
    """A frame of this level, the lower half of it black."""
    image = np.full((height, width, 3), level, np.uint8)
    image[height // 2 :] = 0
    write_image(path, image)


@pytest.fixture
def gopro_all(tmp_path):
    """Two windows of 7 frames and 3 frames more, a window of 11 in a flat folder, and what is no video of the set."""
    source = tmp_path / "download" / "GOPRO_Large_all"
    for number in range(323, 340):
        moving(source / f"train/GOPR0372_07_00/{number:06d}.png", number - 323)
    for number in range(1, 12):
        moving(source / f"{nah.TEST[1]}/{number:06d}.png", 20 * number)
    moving(source / "train/GOPR0372_07_01/000001.png", 0)  # too short
    moving(source / "GOPR9999_11_00/000001.png", 0)
    moving(source / "train/readme/000001.png", 0)
    return source


def test_blur_is_made_of_the_frames_of_240_a_second(gopro_all, tmp_path, capsys):
    root = tmp_path / "datasets"
    code, lines, _ = run(nah, capsys, "--make_blur", gopro_all, "--root", root, "--workers", 2)
    assert (code, lines) == (0, [f"nah in {root}: 3 blurry frames of 2 videos, 3 of them new"])
    made = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    first, second = "train_nah/GOPR0372_07_00", f"test_nah/{nah.TEST[1]}"
    expected = {first: ("000047", "000048"), second: ("000001",)}
    assert made == sorted(
        f"{video}/{kind}/{name}.png"
        for video, names in expected.items()
        for name in names
        for kind in ("blur_gamma", "sharp")
    )
    sharp = (root / first / "sharp/000047.png").read_bytes()
    assert sharp == (gopro_all / "train/GOPR0372_07_00/000326.png").read_bytes()
    light = np.mean([(20 * number / 255) ** 2.2 for number in range(1, 12)])
    blurry = read_image(root / second / "blur_gamma/000001.png")
    assert blurry[0, 0].tolist() == [round(255 * light ** (1 / 2.2))] * 3 != [120] * 3
    assert not blurry[4:].any()
    faults, _ = check(root, capsys, nah)
    assert f"{root}/{first}: 2 frames, expected 100" in faults
    assert "blur.json" not in str(faults)


def test_made_blur_goes_on_and_is_never_mixed(gopro_all, tmp_path, capsys):
    root = tmp_path / "datasets"
    run(nah, capsys, "--make_blur", gopro_all, "--root", root)
    (root / "train_nah/GOPR0372_07_00/blur_gamma/000048.png").unlink()
    kept = (root / "train_nah/GOPR0372_07_00/blur_gamma/000047.png").stat().st_mtime_ns
    code, lines, _ = run(nah, capsys, "--make_blur", gopro_all, "--root", root)
    assert (code, lines) == (0, [f"nah in {root}: 3 blurry frames of 2 videos, 1 of them new"])
    assert (root / "train_nah/GOPR0372_07_00/blur_gamma/000047.png").stat().st_mtime_ns == kept
    (root / "train_nah/blur.json").unlink()
    code, _, error = run(nah, capsys, "--make_blur", gopro_all, "--root", root)
    assert code == 2
    assert f"{root}/train_nah holds videos that were not made so" in error


@pytest.mark.parametrize(
    ("made", "flags", "message"),
    [
        ((), (), "no such folder; unpack GOPRO_Large_all.zip"),
        (("train/GOPR0372_07_00/sharp/000047.png",), (), "found no video of GoPro with enough frames"),
        (("1/GOPR0372_07_00/000001.png", "2/GOPR0372_07_00/000001.png"), (), "twice"),
        (("a/b.png",), ("--source", "x"), "--source and --make_blur"),
    ],
)
def test_wrong_sources_of_blur(tmp_path, capsys, made, flags, message):
    for name in made:
        moving(tmp_path / "source" / name, 0)
    code, _, error = run(nah, capsys, "--make_blur", tmp_path / "source", "--root", tmp_path / "datasets", *flags)
    assert (code, len(error.splitlines())) == (2, 1)
    assert message in error
    assert not (tmp_path / "datasets").exists()
