"""The scripts that lay out and check the downloaded sets."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common import cli
from common.media.image import read_image, write_image
from pvdnet import prepare
from tests.helpers.runs import dataset_script

ROOT = Path(__file__).parents[2]


dvd, nah = dataset_script("prepare_dvd"), dataset_script("prepare_nah")


def run(module, capsys, *argv):
    """Exit code and printed lines."""
    code = cli.run(module.main, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err
    return code, streams.out.splitlines(), streams.err


def picture(path, height=8, width=12, level=100):
    write_image(path, np.full((height, width, 3), level, np.uint8))
    return path


def video(folder, kinds, count, suffix, first=0):
    """Frames of one picture; links, so that whole sets cost little."""
    for kind in kinds:
        one = picture(folder.parent / f".one{suffix}")
        (folder / kind).mkdir(parents=True)
        for number in range(first, first + count):
            os.link(one, folder / kind / f"{number:06d}{suffix}")


@pytest.fixture
def official_nah(tmp_path):
    """GOPRO_Large as it comes out of its archive, published lengths and all."""
    source = tmp_path / "download" / "GOPRO_Large"
    for name, count in nah.TRAIN.items():
        video(source / "train" / name, ("blur", "blur_gamma", "sharp"), count, ".png", first=47)
    for number, name in enumerate(nah.TEST):
        video(source / "test" / name, ("blur", "blur_gamma", "sharp"), 101, ".png", first=number)
    return source


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A DVD set of two training videos and a test video, which the check expects; returns its root."""
    splits = {"train": prepare.Split(2, 7, {}), "test": prepare.Split(1, None, {"IMG_0003": None})}
    monkeypatch.setattr(dvd, "DVD", dataclasses.replace(dvd.DVD, splits=splits))
    root = tmp_path / "sets.v1"
    for name, count in (("train_DVD/a", 3), ("train_DVD/b.c", 4), ("test_DVD/IMG_0003", 2)):
        for kind in ("input", "GT"):
            for number in range(count):
                picture(root / name / kind / f"{number:05d}.jpg")
    return root


def check(root, capsys, module=dvd, workers=2):
    code, lines, _ = run(module, capsys, "--check", "--root", root, "--workers", workers)
    assert code == (1 if len(lines) > 1 else 0)
    return lines[:-1], lines[-1]


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


def test_official_dvd_is_split_by_the_names_of_the_test_videos(tmp_path, capsys):
    source = tmp_path / "DeepVideoDeblurring_Dataset"
    for name in (*dvd.TEST, *(f"GOPR{number:04d}" for number in range(61))):
        video(source / "quantitative_datasets" / name, ("input", "GT"), 2, ".jpg")
    video(source / "qualitative_datasets" / "alley", ("input",), 2, ".jpg")
    root = tmp_path / "datasets"
    assert run(dvd, capsys, "--source", source, "--root", root)[0] == 0
    assert sorted(os.listdir(root / "test_DVD")) == sorted(dvd.TEST)
    assert len(os.listdir(root / "train_DVD")) == 61
    assert not (root / "train_DVD" / "alley").exists()
    assert check(root, capsys)[0] == [f"{root}/train_DVD: 122 frames, expected 5708"]


def test_repack_with_its_own_split_folders(tmp_path, capsys):
    video(tmp_path / "DVD" / "train_DVD" / "x", ("input", "GT"), 2, ".jpg")
    video(tmp_path / "DVD" / "test_DVD" / dvd.TEST[0], ("input", "GT"), 2, ".jpg")
    video(tmp_path / "nah" / "test_nah" / nah.TEST[0], ("blur_gamma", "sharp"), 2, ".png")
    assert run(dvd, capsys, "--source", tmp_path / "DVD", "--root", tmp_path)[0] == 0
    assert run(nah, capsys, "--source", tmp_path / "nah", "--root", tmp_path)[0] == 0
    for name in ("train_DVD/x/GT", f"test_DVD/{dvd.TEST[0]}/input", f"test_nah/{nah.TEST[0]}/sharp"):
        assert len(os.listdir(tmp_path / name)) == 2
    assert not (tmp_path / "train_nah").exists()


def test_nothing_is_overwritten(tmp_path, capsys):
    source, root = tmp_path / "new", tmp_path / "datasets"
    video(source / "x", ("input", "GT"), 1, ".jpg")
    video(source / "IMG_0003", ("input", "GT"), 1, ".jpg")
    picture(root / "test_DVD" / "mine.jpg")
    code, _, error = run(dvd, capsys, "--source", source, "--root", root)
    assert code == 2
    assert f"{root}/test_DVD is there already" in error
    assert not (root / "train_DVD").exists()
    assert os.listdir(root / "test_DVD") == ["mine.jpg"]


def test_other_disk_copies_and_a_failure_leaves_nothing(tmp_path, capsys, monkeypatch):
    source, root = tmp_path / "download", tmp_path / "datasets"
    video(source / "x", ("input", "GT"), 2, ".jpg")

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(prepare.os, "link", refuse)
    copies = []

    def copy_one(origin, target):
        if copies:
            raise OSError(28, "No space left on device")
        copies.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(prepare.shutil, "copy2", copy_one)
        code, _, error = run(dvd, capsys, "--source", source, "--root", root)
    assert (code, len(copies), os.listdir(root)) == (1, 1, [])
    assert "No space left" in error
    assert run(dvd, capsys, "--source", source, "--root", root)[0] == 0
    copied = root / "train_DVD/x/GT/000001.jpg"
    assert copied.read_bytes() == (source / "x/GT/000001.jpg").read_bytes()
    assert not copied.samefile(source / "x/GT/000001.jpg")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ((), "no such folder; unpack the download"),
        (("other/blur",), "found no video with input and GT"),
        (("x/input",), "holds input without GT"),
        (("1/x/input", "1/x/GT", "2/x/input", "2/x/GT"), "twice"),
    ],
)
def test_wrong_sources(tmp_path, capsys, made, message):
    for name in made:
        picture(tmp_path / "source" / name / "0.jpg")
    code, _, error = run(dvd, capsys, "--source", tmp_path / "source", "--root", tmp_path / "datasets")
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "datasets").exists()


# Checking


def test_a_whole_set_has_no_fault(small, capsys):
    assert check(small, capsys) == ([], f"DVD in {small}: complete, every frame readable")


def test_every_fault_is_listed(small, capsys):
    train, test = small / "train_DVD", small / "test_DVD"
    whole = (train / "a/input/00001.jpg").read_bytes()
    (train / "a/input/00001.jpg").write_bytes(whole[:-2])
    (train / "a/GT/00002.jpg").write_bytes(b"")
    picture(train / "b.c/input/00002.jpg", height=12)
    (train / "b.c/GT/00003.jpg").rename(train / "b.c/GT/00004.jpg")
    (test / "IMG_0003/GT/00001.jpg").unlink()
    faults, summary = check(small, capsys)
    assert faults == [
        f"{train}/b.c/input/00003.jpg: has no frame of this name in GT",
        f"{train}/b.c/GT/00004.jpg: has no frame of this name in input",
        f"{train}/a/input/00001.jpg is a truncated JPEG file; copy, download or extract it again",
        f"{train}/a/GT/00002.jpg is empty; copy, download or extract it again",
        f"{train}/b.c/input/00002.jpg: 12x12 pixels, expected 12x8 as the first frame of the video",
        f"{test}/IMG_0003/input/00001.jpg: has no frame of this name in GT",
    ]
    assert summary == f"DVD in {small}: 6 faults"
    assert check(small, capsys, workers=1)[0] == faults


def test_empty_and_missing_folders(small, capsys):
    for name in ("00000.jpg", "00001.jpg"):
        (small / "test_DVD/IMG_0003/input" / name).unlink()
    for path in (small / "train_DVD/a/GT").iterdir():
        path.unlink()
    (small / "train_DVD/a/GT").rmdir()
    faults, _ = check(small, capsys)
    assert faults == [
        f"{small}/train_DVD/a/GT: no such folder",
        f"{small}/test_DVD/IMG_0003/input: holds no frames",
    ]
    (small / "test_DVD").rename(small / "test")
    assert check(small, capsys)[0][-1] == f"{small}/test_DVD: no such folder"


def test_hidden_folders_do_not_count_and_links_do(small, capsys):
    picture(small / "train_DVD/@eaDir/input/00000.jpg")
    picture(small / "train_DVD/.cache/input/00000.jpg")
    (small / "train_DVD/a").rename(small / "elsewhere")
    (small / "train_DVD/a").symlink_to(small / "elsewhere")
    assert check(small, capsys)[0] == []


def test_synthetic_sets_are_asked_for_what_they_say_themselves(tmp_path, capsys):
    make = [sys.executable, ROOT / "datasets/make_synthetic.py", "--root", tmp_path, "--layout", "nah", "--workers", 1]
    size = ["--clips", 2, "--test_clips", 1, "--frames", 2, "--size", "32x32"]
    subprocess.run([*map(str, make), *map(str, size)], check=True, capture_output=True)
    assert check(tmp_path, capsys, nah)[0] == []
    for kind in ("blur_gamma", "sharp"):
        (tmp_path / "train_nah/video_0001" / kind / "000001.png").unlink()
    assert check(tmp_path, capsys, nah)[0] == [f"{tmp_path}/train_nah: 3 frames, expected 4"]
    (tmp_path / "test_nah/.synthetic").write_text("{")
    assert "test_nah/.synthetic: damaged" in check(tmp_path, capsys, nah)[0][1]


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


# Command line


@pytest.mark.parametrize("module", [dvd, nah])
def test_without_a_flag_it_tells_what_to_download(module, capsys):
    code, lines, _ = run(module, capsys)
    text = "\n".join(lines)
    assert code == 0
    assert "https://www.dropbox.com/s/" in text
    assert "--source DOWNLOAD" in text
    assert not any(left in text for left in ("{script}", "{root}", "{tests}", "{{"))
    for split in module.DVD.splits.values() if module is dvd else module.NAH.splits.values():
        assert f"{split.videos} videos" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--chek"], "did you mean --check?"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--workers", "two"], "invalid int value: 'two'"),
    ],
)
@pytest.mark.parametrize("module", [dvd, nah])
def test_usage_errors(module, capsys, argv, message):
    code, lines, error = run(module, capsys, *argv)
    assert (code, lines, len(error.splitlines())) == (2, [], 1)
    assert message in error


@pytest.mark.parametrize("name", ["prepare_dvd", "prepare_nah"])
def test_as_a_script_from_another_folder(tmp_path, name):
    command = [sys.executable, str(ROOT / "datasets" / f"{name}.py"), "--check"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert result.stdout.splitlines()[0] == f"datasets/train_{name[8:].replace('dvd', 'DVD')}: no such folder"
