"""The script that writes procedural clips: the same bytes for any number of workers, nothing overwritten unasked."""

import json
import os
import sys
from pathlib import Path

import pytest

from common.media.image import write_image
from tests.helpers.folders import tree
from tests.helpers.pictures import picture
from tests.helpers.runs import attempt, dataset_script, make_clips

SCRIPT = Path(__file__).parents[2] / "datasets" / "make_synthetic.py"
script = dataset_script("make_synthetic")


def make(root, *options):
    return attempt([SCRIPT, "--root", root, *options])


def test_sets_of_whole_clips_have_about_as_many_frames_as_the_real_ones(monkeypatch):
    """SPMCS has 31, Vid4 from 34 on; clips of one's own are long enough for two windows of five;
    drawn ones for a window of seven."""
    for layout, frames in (("spmcs", 31), ("clips", 9), ("vid4", 40), ("drawn", 7)):
        monkeypatch.setattr(sys, "argv", ["make_synthetic", "--layout", layout])
        options = script.parse()
        assert [clip.frames for clip in script.clips_of(layout, ("test",), options)] == [frames] * 2
        monkeypatch.setattr(sys, "argv", ["make_synthetic", "--layout", layout, "--frames", "6"])
        assert script.clips_of(layout, ("test",), script.parse())[0].frames == 6


def test_triplets_made_before_they_had_flow_are_not_taken_for_complete(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "vimeo_triplet", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    assert make(root, *options).returncode == 0
    before, marker = tree(root), root / "vimeo_triplet/.synthetic"
    old = json.loads(marker.read_text())
    assert old.pop("flow") == "exact"
    for path in root.rglob("*.flo"):
        path.unlink()
        old["files"] -= 1
    marker.write_text(json.dumps(old))
    refused = make(root, *options)
    assert refused.returncode == 2
    assert "made with other parameters (flow missing): --force replaces it" in refused.stderr
    assert make(root, *options, "--force").returncode == 0
    assert tree(root) == before


def test_same_bytes_for_any_number_of_workers(tmp_path):
    make_clips(tmp_path / "one", "DVD", "--clips", 2, "--test_clips", 1, "--frames", 3)
    root = tmp_path / "datasets"
    result = make(
        root, "--layout", "DVD", "--clips", 2, "--test_clips", 1, "--frames", 3, "--size", "64x48", "--workers", 2
    )
    assert result.returncode == 0, result.stderr
    assert "clips/s" in result.stdout
    made = tree(root)
    assert made == tree(tmp_path / "one")
    assert len(made) == 20
    assert sorted(os.listdir(root)) == ["test_DVD", "train_DVD"]  # nothing temporary is left


def test_never_overwrites_what_it_did_not_make(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "chairs", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    (root / "FlyingChairs").mkdir(parents=True)
    (root / "FlyingChairs" / "real.ppm").write_bytes(b"real")
    for force in ((), ("--force",)):
        result = make(root, *options, *force)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert "was not made by this script" in result.stderr
    assert tree(root) == {"FlyingChairs/real.ppm": b"real"}


def test_repeats_nothing_and_replaces_only_when_forced(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "chairs", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    assert make(root, *options).returncode == 0
    before = tree(root)
    again = make(root, *options)
    assert again.returncode == 0
    assert "is there already" in again.stdout

    other = make(root, *options, "--seed", 1)
    assert other.returncode == 2
    assert "made with other parameters (seed 0)" in other.stderr
    assert other.stderr.count("\n") == 1
    assert tree(root) == before

    (root / "FlyingChairs/data/00001_flow.flo").unlink()
    broken = make(root, *options)
    assert broken.returncode == 2
    assert "lost some" in broken.stderr
    assert make(root, *options, "--force").returncode == 0
    assert tree(root) == before

    assert make(root, *options, "--seed", 1, "--force").returncode == 0
    after = tree(root)
    assert json.loads(after["FlyingChairs/.synthetic"])["seed"] == 1
    assert after["FlyingChairs/data/00001_img1.ppm"] != before["FlyingChairs/data/00001_img1.ppm"]


def test_marker_tells_photographs_and_blur(tmp_path):
    for number in range(2):
        write_image(tmp_path / f"photos/{number}.jpg", picture(120, 160, seed=number))
    root, textures = tmp_path / "datasets", ("--textures", tmp_path / "photos", "--textures_share", 1)
    options = ("--layout", "drawn", "--clips", 1, "--test_clips", 1, "--frames", 3, "--size", "32x32", "--blur")
    assert make(root, *options, *textures, "--workers", 1).returncode == 0
    before = tree(root)
    marker = json.loads(before["drawn/.synthetic"])
    assert len(marker["textures"]) == 16
    assert marker["textures_share"] == 1
    assert marker["blur"] is True
    assert {f"drawn/test/video_0000{kind}.npy" for kind in ("", "_flow", "_blur")} <= before.keys()
    assert "is there already" in make(root, *options, *textures).stdout

    without = make(root, *options, "--workers", 1)
    assert without.returncode == 2
    assert f"(textures {marker['textures']}, textures_share 1.0): --force" in without.stderr
    write_image(tmp_path / "photos/2.jpg", picture(120, 160, seed=2))
    other = make(root, *options, *textures, "--workers", 1)
    assert "was made with other parameters (textures " in other.stderr
    assert make(root, *options, *textures, "--workers", 1, "--force").returncode == 0
    assert tree(root) != before
    (tmp_path / "photos/2.jpg").unlink()
    assert make(root, *options, *textures, "--workers", 2, "--force").returncode == 0
    assert tree(root) == before  # by two processes what one made


@pytest.mark.parametrize(
    "options",
    [
        ("--size", "big"),
        ("--size", "63x48"),
        ("--clips", "0"),
        ("--frames", "0"),
        ("--layout", "none"),
        ("--sise", "64x48"),
        ("--blur",),
        ("--textures", "nowhere"),
        ("--textures_share", "1.5"),
    ],
)
def test_usage_errors_are_one_line(tmp_path, options):
    result = make(tmp_path / "datasets", *options)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "datasets").exists()
