"""PVDNet's sets on disk: what they list, and what broken ones end in."""

import cv2
import numpy as np
import pytest

from common.degrade.motion_blur import blur_clip
from common.media.image import write_image
from pvdnet.sets import SUBFOLDERS, find_videos, read_pair
from tests.helpers.blurry_videos import frame, make_video


def one_video(root):
    return find_videos(root, "nah", "train")[0]


# What is listed


@pytest.mark.parametrize(("data", "split"), [("DVD", "train"), ("DVD", "test"), ("nah", "train"), ("nah", "test")])
def test_layouts(tmp_path, data, split):
    suffix = ".jpg" if data == "DVD" else ".png"
    for name in ("v2", "v10", "group/v1", "take.2.of.3"):
        make_video(tmp_path / f"{split}_{data}" / name, data, 2, suffix)
    videos = find_videos(tmp_path, data, split)
    assert [video.name for video in videos] == ["group/v1", "take.2.of.3", "v10", "v2"]
    for video in videos:
        assert [path.name for path in video.blurry] == [f"000000{suffix}", f"000001{suffix}"]
        assert [path.name for path in video.sharp] == [path.name for path in video.blurry]
        assert {path.parent.name for path in video.blurry} == {SUBFOLDERS[data][0]}
        assert {path.parent.name for path in video.sharp} == {SUBFOLDERS[data][1]}


def test_random_has_no_truth(tmp_path):
    for name in ("x/0.png", "x/1.png", "y.z/sub/7.jpg"):
        write_image(tmp_path / "random" / name, frame(0))
    videos = find_videos(tmp_path, "random", "test")
    assert [(video.name, len(video), video.sharp) for video in videos] == [("x", 2, ()), ("y.z/sub", 1, ())]


@pytest.mark.parametrize("data_root", ["./datasets", "datasets", "../here/datasets", "./data.sets/v1.0"])
def test_relative_roots(tmp_path, monkeypatch, data_root):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    make_video(tmp_path / "here" / data_root / "train_nah" / "a")
    videos = find_videos(data_root, "nah", "train")
    assert [(video.name, len(video)) for video in videos] == [("a", 5)]
    assert read_pair(videos[0], 0)[0].shape == (36, 40, 3)


def test_hidden_folders_and_files_are_ignored(root):
    set_folder = root / "train_nah"
    make_video(set_folder / "@eaDir" / "a")
    make_video(set_folder / ".Trash" / "a")
    make_video(set_folder / "a" / "@eaDir")
    for name in (".hidden.png", "Thumbs.db", "notes.txt"):
        (set_folder / "a" / "blur_gamma" / name).write_text("no frame")
    assert [(video.name, len(video)) for video in find_videos(root, "nah", "train")] == [("a", 5), ("b", 7)]


def test_hidden_parent_folders_do_not_matter(tmp_path):
    make_video(tmp_path / ".data" / "@nas" / "train_nah" / "a")
    assert len(find_videos(tmp_path / ".data" / "@nas", "nah", "train")) == 1


def test_linked_videos_are_found(root, tmp_path):
    (tmp_path / "train_nah" / "b").rename(tmp_path / "elsewhere")
    (tmp_path / "train_nah" / "b").symlink_to(tmp_path / "elsewhere")
    assert [video.name for video in find_videos(root, "nah", "train")] == ["a", "b"]


def test_pairs_may_differ_in_suffix(root):
    for path in (root / "train_nah/a/sharp").iterdir():
        write_image(path.with_suffix(".jpg"), frame(0))
        path.unlink()
    assert {path.suffix for path in one_video(root).sharp} == {".jpg"}


# What a listing refuses


def remove(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda a: remove(a / "blur_gamma"), "blur_gamma: holds no frames"),
        (lambda a: remove(a / "sharp"), "frame 000000 is not in both blur_gamma and sharp (5 such frames)"),
        (lambda a: (a / "sharp").rename(a / "truth"), "sharp: no such folder, but"),
        (lambda a: (a / "sharp/000002.png").unlink(), "frame 000002 is not in both"),
        (lambda a: (a / "blur_gamma/000004.png").unlink(), "frame 000004 is not in both"),
        (lambda a: (a / "sharp/000003.png").rename(a / "sharp/000003b.png"), "(2 such frames)"),
    ],
)
def test_unpaired_frames(root, harm, message):
    harm(root / "train_nah" / "a")
    with pytest.raises(ValueError, match="train_nah/a") as error:
        find_videos(root, "nah", "train")
    assert message in str(error.value)


def test_missing_and_empty_sets(tmp_path):
    with pytest.raises(
        ValueError, match=r"train_DVD: no such folder; set --data_root, .*make_synthetic.py --layout DVD"
    ):
        find_videos(tmp_path, "DVD", "train")
    (tmp_path / "train_DVD" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"train_DVD: holds no video; expected <video>/\{input,GT\}"):
        find_videos(tmp_path, "DVD", "train")
    (tmp_path / "random").mkdir()
    write_image(tmp_path / "random" / "loose.png", frame(0))
    with pytest.raises(ValueError, match=r"random: holds no video; expected <video>/\*"):
        find_videos(tmp_path, "random", "test")


@pytest.fixture
def clips(tmp_path):
    """Clips that move by three pixels a frame: one with a blurry twin, one without; and one without in a set alone."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8), (0, 0), 2)
    frames = np.stack([noise[:, 3 * t : 3 * t + 48] for t in range(5)])
    for folder in ("free/train", "free/test", "real"):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "a.npy", frames)
    np.save(tmp_path / "free/train/b.npy", frames)
    np.save(tmp_path / "free/train/b_blur.npy", frames[::-1])
    return tmp_path


def test_clips_with_blurry_twins_are_videos(clips):
    (video,) = find_videos(clips, "free", "train")
    assert (video.name, len(video), video.made) == ("b", 5, False)
    blurry, sharp = read_pair(video, 1)
    assert np.array_equal(sharp, np.load(clips / "free/train/b.npy")[1])
    assert np.array_equal(blurry, np.load(clips / "free/train/b.npy")[3])
    (clips / "free/train/b_blur.npy").unlink()
    with pytest.raises(ValueError, match=r"holds no clip of 2 frames or more with <clip>_blur\.npy"):
        find_videos(clips, "free", "train")
    with pytest.raises(ValueError, match="is for testing"):
        find_videos(clips, "real", "train")


def test_without_twins_blur_is_made_for_testing(clips):
    for data in ("real", "free"):
        (video,) = find_videos(clips, data, "test")
        made = blur_clip(list(np.load(clips / "real/a.npy")), 1.0)
        for index in (3, 0):
            blurry, sharp = read_pair(video, index)
            assert np.array_equal(sharp, np.load(clips / "real/a.npy")[index])
            assert np.array_equal(blurry, made[index])
        assert np.abs(blurry.astype(float) - sharp).mean() > 1
