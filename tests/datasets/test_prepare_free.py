"""The script of the free set: finished clips taken, originals fetched from a server, licences, what is never in it."""

import csv
import io

import cv2
import numpy as np
import pytest

from common import cli
from common.media.image import read_image, write_image
from common.media.video_reader import open_clip
from common.papers import ROOT
from datasets import prepare_free
from tests.helpers.sharp_clips import shot, write_video
from tests.helpers.web import ranged, reply

COLUMNS = "file,split,source,path,version,licence,author,first_frame,frames,native,part,width,height".split(",")


def line(file, path, *, source="github:some/repository", split="train", frames=12, first=0, **more):
    values = {"file": file, "split": split, "source": source, "path": path, "version": "abc123", "licence": "CC0",
              "author": "Somebody", "first_frame": first, "frames": frames, "native": "192x144", "part": "",
              "width": 96, "height": 72}  # fmt: skip
    return values | more


LINES = [
    line("train/pan_00.mp4", "videos/pan.mp4", first=2),
    line("train/pan_01.mp4", "videos/pan.mp4", first=14, width=96, height=40, part="upper"),
    line("train/other_00.mp4", "other.mp4", split="test"),
    line("photos/photo_000.jpg", "a photo.jpg", split="", frames=1, native="120x90", width=60, height=45),
    line("photos/photo_001.jpg", "usr/share/p.jpg", source="debian:walls", split="", frames=1, native="120x90"),
]


@pytest.fixture
def listed(tmp_path):
    """The flag that names a list of five files."""
    path = tmp_path / "list.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(LINES)
    return "--list", path


@pytest.fixture
def run(capsys):
    def run(*argv):
        code = cli.run(prepare_free.main, list(map(str, argv)))
        out, error = capsys.readouterr()
        return code, out.splitlines(), error

    return run


@pytest.fixture
def finished(tmp_path):
    """A folder of finished clips and photographs, one clip for measuring among them."""
    folder = tmp_path / "finished"
    for seed, item in enumerate(LINES):
        width, height = item["width"], item["height"]
        if item["file"].startswith("photos/"):
            write_image(folder / item["file"], shot(seed, 1, height=height, width=width)[0])
        else:
            write_video(folder / item["file"], shot(seed, 12, height=height, width=width))
    write_video(folder / "bench/real_00.mp4", shot(9, 12))
    return folder


def tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_finished_clips_are_taken_as_they_are(run, listed, finished, tmp_path):
    root = tmp_path / "free"
    assert run("--root", root, *listed, "--source", finished, "--blur", "--check")[0] == 0
    names = {"clips.csv", "clips.json", "SOURCES.csv", "photos/photo_000.jpg", "photos/photo_001.jpg"}
    clips = {"train/pan_00", "train/pan_01", "test/other_00"}
    made = tree(root)
    assert {name.removesuffix(".npy") for name in made if not name.endswith("_blur.npy")} == names | clips
    assert np.array_equal(np.load(root / "train/pan_00.npy"), list(open_clip(finished / "train/pan_00.mp4")))
    assert made["photos/photo_000.jpg"] == (finished / "photos/photo_000.jpg").read_bytes()
    sources = list(csv.DictReader(io.StringIO(made["SOURCES.csv"].decode())))
    assert [(row["file"], row["licence"], row["author"]) for row in sources] == [
        (item["file"], "CC0", "Somebody") for item in LINES
    ]
    assert run("--root", root, *listed, "--source", finished, "--workers", 1)[0] == 0
    assert tree(root) == made
    code, _, error = run("--root", root, *listed, "--fetch")
    assert code == 2
    assert "clips of another kind (of finished clips)" in error


def test_what_is_missing_or_other_than_the_list_tells_is_named(run, listed, finished, tmp_path):
    (finished / "photos/photo_000.jpg").unlink()
    write_video(finished / "train/pan_00.mp4", shot(0, 11, height=72, width=96), overwrite=True)
    root = tmp_path / "free"
    code, lines, error = run("--root", root, *listed, "--source", finished)
    assert code == 1
    assert lines == [f"{root}: 2 clips; 2 files missing"]
    assert f"{finished}/photos/photo_000.jpg does not exist" in error
    assert "frames (11, 72, 96, 3), expected (12, 72, 96, 3)" in error
    code, lines, _ = run("--root", root, *listed, "--check")
    assert code == 1
    assert len(lines) == 3
    assert lines[0].endswith("pan_00 is missing")
    assert "photos/photo_000.jpg" in lines[1]


def test_originals_are_fetched_cut_and_reduced(run, listed, web, tmp_path):
    frames = shot(1, 26, height=144, width=192)
    video = write_video(tmp_path / "pan.mp4", frames, crf=0).read_bytes()
    photo = shot(3, 1, height=90, width=120)[0]
    _, encoded = cv2.imencode(".png", photo[..., ::-1])
    base = "/some/repository/abc123"
    web.url(f"{base}/videos/pan.mp4", reply(video, close_after=len(video) // 2), ranged(video))
    web.url(f"{base}/a%20photo.jpg", ranged(encoded.tobytes()))
    root, command = tmp_path / "free", ("--fetch", "--mirror", web.address, "--root", tmp_path / "free")
    code, lines, error = run(*command, *listed)
    assert code == 1
    assert lines == [f"{root}: 2 clips; 2 files missing"]
    assert "train/other_00.mp4: " in error
    assert "404" in error
    place = root / "originals/walls/abc123/usr/share/p.jpg"
    assert f"walls (debian) has no direct address: put its usr/share/p.jpg at {place}" in error
    decoded = list(open_clip(root / "originals/some/repository/abc123/videos/pan.mp4"))
    half = [frame.reshape(72, 2, 96, 2, 3).mean((1, 3)) for frame in decoded]
    assert np.abs(np.load(root / "train/pan_00.npy") - np.stack(half[2:14])).max() <= 0.5
    upper = np.stack(half[14:])[:, 8:48]  # of the 32 rows that are too many, a quarter is above
    assert np.abs(np.load(root / "train/pan_01.npy") - upper).max() <= 0.5
    assert read_image(root / "photos/photo_000.jpg").shape == (45, 60, 3)

    write_image(place, photo)
    other = write_video(tmp_path / "other.mp4", shot(2, 12, height=144, width=192)).read_bytes()
    web.url(f"{base}/other.mp4", ranged(other))
    asked = len(web.asked)
    assert run(*command, *listed, "--check")[:2] == (
        0,
        [f"{root}: 3 clips", f"{root}: complete: 3 clips, every file readable"],
    )
    assert [path for path, _ in web.asked[asked:]] == [f"{base}/other.mp4"]


def test_images_on_their_side_and_usage(run, listed, tmp_path):
    image = shot(0, 1, height=192, width=144)[0]
    assert prepare_free.reduced(image, line("x", "x")).shape == (96, 72, 3)
    for argv, message in (
        ((), "give --fetch, --source"),
        (("--fetch", "--source", "x"), "give the one"),
        (("--source", "nowhere"), "--source nowhere: no such folder"),
        (("--blur",), "holds no clips"),
        (("--blur", "--workers", "0"), "--workers 0: expected"),
    ):
        code, _, error = run(*argv, *listed, "--root", tmp_path / "set")
        assert code == 2
        assert message in error


# The list, and the clips in the repository


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_list_is_of_open_licences_and_splits_by_source():
    lines = table(prepare_free.LIST)
    assert len(lines) == 162
    clips = [item for item in lines if not prepare_free.is_photo(item)]
    assert len(clips) == 113
    assert len({(item["source"], item["path"], item["split"]) for item in clips}) == len(
        {(item["source"], item["path"]) for item in clips}
    )
    assert [item["split"] for item in clips].count("test") == 9
    for item in lines:
        assert item["licence"].startswith(("CC0", "CC BY ", "Apache-2.0", "MIT", "BSD", "Unsplash, early CC0")), item
        assert item["author"]
        assert item["source"].split(":")[0] in ("github", "debian")


def test_clips_in_the_repository_are_of_other_sources_than_those_of_training():
    real, free = table(ROOT / "datasets/real/SOURCES.csv"), table(prepare_free.LIST)
    assert sorted(row["file"] for row in real) == sorted(path.name for path in (ROOT / "datasets/real").glob("*.mp4"))
    assert len(real) == 8
    for row in real:
        assert open_clip(ROOT / "datasets/real" / row["file"]).num_frames == int(row["frames"])
    assert not {(row["source"], row["path"]) for row in real} & {(row["source"], row["path"]) for row in free}
    assert not [row["file"] for row in free if row["file"].startswith("bench/")]
