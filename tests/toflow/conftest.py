"""Clips that the tests of TOFlow's training read."""

import pytest

from tests.helpers.runs import make_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Triplets with exact flow, septuplets, pairs with flow: 64x48 pixels."""
    root = tmp_path_factory.mktemp("clips")
    for layout, count, frames in (("vimeo_triplet", 3, 3), ("vimeo_septuplet", 3, 7), ("sintel", 1, 4)):
        make_clips(root, layout, "--clips", count, "--test_clips", 2, "--frames", frames)
    return root
