"""The script for the DVD set: the split of the official archive."""

import os

from tests.helpers.deblurring_sets import check, dvd, run, video


def test_official_dvd_is_split_by_the_names_of_the_test_videos(tmp_path, capsys):
    source = tmp_path / "DeepVideoDeblurring_Dataset"
    for name in (*dvd.TEST, *(f"GOPR{number:04d}" for number in range(61))):
        video(source / "quantitative_datasets" / name, ("input", "GT"), 2, ".jpg")
    video(source / "qualitative_datasets" / "alley", ("input",), 2, ".jpg")
    root = tmp_path / "datasets"
    assert run(dvd, capsys, "--source", source, "--root", root)[0] == 0
    assert sorted(os.listdir(root / "test_DVD")) == sorted(dvd.TEST)
    assert len(os.listdir(root / "train_DVD")) == 61
    assert not (root / "train_DVD" / "alley").exists()
    assert check(root, capsys)[0] == [f"{root}/train_DVD: 122 frames, expected 5708"]
