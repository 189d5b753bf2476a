"""Data sets that several of IFRNet's test files read: to train on, to test on, and small ones as published."""

import pytest

from tests.helpers.noise import picture
from tests.helpers.runs import make_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Five triplets to train on and two to test, with exact flow; one GoPro-like video each."""
    root = tmp_path_factory.mktemp("clips")
    for layout, count, frames in (("vimeo_triplet", 5, 3), ("gopro240", 1, 17), ("vimeo_septuplet", 1, 7)):
        test_clips = 2 if layout == "vimeo_triplet" else 1
        make_clips(root, layout, "--clips", count, "--test_clips", test_clips, "--frames", frames)
    return root


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Five test triplets, and two test videos of two groups."""
    root = tmp_path_factory.mktemp("sets")
    for layout, count in (("vimeo_triplet", 5), ("gopro240", 2)):
        make_clips(root, layout, "--clips", 1, "--test_clips", count, "--frames", 17)
    return root


@pytest.fixture
def own_sets(tmp_path):
    """The smaller test sets, each in its published layout."""
    for number in range(10):
        picture(tmp_path / f"Adobe240/IMG_0015/{number}.png", seed=number)
    picture(tmp_path / "Adobe240/IMG_0001/0.png")
    for folder in ("10", "9"):
        for seed, name in enumerate(("frame_00", "frame_01_gt", "frame_01_ours", "frame_02")):
            picture(tmp_path / "ucf101_interp_ours" / folder / f"{name}.png", seed=seed)
    for level in ("easy", "medium", "hard", "extreme"):
        names = [f"test/GOPRO_test/{level}/{n}.png" for n in range(3)]
        for seed, name in enumerate(names):
            picture(tmp_path / "SNU-FILM" / name, seed=seed)
        line = " ".join(f"data/SNU-FILM/{name}" for name in names)
        (tmp_path / f"SNU-FILM/test-{level}.txt").write_text(line + "\n")
    for seed, name in enumerate(("other-data/S/frame10", "other-data/S/frame11", "other-gt-interp/S/frame10i11")):
        picture(tmp_path / "Middlebury" / f"{name}.png", seed=seed)
    picture(tmp_path / "Middlebury/other-data/NoTruth/frame10.png")
    return tmp_path
