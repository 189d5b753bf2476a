"""The script that makes clips of any videos."""

import csv
import signal
import subprocess
import sys

import numpy as np
import pytest

from common import cli
from common.media.image import write_image
from common.papers import ROOT
from common.sets.clip_cutting import Reduction
from datasets import prepare_clips
from tests.helpers.sharp_clips import shot, write_video
from tests.helpers.stopping import stop_with


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Five sources: a cut, a still, a folder of frames, one without a clip, one that is cut off."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "cut.mp4", shot(1, 12) + shot(2, 14))
    write_video(folder / "still.mkv", shot(3, 12) + [shot(3, 12)[-1]] * 12 + shot(4, 11))
    write_video(folder / "deep/short.mp4", shot(5, 8))
    for number, frame in enumerate(shot(6, 10)):
        write_image(folder / f"frames/{number}.png", frame)
    whole = write_video(folder / "whole.mp4", shot(7, 12)).read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "broken.mp4").write_bytes(whole[:2000])
    return folder


@pytest.fixture
def run(capsys):
    def run(*argv):
        code = cli.run(prepare_clips.main, list(map(str, argv)))
        out, error = capsys.readouterr()
        return code, out.splitlines(), error

    return run


def tree(root):
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def manifest(root):
    with (root / "clips.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_clips_are_of_one_shot_and_sources_of_one_split(run, videos, tmp_path):
    root = tmp_path / "set"
    code, lines, error = run("--source", videos, "--root", root, "--licence", "CC0", "--test_share", 0.3, "--check")
    assert code == 1
    assert f"{videos}/broken.mp4: left out: " in error
    assert f"{videos}/deep/short.mp4: no clip in it" in error
    assert lines[-1] == f"{root}: no fault"
    rows = manifest(root)
    spans = sorted((row["source"], int(row["first_frame"]), int(row["last_frame"])) for row in rows)
    assert [name for name, *_ in spans] == ["cut.mp4", "cut.mp4", "frames", "still.mkv", "still.mkv"]
    assert spans[:3] == [("cut.mp4", 0, 11), ("cut.mp4", 12, 25), ("frames", 0, 9)]
    assert spans[3] == ("still.mkv", 0, 11)
    assert 17 <= spans[4][1] <= 24 <= spans[4][2] == 34
    splits = {(row["source"], row["split"]) for row in rows}
    assert len(splits) == 3
    assert {split for _, split in splits} == {"train", "test"}
    assert {row["licence"] for row in rows} == {"CC0"}
    (row,) = (row for row in rows if row["source"] == "frames")
    expected = [Reduction()(frame) for frame in shot(6, 10)]
    assert np.array_equal(np.load(root / row["split"] / f"{row['clip']}.npy"), expected)


def test_the_same_bytes_again_with_any_workers_and_after_a_stop(run, videos, tmp_path, monkeypatch):
    command = ("--source", videos / "frames", videos / "cut.mp4", videos / "still.mkv", "--blur", "--test_share", 0.3)
    assert run(*command, "--root", tmp_path / "one", "--workers", 1)[0] == 0
    assert run(*command, "--root", tmp_path / "two", "--workers", 3)[0] == 0
    one = tree(tmp_path / "one")
    assert any(name.endswith("_blur.npy") for name in one)
    assert tree(tmp_path / "two") == one

    root, write, stops = tmp_path / "three", prepare_clips.clip_files.write_array, []

    def interrupted(*arguments):
        write(*arguments)
        stops.append(arguments)
        if len(stops) == 1:
            stop_with(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_clips.clip_files, "write_array", interrupted)
        code, lines, _ = run(*command, "--root", root, "--workers", 1)
    assert code == 130
    assert lines[-1].startswith(f"{root}: stopped, ")
    assert len(stops) < 4  # of five clips
    (root / "train").mkdir(exist_ok=True)
    (root / "train/.0123.tmp").write_bytes(b"of a run that was killed")
    assert run(*command, "--root", root)[0] == 0
    assert tree(root) == one


def test_finished_sources_stay_and_damaged_ones_are_made_again(run, videos, tmp_path):
    command = ("--source", videos / "frames", videos / "cut.mp4", "--root", tmp_path)
    assert run(*command)[0] == 0
    before = tree(tmp_path)
    paths = sorted(tmp_path.glob("*/*.npy"))
    times = {path: path.stat().st_mtime_ns for path in paths}
    damaged = next(path for path in paths if path.name.startswith("cut"))
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert run(*command)[0] == 0
    assert tree(tmp_path) == before
    changed = {path.name[:3] for path in paths if path.stat().st_mtime_ns != times[path]}
    assert changed == {"cut"}


def test_more_sources_may_be_added_and_copies_are_left_out(run, videos, tmp_path):
    root, copy = tmp_path / "set", tmp_path / "copy.mp4"
    copy.write_bytes((videos / "cut.mp4").read_bytes())
    assert run("--source", videos / "cut.mp4", "--root", root)[0] == 0
    assert {row["split"] for row in manifest(root)} == {"train"} or len(manifest(root)) == 2
    code, lines, _ = run("--source", videos / "cut.mp4", copy, videos / "frames", "--root", root, "--check")
    assert code == 0
    assert any("has the same bytes as" in line for line in lines)
    assert {row["split"] for row in manifest(root)} == {"train", "test"}
    code, _, error = run("--source", videos / "cut.mp4", "--root", root)
    assert code == 2
    assert "holds clips of frames, which --source does not name" in error


def test_sets_of_other_parameters_are_not_mixed(run, videos, tmp_path):
    root = tmp_path / "set"
    assert run("--source", videos / "frames", "--root", root, "--size", "64x48")[0] == 0
    assert (manifest(root)[0]["width"], manifest(root)[0]["height"]) == ("64", "48")
    code, _, error = run("--source", videos / "frames", "--root", root, "--keep_size")
    assert code == 2
    assert "clips of another kind (size 64x48, keep_size False)" in error
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    code, _, error = run("--source", videos / "frames", "--root", tmp_path / "other")
    assert code == 2
    assert "files of unknown origin" in error


def test_kept_sizes_and_sizes_that_are_too_small(run, videos, tmp_path):
    assert run("--source", videos / "frames", "--root", tmp_path / "a", "--keep_size")[0] == 0
    assert (manifest(tmp_path / "a")[0]["width"], manifest(tmp_path / "a")[0]["height"]) == ("128", "96")
    code, _, error = run("--source", videos / "frames", "--root", tmp_path / "b", "--size", "640x360")
    assert code == 1
    assert "128x96 pixels are too small: expected at least 640x360" in error


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "give --source"),
        (("--source", "nowhere.mp4"), "--source nowhere.mp4: expected a video"),
        (("--source", "x", "--size", "big"), "--size big: expected"),
        (("--source", "x", "--size", "63x40"), "--size 63x40: expected even"),
        (("--source", "x", "--size", "64", "--keep_size"), "do not go together"),
        (("--source", "x", "--test_share", "1"), "--test_share 1: expected"),
        (("--source", "x", "--workers", "0"), "--workers 0: expected"),
        (("--blur",), "holds no clips: add --source"),
    ],
)
def test_usage_errors(run, tmp_path, argv, message):
    code, lines, error = run(*argv, "--root", tmp_path / "set")
    assert (code, lines, len(error.splitlines())) == (2, [], 1)
    assert message in error


def test_check_as_a_script_names_what_is_wrong(run, videos, tmp_path):
    assert run("--source", videos / "frames", "--root", tmp_path)[0] == 0
    (path,) = tmp_path.glob("*/*.npy")
    path.unlink()
    command = [sys.executable, str(ROOT / "datasets/prepare_clips.py"), "--check", "--root", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == f"{path}: missing\n{tmp_path}: 1 fault\n"
