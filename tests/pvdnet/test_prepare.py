"""What the scripts for DVD and GoPro share: downloads laid out, a check of every frame, flags."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pvdnet import prepare
from tests.helpers.deblurring_sets import check, dvd, nah, picture, run, video

ROOT = Path(__file__).parents[2]


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


# Laying out


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
