"""TDAN's data sets as they lie on disk: which clips there are, which frames count, what is missing."""

import shutil

import numpy as np
import pytest

from tdan.sets import DEGRADATIONS, LAYOUTS, SETS, TRAINING_SETS, data_set, find_clips


@pytest.fixture
def root(tmp_path):
    """Clips a and b of six frames in every set of folders; nothing opens them."""
    for place in ("clips/train", "clips/test", "Vid4/GT", "SPMCS/HR"):
        for clip in "ba":
            frames(tmp_path / place / clip, 6)
    return tmp_path


def frames(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").touch()


def test_every_set_has_both_degradations_and_a_layout():
    for data in SETS.values():
        assert data.degradation in DEGRADATIONS
        assert data.folder in LAYOUTS
    assert TRAINING_SETS == ("vimeo_bi", "vimeo_bd")


@pytest.mark.parametrize("degradation", DEGRADATIONS)
def test_septuplets_have_one_middle_frame(clips, degradation):
    train, test = (find_clips(clips, f"vimeo_{degradation}", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    for clip in (*train, *test):
        assert (clip.middles, clip.lows, clip.degradation, len(clip.truths)) == ((3,), (), degradation, 7)
        assert all(path.is_file() for path in clip.truths)


def test_ends_of_clips_are_scored_and_not_trained_on(root):
    train, test = (find_clips(root, "clips_bi", split) for split in ("train", "test"))
    assert [(clip.name, clip.middles) for clip in train] == [("a", (2, 3)), ("b", (2, 3))]
    assert [clip.middles for clip in test] == [tuple(range(6))] * 2
    assert [clip.middles for clip in find_clips(root, "spmcs_bd", "test")] == [tuple(range(6))] * 2


def test_clips_of_any_kind(root):
    """Arrays, and the folders GT and BIx4."""
    assert (data_set("clips_mine_bd").folder, data_set("clips_mine_bd").degradation) == ("clips_mine", "bd")
    (root / "clips_mine/train").mkdir(parents=True)
    for name, count in (("long", 6), ("short", 4), ("long_blur", 6)):
        np.save(root / f"clips_mine/train/{name}.npy", np.zeros((count, 8, 8, 3), np.uint8))
    (clip,) = find_clips(root, "clips_mine_bd", "train")
    assert (clip.name, clip.middles, clip.lows, clip.degradation) == ("long", (2, 3), (), "bd")
    assert clip.truths[5] == root / "clips_mine/train/long.npy/00000005"
    for kind in ("GT", "BIx4"):
        frames(root / f"clips_mine/test/{kind}/a", 6)
    for prepared in (False, True):
        (clip,) = find_clips(root, "clips_mine_bi", "test", prepared=prepared)
        assert (clip.name, len(clip.middles), len(clip.lows)) == ("a", 6, 6 * prepared)
    assert len(find_clips(root, "real_bi", "test")) == 8  # in the repository
    with pytest.raises(ValueError, match="real is for testing"):
        find_clips(root, "real_bi", "train")


def test_files_of_low_frames_are_taken_where_they_are(root):
    frames(root / "Vid4/BIx4/a", 6)
    with_files, without = find_clips(root, "vid4_bi", "test")
    assert [path.name for path in with_files.lows] == [f"{number}.png" for number in range(6)]
    assert without.lows == ()
    assert all(clip.lows == () for clip in find_clips(root, "vid4_bd", "test"))
    assert all(clip.lows == () for clip in find_clips(root, "vid4_bi", "test", scale=2))
    with pytest.raises(ValueError, match=r"no folder .*BIx4.b"):
        find_clips(root, "vid4_bi", "test", prepared=True)


def test_what_is_missing_is_named(root, clips):
    for data, split, more, line in (
        ("vid4_bi", "train", {}, "vid4_bi is for testing: train on one of vimeo_bi"),
        ("vimeo_bd", "train", {}, "vimeo_septuplet: no such folder; .*make_synthetic.py --layout vimeo_septuplet"),
        ("vid4_bd", "test", {"prepared": True}, "expected folders GT and BDx4; make them, or leave out --prepared"),
        ("clips_bi", "train", {"prepared": True}, "expected folders GT and BIx4"),
    ):
        with pytest.raises(ValueError, match=line):
            find_clips(root, data, split, **more)
    with pytest.raises(ValueError, match=r"BDx4: no such folder; make it .*--degrade BDx4\), or leave out --prepared"):
        find_clips(clips, "vimeo_bd", "train", prepared=True)
    frames(root / "Vid4/BIx4/b", 4)
    with pytest.raises(ValueError, match="b: 4 frames; expected 6 as in"):
        find_clips(root, "vid4_bi", "test")
    frames(root / "SPMCS/HR/c", 4)
    with pytest.raises(ValueError, match="c: 4 frames; expected 5 or more"):
        find_clips(root, "spmcs_bi", "test")
    shutil.rmtree(root / "clips/train")
    with pytest.raises(ValueError, match="train: holds no clip of 5 frames or more"):
        find_clips(root, "clips_bi", "train")
