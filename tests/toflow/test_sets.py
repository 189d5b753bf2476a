"""TOFlow's data sets as they lie on disk: which samples there are, in which order, and what is missing."""

import numpy as np
import pytest

from toflow.sets import SETS, TRAINING_SETS, find_flow_samples, find_samples


def test_triplets_and_their_labels(clips):
    samples = find_samples(clips, "vimeo90k", "train")
    assert [sample.name for sample in samples] == sorted(sample.name for sample in samples)
    assert len(samples) == 3
    folder = clips / "vimeo_triplet/sequences" / samples[0].name
    assert (*samples[0].frames, samples[0].target) == tuple(folder / f"im{number}.png" for number in (1, 3, 2))
    assert all(flow.is_file() for flow in samples[0].flows)
    assert not {sample.name for sample in samples} & {sample.name for sample in find_samples(clips, "vimeo90k", "test")}


@pytest.mark.parametrize("data", [name for name in TRAINING_SETS if name != "vimeo90k"])
def test_septuplets_are_degraded_or_read(clips, data):
    (sample, *_), name = find_samples(clips, data, "test"), data.removeprefix("vimeo_")
    assert sample.target == sample.frames[3]
    assert [path.name for path in sample.frames] == [f"im{number}.png" for number in range(1, 8)]
    assert sample.degradation == SETS[data].degradation == name
    with pytest.raises(ValueError, match=f"degraded.{name}: no such folder; make it .*--degrade {name}"):
        find_samples(clips, data, "test", prepared=True)


def test_pairs_with_flow_of_both_passes(clips):
    pairs = find_flow_samples(clips, "sintel")
    assert {pair.name.split("/")[0] for pair in pairs} == {"clean", "final"}
    assert all(path.is_file() for pair in pairs for path in (*pair.frames, pair.flow))


def test_chairs_are_those_of_the_training_part(tmp_path):
    data = tmp_path / "FlyingChairs/data"
    data.mkdir(parents=True)
    for number in range(1, 4):
        (data / f"{number:05}_flow.flo").touch()
    assert len(find_flow_samples(tmp_path, "chairs")) == 3  # without a split
    listing = data.parent / "chairs_split.txt"
    listing.write_text("1\n2\n1\n")
    assert [pair.name for pair in find_flow_samples(tmp_path, "chairs")] == ["00001", "00003"]
    assert find_flow_samples(tmp_path, "chairs")[1].frames == (data / "00003_img1.ppm", data / "00003_img2.ppm")
    listing.write_text("1\n2\n")
    with pytest.raises(ValueError, match=r"chairs_split\.txt: 2 lines, but .* holds 3 flows; get it again"):
        find_flow_samples(tmp_path, "chairs")


def test_a_short_clip_of_vid4_is_refused(tmp_path):
    clip = tmp_path / "Vid4/GT/a"
    clip.mkdir(parents=True)
    for number in range(6):
        (clip / f"{number:08}.png").touch()
    with pytest.raises(ValueError, match="6 frames; expected 7 or more"):
        find_samples(tmp_path, "vid4", "test")


@pytest.mark.parametrize("data", [name for name in SETS if name not in TRAINING_SETS])
def test_sets_for_testing_have_no_training_part(tmp_path, data):
    with pytest.raises(ValueError, match=f"{data} is for testing: train on one of vimeo90k"):
        find_samples(tmp_path, data, "train")


def test_what_is_missing_is_told_with_its_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"no such folder; .* get vimeo_mixed .*--layout vimeo_septuplet"):
        find_samples(tmp_path, "vimeo_mixed", "test")
    (tmp_path / "ucf101_interp_ours").mkdir()
    with pytest.raises(ValueError, match="holds no sample of ucf101"):
        find_samples(tmp_path, "ucf101", "test")


def test_clips_are_tested_on_every_second_frame_or_every_fourth_window(tmp_path):
    (tmp_path / "clips_a/test").mkdir(parents=True)
    np.save(tmp_path / "clips_a/test/a.npy", np.zeros((10, 4, 4, 3), np.uint8))
    middles = [[int(path.name) for path in (s.frames[0], s.target, s.frames[-1])]
               for s in find_samples(tmp_path, "clips_a", "test")]  # fmt: skip
    assert middles == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8]]
    windows = find_samples(tmp_path, "clips_a_jpeg_q20", "test")
    assert [int(s.target.name) for s in windows] == [0, 4, 8]
    assert [int(path.name) for path in windows[2].frames] == [5, 6, 7, 8, 9, 9, 9]
    assert {s.degradation for s in windows} == {"jpeg_q20"}
