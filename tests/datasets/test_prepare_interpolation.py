"""The script that checks the test sets of frame interpolation and decodes Adobe240."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from common import cli
from common.media.image import list_frames, read_image, write_image
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from common.stop_request import StopRequest
from ifrnet.sets import ADOBE240, GOPRO, SNU_FILM, find_samples, missing_part
from tests.helpers.runs import dataset_script

SCRIPT = Path(__file__).parents[2] / "datasets/prepare_interpolation.py"


script = dataset_script("prepare_interpolation")
WHOLE = dict(script.SETS)


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    """Sets whose frames are of one size expect 16x16, so that whole ones cost little."""
    for name in ("ucf101", "gopro"):
        monkeypatch.setitem(script.SETS, name, dataclasses.replace(WHOLE[name], size=(16, 16)))


def run(capsys, *argv):
    """Exit code, printed lines, errors."""
    code = cli.run(script.main, [str(argument) for argument in argv])
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err
    return code, streams.out.splitlines(), streams.err


@pytest.fixture
def check(tmp_path, capsys):
    """Check a set in tmp_path: lines without the summary, and the summary."""

    def look(name):
        code, lines, error = run(capsys, "--set", name, "--root", tmp_path, "--check", "--workers", 2)
        assert code == (0 if lines[-1].endswith("complete, every file readable") else 1), error
        return lines[:-1], lines[-1]

    return look


def picture(path, width=16, height=16):
    write_image(path, np.full((height, width, 3), sum(map(ord, path.name)) % 256, np.uint8))
    return path


def links(one, paths):
    """Many files of one picture, so that whole sets cost little."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(one, path)


def cut(path):
    """Truncate a file, but not those that are linked to it."""
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-5])


def ucf101(root):
    folder = root / "ucf101_interp_ours"
    names = ("frame_00", "frame_01_gt", "frame_02")
    links(picture(root / "one.png"), [folder / f"{n}/{name}.png" for n in range(1, 380) for name in names])
    return folder


def snu_film(root):
    """Lists with the folder of their author; each level takes frames that are farther apart."""
    folder, frames = root / "SNU-FILM", "test/GOPRO_test/GOPR0384_11_00"
    links(picture(root / "one.png", 64, 36), [folder / frames / f"{n:06d}.png" for n in range(330)])
    for level, step in (("easy", 1), ("medium", 2), ("hard", 4), ("extreme", 8)):
        numbers = [(n, n + step, n + 2 * step) for n in range(310)]
        lines = [" ".join(f"data/SNU-FILM/{frames}/{n:06d}.png" for n in three) for three in numbers]
        (folder / f"test-{level}.txt").write_text("\n".join(lines) + "\n")
    return folder


def middlebury(root):
    folder = root / "Middlebury"
    for name, size in script.MIDDLEBURY_SIZES.items():
        truth = picture(folder / f"other-gt-interp/{name}/frame10i11.png", *size)
        links(truth, [folder / f"other-data/{name}/frame{n}.png" for n in (10, 11)])
    picture(folder / "other-data/Army/frame10.png")  # scenes without truth come with the archive
    return folder


def gopro(root):
    """Whole videos of 9 frames in place of the hundreds of the published ones."""
    folder, one = root / "GOPRO_Large_all", picture(root / "one.png")
    for split, names in GOPRO.items():
        links(one, [folder / split / name / f"{n:06d}.png" for name in names for n in range(1, 10)])
    return folder


@pytest.mark.parametrize("make", [ucf101, snu_film, middlebury, gopro], ids=lambda make: make.__name__)
def test_a_whole_set_is_complete(make, tmp_path, check, monkeypatch):
    monkeypatch.setattr(script, "GOPRO_FRAMES", 33 * 9)
    folder = make(tmp_path)
    assert check(make.__name__) == ([], f"{folder}: complete, every file readable")
    for data in SNU_FILM if make is snu_film else (make.__name__,):
        assert missing_part(data, find_samples(tmp_path, data, "test")) == ""


def test_published_numbers():
    assert len(script.MIDDLEBURY_SIZES) == 12
    assert [WHOLE[name].size for name in ("ucf101", "gopro")] == [(256, 256), (1280, 720)]
    assert script.SETS["ucf101"].counts == {"folders": 379}
    assert sum(script.SETS["snu_film"].counts.values()) == 4 * 310
    nah = dataset_script("prepare_nah")
    assert (tuple(nah.TRAIN), nah.TEST) == (GOPRO["train"], GOPRO["test"])
    averaged = sum(int(name.split("_")[1]) * count for name, count in nah.TRAIN.items())
    assert {name.split("_")[1] for name in nah.TEST} == {"11"}
    assert script.GOPRO_FRAMES == averaged + 11 * 1111


def test_faults_of_ucf101(tmp_path, check):
    folder = ucf101(tmp_path)
    for name in ("frame_00.png", "frame_01_gt.png", "frame_02.png"):
        (folder / "379" / name).unlink()
    (folder / "379").rmdir()
    cut(folder / "1/frame_01_gt.png")
    (folder / "2/frame_02.png").unlink()
    (folder / "3/frame_00.png").unlink()
    picture(folder / "3/frame_00.png", 32, 24)
    lines, summary = check("ucf101")
    assert lines == [
        f"{folder}: 378 folders, expected 379",
        f"{folder}/1/frame_01_gt.png is a truncated PNG file; copy, download or extract it again",
        f"cannot read {folder}/2/frame_02.png: No such file or directory; check the path and its permissions",
        f"{folder}/3/frame_00.png: 32x24 pixels, expected 16x16; get it again",
    ]
    assert summary == f"{folder}: 4 faults"


def test_faults_of_snu_film(tmp_path, check):
    folder = snu_film(tmp_path)
    frames = folder / "test/GOPRO_test/GOPR0384_11_00"
    (frames / "000005.png").unlink()  # in triplets of all lists, but one fault
    (frames / "000000.png").unlink()
    picture(frames / "000000.png", 64, 34)
    short = (folder / "test-hard.txt").read_text().splitlines()[1:]
    (folder / "test-hard.txt").write_text("\n".join(short))
    (folder / "test-extreme.txt").write_text("a.png b.png c.png\n")
    (folder / "test-easy.txt").unlink()
    lines, _ = check("snu_film")
    assert lines[0].startswith(f"{folder}/test-easy.txt: no such file; expected the list")
    assert lines[1].startswith(f"{folder}/test-extreme.txt: line 'a.png b.png c.png': expected three paths")
    assert lines[2] == f"{folder}: 309 hard triplets, expected 310"
    assert lines[3] == f"{frames}/000002.png: 64x36 pixels, expected 64x34; get it again"
    assert f"cannot read {frames}/000005.png: No such file" in lines[-1]
    assert len(lines) == 6  # 000004.png is of the first triplet, too


def test_faults_of_middlebury(tmp_path, check):
    folder = middlebury(tmp_path).rename(tmp_path / "Middlebury_other")
    (folder / "other-gt-interp/Venus/frame10i11.png").unlink()
    (folder / "other-data/Urban2/frame11.png").unlink()
    (folder / "other-data/Walking/frame10.png").unlink()
    picture(folder / "other-data/Walking/frame10.png", 420, 380)
    lines, _ = check("middlebury")
    assert lines[0] == f"{folder}: Venus/frame10i11.png is missing"
    assert lines[1].startswith(f"cannot read {folder}/other-data/Urban2/frame11.png")
    assert lines[2:] == [f"{folder}/other-data/Walking/frame10.png: 420x380 pixels, expected 640x480; get it again"]


def test_faults_of_gopro(tmp_path, check, monkeypatch):
    folder = gopro(tmp_path)
    assert check("gopro")[0] == [f"{folder}: 297 frames, expected 34874 or more, which GOPRO_Large is made of"]
    monkeypatch.setattr(script, "GOPRO_FRAMES", 0)
    (folder / "train/GOPR0384_11_04/000009.png").unlink()
    (folder / "test/GOPR0384_11_05").rename(folder / "test/GOPR9999_11_05")
    gap = folder / "test/GOPR0871_11_00"
    (gap / "000004.png").rename(gap / "000010.png")
    cut(gap / "000010.png")
    assert check("gopro")[0] == [
        f"{folder}: train video GOPR0384_11_04 is missing or has less than 9 frames",
        f"{folder}: test video GOPR0384_11_05 is missing or has less than 9 frames",
        f"{gap}/000005.png: follows 000003.png; get what is missing between them",
        f"{gap}/000010.png is a truncated PNG file; copy, download or extract it again",
    ]


def test_gopro_in_one_folder_and_synthetic(tmp_path, check, monkeypatch):
    monkeypatch.setattr(script, "GOPRO_FRAMES", 0)
    folder = gopro(tmp_path)
    for video in folder.glob("*/*"):
        video.rename(folder / video.name)
    assert check("gopro")[0] == []
    for split, count in (("train", 2), ("test", 1)):
        for n in range(count):
            for t in range(1, 10):
                picture(tmp_path / f"made/GOPRO_Large_all/{split}/GOPR{n:04d}_11_00/{t:06d}.png", 48, 32)
    folder.rename(tmp_path / "real")
    (tmp_path / "made/GOPRO_Large_all").rename(folder)
    told = {"clips": {"train": 2, "test": 1}, "frames": 9, "size": "48x32"}
    (folder / ".synthetic").write_text(json.dumps(told))
    assert check("gopro") == ([], f"{folder}: complete, every file readable")
    (folder / ".synthetic").write_text(json.dumps(told | {"frames": 10, "clips": {"train": 3, "test": 1}}))
    assert check("gopro")[0] == [f"{folder}: 2 train videos, expected 3", f"{folder}: 27 frames, expected 40"]


@pytest.mark.parametrize("name", script.SETS)
def test_an_empty_or_missing_folder_is_not_complete(name, tmp_path, check):
    folder = tmp_path / script.SETS[name].folder
    assert check(name) == ([], f"{folder}: no such folder; see what to download without --check")
    folder.mkdir()
    assert check(name)[0]


@pytest.mark.parametrize("name", script.SETS)
def test_instructions_name_the_folder_and_the_command(name, tmp_path, capsys):
    code, lines, _ = run(capsys, "--set", name, "--data_root", tmp_path)
    text = "\n".join(lines)
    assert code == 0
    assert f"{tmp_path}/{script.SETS[name].folder}" in text
    assert f"python datasets/prepare_interpolation.py --set {name} --root {tmp_path} --check" in text
    assert not any(left in text for left in ("{script}", "{root}", "{tests}", "{{"))
    assert "See the page for" in text or "The page states" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--set", "vid4"], "invalid choice"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--set", "adobe240", "--source", ".", "--workers", "0"], "--workers 0: expected 1 or more"),
        (["--sorce", "x"], "did you mean --source?"),
        (["--source", "x"], "only adobe240 is decoded"),
        (["--set", "adobe240", "--all"], "--all is for --source"),
        (["--set", "adobe240", "--source", "x"], "--source x: no such folder"),
    ],
)
def test_usage_errors_are_one_line(argv, message, capsys):
    code, lines, error = run(capsys, *argv)
    assert (code, lines, len(error.splitlines())) == (2, [], 1)
    assert message in error


# Decoding


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of three short videos: two of the test, one that is not."""
    folder = tmp_path_factory.mktemp("videos")
    for name, count in (("a/IMG_0015.mov", 10), ("a/GOPR9635.mp4", 9), ("b/IMG_0001.mp4", 3)):
        (folder / name).parent.mkdir(exist_ok=True)
        with open_writer(folder / name, frame_rate=240) as writer:
            for n in range(count):
                writer.write(np.full((32, 48, 3), 20 * n, np.uint8))
    (folder / "b/IMG_0015.txt").write_text("no video")
    return folder


def decode(capsys, videos, root, *more):
    return run(capsys, "--set", "adobe240", "--source", videos, "--root", root, "--workers", 2, *more)


def test_decoding_takes_the_test_videos(videos, tmp_path, capsys, check):
    folder = tmp_path / "Adobe240"
    code, lines, _ = decode(capsys, videos, tmp_path)
    absent = [name for name in ADOBE240 if name not in ("IMG_0015", "GOPR9635")]
    assert (code, lines[0]) == (1, f"{folder}: 2 videos, 19 frames, 19 of them new")
    assert lines[1:] == [f"{videos}: holds no video {name}" for name in absent]
    assert [path.name for path in list_frames(folder / "GOPR9635")] == [f"{n:05d}.png" for n in range(9)]
    frames = list(open_clip(videos / "a/IMG_0015.mov"))
    assert all(np.array_equal(read_image(folder / f"IMG_0015/{n:05d}.png"), frames[n]) for n in range(10))
    assert [sample.name for sample in find_samples(tmp_path, "adobe240", "test")] == ["GOPR9635/0000", "IMG_0015/0000"]
    assert check("adobe240")[0] == [
        f"{folder}: test video {name} is missing or has less than 9 frames" for name in absent
    ]


def test_decoding_all_goes_on_and_overwrites_nothing(videos, tmp_path, capsys):
    folder = tmp_path / "Adobe240"
    assert decode(capsys, videos, tmp_path, "--all")[:2] == (0, [f"{folder}: 3 videos, 22 frames, 22 of them new"])
    (folder / "IMG_0001/00001.png").unlink()
    kept = (folder / "IMG_0001/00002.png").stat().st_mtime_ns
    assert decode(capsys, videos, tmp_path, "--all")[1] == [f"{folder}: 3 videos, 22 frames, 1 of them new"]
    assert (folder / "IMG_0001/00002.png").stat().st_mtime_ns == kept
    (folder / "IMG_0001/00000.png").unlink()
    theirs = (folder / "IMG_0001/00002.png").read_bytes()
    write_image(folder / "IMG_0001/00001.png", np.zeros((32, 48, 3), np.uint8))
    code, _, error = decode(capsys, videos, tmp_path, "--all")
    assert code == 1
    assert f"{folder}/IMG_0001/00001.png is there with other pixels than frame 1 of" in error
    assert (folder / "IMG_0001/00002.png").read_bytes() == theirs


def test_frames_that_are_none_of_the_video(videos, tmp_path, capsys):
    other = picture(tmp_path / "Adobe240/IMG_0001/frame_7.png", 48, 32)
    code, _, error = decode(capsys, videos, tmp_path, "--all")
    assert code == 1
    assert f"{other} is no frame of {videos}/b/IMG_0001.mp4: move" in error
    assert list_frames(other.parent) == [other]
    other = other.rename(other.with_name("00003.png"))
    assert (
        f"{other} is no frame of {videos}/b/IMG_0001.mp4, which has 3: move"
        in decode(capsys, videos, tmp_path, "--all")[2]
    )


def test_a_signal_ends_within_a_video(videos, tmp_path, capsys, monkeypatch):
    write, folder = script.write_image, tmp_path / "Adobe240"

    def stop_at_the_third(path, image):
        write(path, image)
        if path.name == "00002.png":
            request.signal = 15

    with StopRequest() as request:
        monkeypatch.setattr(script, "write_image", stop_at_the_third)
        assert script.decode_video(videos / "a/IMG_0015.mov", folder / "IMG_0015", request) is None
    assert len(list_frames(folder / "IMG_0015")) == 3
    monkeypatch.setattr(script, "write_image", write)
    monkeypatch.setattr(script, "decode_video", lambda path, folder, stop: setattr(stop, "signal", 2))
    code, lines, _ = decode(capsys, videos, tmp_path)
    assert (code, lines) == (130, [f"{folder}: stopped, 2 of 2 videos left; the same command goes on"])


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        (("IMG_0001.mp4",), (), "found no video of the test (720p_240fps_1, GOPR9635"),
        (("IMG_0015.txt",), ("--all",), "found no video; expected files ending in .mp4 .mov"),
        (("1/IMG_0015.mp4", "2/IMG_0015.MOV"), (), "IMG_0015 is in"),
    ],
)
def test_wrong_sources(names, flags, message, tmp_path, capsys):
    for name in names:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(b"")
    code, _, error = decode(capsys, tmp_path / "source", tmp_path, *flags)
    assert (code, len(error.splitlines())) == (2, 1)
    assert message in error
    assert not (tmp_path / "Adobe240").exists()
