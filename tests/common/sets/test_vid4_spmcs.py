"""A check of Vid4 or SPMCS: what is missing, damaged, of another degradation, of other pixels than published."""

import shutil

import numpy as np
import pytest

from common.degrade.by_name import degrade
from common.media.image import write_image
from tests.helpers.small_vid4 import PIXELS, digest, faults, lows, put, script_of_small_sets, spmcs, truths


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    return script_of_small_sets(tmp_path, capsys, monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """A set that has its true frames."""
    return truths(tmp_path / "datasets")


@pytest.fixture
def whole(run, folder):
    """A set with both low-resolution folders."""
    assert run("--make", "BI", "BD")[0] == 0
    return folder


def test_missing_clips_and_folders(run, whole):
    shutil.rmtree(whole / "BDx4/b")
    assert faults(run, whole) == [f"{whole}/BDx4/b: missing; prepare the set with --make BD"]
    shutil.rmtree(whole / "GT/b")
    put(whole / "GT/c", "a")
    assert faults(run, whole) == [
        f"{whole}/GT/b: missing",
        f"{whole}/GT/c: no clip of Vid4; move it away, its frames would be scored",
        f"{whole}/BIx4/c: missing; prepare the set with --make BI",
        f"{whole}/BDx4/c: missing; prepare the set with --make BD",
    ]
    (whole / "GT").rename(whole / "HR")
    assert run("--check")[:2] == (1, [f"{whole}/GT: no such folder; expected the true frames of Vid4"])


def test_missing_frames(run, whole):
    (whole / "BIx4/a/00000004.png").unlink()
    assert faults(run, whole) == [f"{whole}/BIx4/a: 5 frames, expected 6"]
    (whole / "GT/b/00000002.png").unlink()
    assert faults(run, whole) == [f"{whole}/BIx4/a: 5 frames, expected 6", f"{whole}/GT/b: 6 frames, expected 7"]


def test_damaged_frames_and_wrong_sizes(run, whole):
    data = (whole / "GT/a/00000002.png").read_bytes()
    (whole / "GT/a/00000002.png").write_bytes(data[:-20])
    write_image(whole / "BDx4/a/00000003.png", np.zeros((6, 8, 3), np.uint8))
    write_image(whole / "GT/b/00000003.png", np.zeros((24, 32, 3), np.uint8))
    assert faults(run, whole) == [
        f"{whole}/GT/a/00000002.png is a truncated PNG file; copy, download or extract it again",
        f"{whole}/BDx4/a/00000003.png: 8x6 pixels, expected 9x6; is it of another folder?",
        f"{whole}/GT/b/00000003.png: 32x24 pixels, expected 32x20; is it of another folder?",
    ]


def test_wrong_degradations(run, whole):
    put(whole / "BDx4/a", "a", lows("duf", "a"))
    put(whole / "BIx4/a", "a", lows("bd", "a"))
    put(whole / "BIx4/b", "b", lows("bi_uint8", "b"))  # is BI, too
    put(whole / "BIx4up_direct/a", "a", PIXELS["a"])
    put(whole / "BIx4up_direct/b", "b", degrade(PIXELS["b"], "bi_x4", None))
    code, lines, _ = run("--check")
    assert (code, len(lines)) == (1, 7)
    assert lines[0] == (
        f"{whole}/BDx4/a: DUF's BD (samples at 0, 4, 8): equal; networks trained for bd lose dBs on it; "
        "in 00000000.png, expected BDx4"
    )
    assert lines[1].startswith(f"{whole}/BIx4/a: BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal; in ")
    assert lines[2].startswith(
        f"{whole}/BIx4up_direct/a: no known degradation: the nearest, BI, rounded once, enlarged"
    )
    assert lines[3:] == [
        f"{whole}/BDx4: BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal (b)",
        f"{whole}/BIx4: BI, rounded after each axis: equal (b)",
        f"{whole}/BIx4up_direct: BI, rounded once, enlarged by 4: equal (b)",
        f"{whole}: 3 faults",
    ]


def test_frames_out_of_order(run, whole):
    first, second = (whole / f"BDx4/a/0000000{number}.png" for number in (3, 4))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    (line,) = faults(run, whole)
    assert line.startswith(f"{whole}/BDx4/a: no known degradation: the nearest, ")
    assert line.endswith("; in 00000003.png, expected BDx4")


def test_other_pixels_than_the_published_ones(run, folder):
    image = PIXELS["b"][-1].copy()
    image[0, 0, 0] ^= 1
    write_image(folder / "GT/b/00000006.png", image)
    write_image(folder / "GT/b/00000003.png", image)  # of which nothing was published
    assert faults(run, folder) == [
        f"{folder}/GT/b/00000006.png: not the published pixels (sha256 {digest(image)}, "
        f"expected {digest(PIXELS['b'][-1])}): another frame, or compressed"
    ]


def test_spmcs_is_counted(run, tmp_path):
    for clip in ("x", "y"):
        put(tmp_path / "datasets/SPMCS/GT" / clip, "", PIXELS["a"][:5])
    where = tmp_path / "datasets/SPMCS"
    assert faults(run, where, spmcs) == [f"{where}/GT: 2 clips, expected 3"]
    put(where / "GT/z", "", PIXELS["a"][:4])
    assert faults(run, where, spmcs) == [f"{where}/GT/z: 4 frames, expected 5"]
