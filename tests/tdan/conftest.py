"""Clips that several of TDAN's test files train on."""

import shutil

import pytest

from tests.helpers.runs import make_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Septuplets of 64x48 pixels, and longer clips in folders."""
    root = tmp_path_factory.mktemp("clips")
    make_clips(root, "vimeo_septuplet", "--clips", 3, "--test_clips", 2, "--frames", 7)
    for split, names in (("train", ("a", "b")), ("test", ("c",))):
        for number, name in enumerate(names, 1):
            folder = root / "clips" / split / name
            folder.mkdir(parents=True)
            source = root / f"vimeo_septuplet/sequences/00001/{number:04}"
            frames = sorted(source.glob("*.png"))
            for k, frame in enumerate([*frames, *frames[::-1]]):
                shutil.copy(frame, folder / f"Frame {k}.png")
    return root
