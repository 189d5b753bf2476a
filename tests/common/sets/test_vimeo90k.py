"""Vimeo-90K on disk: lists, frames, degraded ones, which are those made on the fly and are never mixed."""

import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from common.media.image import write_image
from common.sets.vimeo90k import (
    SETS,
    VimeoSet,
    clip_faults,
    clips_of,
    contents,
    degraded_size,
    is_whole_png,
    list_clips,
    read_list,
)
from tdan.samples import read_low
from tdan.sets import find_clips
from tests.helpers.folders import tree
from tests.helpers.runs import call, dataset_script, make_clips
from tests.helpers.stopping import stop_with
from toflow.samples import evaluation_frames
from toflow.sets import find_samples


@pytest.fixture(scope="module")
def vimeo():
    """datasets/prepare_vimeo90k.py, which is in no package, as a module."""
    return dataset_script("prepare_vimeo90k")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Septuplets of two training clips and a test clip."""
    root = tmp_path_factory.mktemp("vimeo")
    make_clips(root, "vimeo_septuplet", "--clips", 2, "--test_clips", 1)
    return root


@pytest.fixture
def root(made, tmp_path):
    """A set that a test may change."""
    shutil.copytree(made, tmp_path / "datasets")
    return tmp_path / "datasets"


@pytest.fixture
def run(vimeo, capsys):
    def run(*argv):
        """Exit code, printed lines, error line."""
        code, out, error = call(capsys, vimeo.main, *argv)
        return code, out.splitlines(), error

    return run


def degraded(root, name):
    """Every file of a degradation with its bytes."""
    return tree(root / "vimeo_septuplet/degraded" / name)


@pytest.fixture
def degrade(run, root):
    def degrade(*argv):
        return run("--layout", "vimeo_septuplet", "--root", root, "--workers", 2, "--degrade", *argv)

    return degrade


@pytest.mark.parametrize(("seed", "names"), [(None, ["mixed", "j2k_q20", "bicubic_x4"]), (7, ["gaussian"])])
def test_degraded_frames_are_those_that_are_made_on_the_fly(degrade, root, seed, names):
    code, lines, _ = degrade(*names, *([] if seed is None else ["--seed", seed]))
    folder = root / "vimeo_septuplet/degraded"
    assert (code, lines) == (0, [f"{folder}/{name}: 21 frames, 21 of them new" for name in names])
    for name in names:
        assert len(degraded(root, name)) == 21 + 1
        for split in ("train", "test"):
            made = find_samples(root, f"vimeo_{name}", split)
            ready = find_samples(root, f"vimeo_{name}", split, prepared=True)
            for first, second in zip(made, ready, strict=True):
                assert second.frames[6] == folder / name / first.name / "im0007.png"
                frames = [evaluation_frames(sample, 1234 if seed is None else seed) for sample in (first, second)]
                assert np.array_equal(*frames)


@pytest.mark.parametrize(("name", "degradation", "scale"), [("BIx4", "bi", 4), ("BDx4", "bd", 4), ("BIx2", "bi", 2)])
def test_small_frames_are_those_that_tdan_makes_on_the_fly(degrade, root, run, name, degradation, scale):
    assert degrade(name, "--split", "test")[0] == 0
    assert len(degraded(root, name)) == 7 + 1
    (made,) = find_clips(root, f"vimeo_{degradation}", "test", scale=scale)
    (ready,) = find_clips(root, f"vimeo_{degradation}", "test", scale=scale, prepared=True)
    assert ready.lows[6] == root / f"vimeo_septuplet/degraded/{name}/{ready.name}/im0007.png"
    for number in range(7):
        small = read_low(ready, number, scale)
        assert small.shape == (48 // scale, 64 // scale, 3)
        assert np.array_equal(small, read_low(made, number, scale))
    assert run("--layout", "vimeo_septuplet", "--root", root, "--check")[0] == 0  # the other list was not asked for
    ready.lows[2].write_bytes(ready.lows[2].read_bytes()[:-1])
    code, lines, _ = run("--layout", "vimeo_septuplet", "--root", root, "--check")
    assert (code, len(lines)) == (1, 2)
    assert lines[0].endswith(f"1 of 7 frames of the test list missing or damaged, first {ready.lows[2]}")


def test_whole_degraded_frames_stay_and_others_are_made_again(degrade, root, run):
    assert degrade("mixed")[0] == 0
    folder, before = root / "vimeo_septuplet/degraded/mixed", degraded(root, "mixed")
    clips = [folder / f"00001/000{number}" for number in (1, 2, 3)]
    (clips[0] / "im0001.png").unlink()
    (clips[0] / "im0002.png").write_bytes(before["00001/0001/im0002.png"][:-1])
    (clips[1] / "im0003.png").write_bytes(b"")
    write_image(clips[1] / "im0004.png", np.zeros((48, 60, 3), np.uint8))
    write_image(clips[2] / "im0007.png", np.zeros((48, 64, 3), np.uint8))  # whole, so it stays
    code, lines, _ = run("--layout", "vimeo_septuplet", "--root", root, "--check")
    trained = (root / "vimeo_septuplet/sep_trainlist.txt").read_text().split()
    first = "im0001.png" if trained[0] == "00001/0001" else "im0003.png"
    assert code == 1
    assert lines[0].startswith(f"{folder}: ")
    assert lines[0].endswith(f"frames of the train list missing or damaged, first {folder}/{trained[0]}/{first}")
    assert degrade("mixed")[:2] == (0, [f"{folder}: 21 frames, 4 of them new"])
    after = degraded(root, "mixed")
    assert after.pop("00001/0003/im0007.png") != before.pop("00001/0003/im0007.png")
    assert after == before
    assert run("--layout", "vimeo_septuplet", "--root", root, "--check")[0] == 0
    assert degrade("mixed")[:2] == (0, [f"{folder}: 21 frames, 0 of them new"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_degrading_between_two_clips_and_the_same_command_goes_on(
    degrade, root, vimeo, monkeypatch, number
):
    folder, whole = root / "vimeo_septuplet/degraded", vimeo.degrade_clip

    def interrupted(*arguments):
        written = whole(*arguments)
        if written:
            stop_with(number)
        return written

    with monkeypatch.context() as patch:
        patch.setattr(vimeo, "degrade_clip", interrupted)
        for left in (2, 1):
            code, lines, _ = degrade("gaussian", "jpeg_q20", "--workers", 1)
            message = f"{folder}/gaussian: stopped, {left} of 3 clips left; the same command goes on"
            assert (code, lines) == (128 + number, [message])
            assert len(degraded(root, "gaussian")) == 7 * (3 - left) + 1
    lines = [f"{folder}/gaussian: 21 frames, 7 of them new", f"{folder}/jpeg_q20: 21 frames, 21 of them new"]
    assert degrade("gaussian", "jpeg_q20")[:2] == (0, lines)


def test_seeds_are_not_mixed(degrade, root):
    folder = root / "vimeo_septuplet/degraded"
    assert degrade("gaussian", "jpeg_q20", "--split", "test")[0] == 0
    assert json.loads((folder / "gaussian/degraded.json").read_text()) == {
        "degradation": "gaussian", "version": 1, "seed": 1234,
    }  # fmt: skip
    before = degraded(root, "gaussian")
    code, lines, error = degrade("gaussian", "--seed", 5)
    assert (code, lines) == (2, [])
    assert f"{folder}/gaussian holds frames of another kind (seed 1234): go on with it, or move it away" in error
    assert degraded(root, "gaussian") == before
    assert degrade("jpeg_q20", "--seed", 5)[0] == 0  # no random numbers in it
    (folder / "gaussian/degraded.json").write_text("[")
    assert "degraded.json: damaged; move" in degrade("gaussian")[2]
    (folder / "gaussian/degraded.json").unlink()
    code, _, error = degrade("gaussian")
    assert code == 2
    assert "gaussian holds files of unknown origin, without degraded.json" in error


def test_degrading_stops_at_bad_lists_and_frames(degrade, root):
    folder = root / "vimeo_septuplet"
    (folder / "sequences/00001/0002/im5.png").unlink()
    code, _, error = degrade("gaussian")
    assert code == 1
    assert f"cannot read {folder}/sequences/00001/0002/im5.png: No such file" in error
    (folder / "sep_testlist.txt").write_text("00001\n")
    code, _, error = degrade("gaussian")
    assert code == 1
    assert "sep_testlist.txt, line 1: expected a clip such as 00001/0001, found '00001'" in error


# Lists, frames, what is whole


TINY = VimeoSet("tri", 3, {"train": 2, "test": 1}, size=(8, 6))


def clip(folder, name="00001/0001"):
    for number in (1, 2, 3):
        write_image(folder / f"sequences/{name}/im{number}.png", np.full((6, 8, 3), number, np.uint8))


def test_lists_and_their_faults(tmp_path):
    path = tmp_path / "tri_trainlist.txt"
    with pytest.raises(ValueError, match=r"tri_trainlist\.txt: no such file; expected the list that comes with"):
        list_clips(path)
    assert read_list(path) == ([], [f"{path}: no such list, or not readable; unpack the archive again"])
    path.write_text("00001/0001\n 00001/0002 \n\n")
    assert list_clips(path) == ["00001/0001", "00001/0002"]
    assert read_list(path) == (["00001/0001", "00001/0002"], [])
    path.write_text("00001/0001\n", encoding="utf-8-sig")  # as Notepad saves it
    assert list_clips(path) == ["00001/0001"]
    assert read_list(path) == (["00001/0001"], [])
    for encoding in ("utf-16", "utf-16-le"):
        path.write_text("00001/0001\n", encoding=encoding)
        with pytest.raises(ValueError, match=r"tri_trainlist\.txt: not a text in UTF-8; save it as one"):
            list_clips(path)
    path.write_text("00001/0001\n 00001/0002 \n\n")
    (tmp_path / "tri_testlist.txt").write_text("00001/0003\n00001/0001\n")
    assert clips_of(tmp_path, TINY, ("train", "test")) == ["00001/0001", "00001/0002", "00001/0003"]
    path.write_text("00001/0001\n../x\n")
    assert read_list(path)[1] == [f"{path}, line 2: expected a clip such as 00001/0001, found '../x'"]
    with pytest.raises(ValueError, match="line 2"):
        clips_of(tmp_path, TINY, ("train",))


def test_faults_of_a_clip(tmp_path):
    clip(tmp_path)
    faults = lambda name: clip_faults(tmp_path / "sequences", name, frames=3, size=(8, 6))  # noqa: E731
    assert faults("00001/0001") == []
    frames = tmp_path / "sequences/00001/0001"
    write_image(frames / "im1.png", np.zeros((8, 6, 3), np.uint8))
    (frames / "im3.png").unlink()
    assert faults("00001/0001") == [
        f"{frames}/im1.png: 6x8 pixels, expected 8x6 as every frame; get it again",
        f"cannot read {frames}/im3.png: No such file or directory; check the path and its permissions",
    ]
    assert faults("00001/0002") == [f"{tmp_path}/sequences/00001/0002: no such folder"]


def test_a_whole_png_is_told_by_its_ends(tmp_path):
    path = tmp_path / "a.png"
    assert not is_whole_png(path, (8, 6))
    write_image(path, np.zeros((6, 8, 3), np.uint8))
    assert is_whole_png(path, (8, 6))
    assert not is_whole_png(path, (6, 8))
    data = path.read_bytes()
    for broken in (data[:-1], data[:20], b"", b"x" + data[1:]):
        path.write_bytes(broken)
        assert not is_whole_png(path, (8, 6))


def test_what_a_synthetic_set_tells(tmp_path):
    published = SETS["vimeo_triplet"]
    assert contents(tmp_path, published) is published
    told = {"clips": {"train": 5, "test": 2}, "size": "64x48", "flow": "exact"}
    (tmp_path / ".synthetic").write_text(json.dumps(told))
    found = contents(tmp_path, published)
    assert (found.clips, found.size, found.has_exact_flow, found.prefix) == (told["clips"], (64, 48), True, "tri")
    (tmp_path / ".synthetic").write_text("[]")
    with pytest.raises(ValueError, match="damaged; make the clips again"):
        contents(tmp_path, published)


def test_small_frames_are_of_whole_multiples():
    odd = replace(TINY, size=(63, 45))
    assert degraded_size(odd, "BIx4") == (15, 11)
    assert degraded_size(odd, "BIx2") == (31, 22)
    assert degraded_size(odd, "mixed") == (63, 45)
