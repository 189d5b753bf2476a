"""Sets of clips are found by their names; clips bring their flows and blurry twins."""

import cv2
import numpy as np
import pytest

from common.sets import clips
from common.sets.clips import clip_set, find_clips, is_clip_set


@pytest.fixture
def root(tmp_path):
    """A set `clips_mine` of a clip in each form, and one for testing."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / "clips_mine" / split).mkdir(parents=True)
    train = tmp_path / "clips_mine/train"
    np.save(train / "b.npy", rng.integers(0, 256, (5, 4, 6, 3), np.uint8))
    np.save(train / "b_flow.npy", rng.normal(0, 9, (5, 2, 4, 6, 2)).astype(np.float16))
    np.save(train / "b_blur.npy", rng.integers(0, 256, (5, 4, 6, 3), np.uint8))
    np.save(tmp_path / "clips_mine/test/c.npy", rng.integers(0, 256, (2, 4, 6, 3), np.uint8))
    (train / "a").mkdir()
    for number in range(3):
        cv2.imwrite(str(train / f"a/{number}.png"), np.zeros((4, 6, 3), np.uint8))
    return tmp_path


def test_clips_are_listed_in_order_with_what_lies_beside_them(root):
    first, second = find_clips(root, "clips_mine", "train")
    assert (first.name, len(first), first.flow, first.blur) == ("a", 3, None, None)
    assert (second.name, len(second)) == ("b", 5)
    assert second.flow.name == "b_flow.npy"
    assert second.blur.name == "b_blur.npy"
    assert [clip.name for clip in find_clips(root, "clips_mine", "test")] == ["c"]


def test_flows_lead_to_the_first_and_the_last_frame(root):
    clip = find_clips(root, "clips_mine", "train", twin="flow")[0]
    stored = np.load(clip.flow)
    for found, own in zip(clip.flows(3), stored[3], strict=True):
        assert found.dtype == np.float32
        assert np.array_equal(found, own.astype(np.float32))


def test_short_clips_and_those_without_a_twin_are_left_out(root):
    assert [clip.name for clip in find_clips(root, "clips_mine", "train", least=4)] == ["b"]
    assert [clip.name for clip in find_clips(root, "clips_mine", "train", twin="blur")] == ["b"]
    with pytest.raises(ValueError, match=r"holds no clip of 3 frames or more \(of 1\)"):
        find_clips(root, "clips_mine", "test", least=3)
    with pytest.raises(ValueError, match=r"holds no clip with <clip>_flow.npy"):
        find_clips(root, "clips_mine", "test", twin="flow")


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("clips_b", "prepare_clips.py --source VIDEOS --root datasets/clips_b"),
        ("free", "prepare_free.py"),
        ("drawn", "make_synthetic.py --layout drawn"),
    ],
)
def test_a_missing_set_is_told_with_the_command_that_makes_it(root, name, script):
    with pytest.raises(ValueError, match=f"no such folder; make it: python datasets/{script}"):
        find_clips(root, name, "train")


def test_a_flat_folder_is_for_testing(root, monkeypatch):
    flat = root / "elsewhere"
    flat.mkdir()
    np.save(flat / "x.npy", np.zeros((3, 4, 4, 3), np.uint8))
    monkeypatch.setattr(clips, "REAL", flat)
    assert [clip.name for clip in find_clips(root, "real", "test")] == ["x"]
    with pytest.raises(ValueError, match="is for testing"):
        find_clips(root, "real", "train")


def test_names():
    assert [is_clip_set(name) for name in ("clips", "clips_mine_2", "real", "drawn_b")] == [True] * 4
    assert [is_clip_set(name) for name in ("clipsmine", "vimeo90k", "clips-mine", "../clips", "")] == [False] * 5
    assert clip_set("clips_mine_bi", ("_bi", "_bd")) == ("clips_mine", "_bi")
    assert clip_set("real_x4", ("", "_x4")) == ("real", "_x4")
    assert clip_set("vimeo_bi", ("", "_bi")) == ("", "")
