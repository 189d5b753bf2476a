"""IFRNet's data sets as they lie on disk."""

import dataclasses

import numpy as np
import pytest

from common.media.image import read_clip
from ifrnet import sets
from ifrnet.sets import Sample, find_samples, groups, missing_part
from tests.helpers.noise import picture


def test_triplets(data_root):
    samples = find_samples(data_root, "vimeo90k", "test")
    root = data_root / "vimeo_triplet"
    assert [sample.name for sample in samples] == [f"00001/{n:04d}" for n in range(2, 7)]
    assert samples[0].frames == tuple(root / "sequences/00001/0002" / f"im{n}.png" for n in (1, 2, 3))
    assert samples[0].flows == tuple(root / "flow/00001/0002" / f"flow_t{n}.flo" for n in (0, 1))
    assert samples[0].times == (0.5,)
    assert len(find_samples(data_root, "vimeo90k", "train")) == 1


def test_published_lists(tmp_path):
    for folder, prefix in (("vimeo_triplet", "tri"), ("vimeo_septuplet", "sep")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{prefix}_testlist.txt").write_text("00001/0001\r\n00001/0002\n\n00078/1000\n\n")
    (tmp_path / "vimeo_triplet/flow/00078/1000").mkdir(parents=True)
    triplets = find_samples(tmp_path, "vimeo90k", "test")
    assert [sample.name for sample in triplets] == ["00001/0001", "00001/0002", "00078/1000"]
    assert [sample.flows is None for sample in triplets] == [True, True, False]
    septuplet = find_samples(tmp_path, "vimeo_septuplet", "test")[0]
    assert [path.name for path in septuplet.frames] == [f"im{n}.png" for n in range(1, 8)]
    assert septuplet.times == pytest.approx([k / 6 for k in range(1, 6)])
    assert septuplet.flows is None
    assert missing_part("vimeo90k", triplets) == "3 of 3782 samples"


def test_made_gopro_keeps_its_folders(data_root):
    samples = find_samples(data_root, "gopro", "test")
    names = [f"GOPR000{video}_11_00/000{group}" for video in (0, 1) for group in (0, 1)]
    assert [sample.name for sample in samples] == names
    assert [path.stem for path in samples[1].frames] == [f"{n:06d}" for n in range(9, 18)]
    assert samples[0].times == tuple(k / 8 for k in range(1, 8))
    assert {path.parent.parent.name for sample in samples for path in sample.frames} == {"test"}
    assert missing_part("gopro", samples) == "0 of 11 videos"


@pytest.mark.parametrize("places", [("", ""), ("train", "test"), ("test", "train")])
def test_real_gopro_is_split_by_name(tmp_path, places):
    for video, place in zip(("GOPR0372_07_00", "GOPR0384_11_05"), places, strict=True):
        for number in range(9):
            picture(tmp_path / "GOPRO_Large_all" / place / video / f"{number:06d}.png", 2, 2)
    for split, video in (("train", "GOPR0372_07_00"), ("test", "GOPR0384_11_05")):
        assert [sample.name for sample in find_samples(tmp_path, "gopro", split)] == [f"{video}/0000"]


def test_splits_of_gopro_are_whole():
    assert (len(sets.GOPRO["train"]), len(sets.GOPRO["test"]), len(sets.ADOBE240)) == (22, 11, 8)
    assert not set(sets.GOPRO["train"]) & set(sets.GOPRO["test"])


def test_groups_share_their_ends():
    assert [groups(n) for n in (0, 1, 8, 9, 16, 17, 24, 25)] == [0, 0, 0, 1, 1, 2, 2, 3]


def test_other_sets(own_sets):
    def found(data):
        samples = find_samples(own_sets, data, "test")
        return [s.name for s in samples], [path.relative_to(own_sets).as_posix() for path in samples[0].frames]

    assert found("adobe240") == (["IMG_0015/0000"], [f"Adobe240/IMG_0015/{n}.png" for n in range(9)])
    frames = [f"ucf101_interp_ours/10/frame_{name}.png" for name in ("00", "01_gt", "02")]
    assert found("ucf101") == (["10", "9"], frames)
    hard = [f"SNU-FILM/test/GOPRO_test/hard/{n}.png" for n in range(3)]
    assert found("snu_film_hard") == (["GOPRO_test/hard/1"], hard)
    assert len(found("snu_film")[0]) == 4
    folders = {"other-data/S": ("frame10", "frame11"), "other-gt-interp/S": ("frame10i11",)}
    paths = {f"Middlebury/{folder}/{name}.png" for folder, names in folders.items() for name in names}
    names, frames = found("middlebury")
    assert (names, set(frames), frames[1]) == (["S"], paths, "Middlebury/other-gt-interp/S/frame10i11.png")


@pytest.mark.parametrize("data", sets.SETS)
def test_missing_and_empty_sets(tmp_path, data):
    folder = sets.FOLDERS[data]
    command = ", or make .*make_synthetic.py --layout" if data in sets.TRAINING_SETS else "$"
    with pytest.raises(ValueError, match=rf"{folder}: no such folder; .*datasets/README.md\){command}"):
        find_samples(tmp_path, data, "test")
    (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=r"no such file; expected the list|holds no sample"):
        find_samples(tmp_path, data, "test")


def test_wrong_splits_and_lists(tmp_path):
    with pytest.raises(ValueError, match="ucf101 is for testing"):
        find_samples(tmp_path, "ucf101", "train")
    (tmp_path / "SNU-FILM").mkdir()
    for line in ("test/a.png test/b.png", "a.png test/b.png test/c.png", "test/a test/b test/c test/d"):
        (tmp_path / "SNU-FILM/test-easy.txt").write_text(line)
        with pytest.raises(ValueError, match=r"test-easy.txt: line .* expected three paths"):
            find_samples(tmp_path, "snu_film", "test")


def test_a_sample_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample("a", ()).name = "b"


def test_clips_are_tested_on_every_second_frame_or_three_of_four(tmp_path):
    (tmp_path / "clips_mine/test").mkdir(parents=True)
    np.save(tmp_path / "clips_mine/test/a.npy", np.zeros((10, 4, 4, 3), np.uint8))
    np.save(tmp_path / "clips_mine/test/b.npy", np.zeros((4, 4, 4, 3), np.uint8))
    numbers = [[int(path.name) for path in s.frames] for s in find_samples(tmp_path, "clips_mine", "test")]
    assert numbers == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8], [0, 1, 2]]
    found = find_samples(tmp_path, "clips_mine_x4", "test")
    assert [(s.name, s.times) for s in found] == [("a/0000", (0.25, 0.5, 0.75)), ("a/0004", (0.25, 0.5, 0.75))]
    assert missing_part("clips_mine", found) == ""


def test_the_real_clips_are_in_the_repository(tmp_path):
    found = find_samples(tmp_path, "real", "test")
    assert len({sample.name.split("/")[0] for sample in found}) == 8
    assert read_clip(found[0].frames)[1].shape[2] == 3
