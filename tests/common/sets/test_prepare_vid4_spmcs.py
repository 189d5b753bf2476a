"""The command line of the scripts for Vid4 and SPMCS: downloads laid out, low-resolution frames made, flags."""

import dataclasses
import json
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest

import tdan.samples
import tdan.sets
import toflow.samples
import toflow.sets
from common.media.image import list_frames
from common.sets import prepare_vid4_spmcs
from common.sets.vid4_spmcs import Facts
from tests.helpers.clips import read_folder
from tests.helpers.folders import tree
from tests.helpers.runs import dataset_script
from tests.helpers.small_vid4 import (
    PIXELS,
    SIZES,
    all_equal,
    faults,
    lows,
    put,
    script_of_small_sets,
    spmcs,
    truths,
    vid4,
)

synthetic = dataset_script("make_synthetic")


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    return script_of_small_sets(tmp_path, capsys, monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """A set that has its true frames."""
    return truths(tmp_path / "datasets")


# Laying out


@pytest.mark.parametrize("layout", ["{}", "Vid4/GT/{}", "x/{}/HR", "test/{}/truth"])
def test_layouts_in_the_wild(run, tmp_path, layout):
    source, target = tmp_path / "download", tmp_path / "datasets/Vid4"
    put(source / layout.format("a"), "a", name="Frame {:03d}.png")
    put(source / layout.format("b"), "b", name="hr_{}.ppm")
    if layout != "{}":
        put(source / "results/a", "a", PIXELS["a"][::-1])
    before = tree(source)
    assert run("--source", source) == (0, [f"{target}: 13 frames, 13 of them new"], "")
    assert sorted(path.name for path in (target / "GT/b").iterdir()) == [f"{n:08d}.png" for n in range(7)]
    for clip in SIZES:
        assert all_equal(read_folder(target / "GT" / clip), PIXELS[clip])
    assert (target / "GT/a/00000002.png").read_bytes() == before[f"{layout.format('a')}/Frame 002.png"]
    assert tree(source) == before
    assert run("--source", source, "--check")[:2] == (
        0,
        [f"{target}: 13 frames, 0 of them new", f"{target}: complete, every frame readable"],
    )


def test_frames_are_in_the_order_of_their_numbers(run, tmp_path):
    count = 12
    frames = [np.full((24, 36, 3), number, np.uint8) for number in range(count)]
    spmcs.SPMCS = dataclasses.replace(spmcs.SPMCS, alike=Facts(count, (36, 24)))
    put(tmp_path / "download/x/truth", "", frames, name="{}.png")
    assert run("--source", tmp_path / "download", module=spmcs)[0] == 0
    assert all_equal(read_folder(tmp_path / "datasets/SPMCS/GT/x"), frames)


def test_low_resolution_frames_that_came_along(run, tmp_path):
    for clip in ("x", "y", "z"):
        put(tmp_path / "SPMCs" / clip / "truth", "", PIXELS["a"][:5])
        put(tmp_path / "SPMCs" / clip / "LR_bicubic", "", lows("bi_uint8", "a")[:5], name="{:04d}.png")
        put(tmp_path / "SPMCs" / clip / "input4", "", lows("duf", "a")[:5])
    target = tmp_path / "datasets/SPMCS"
    code, lines, _ = run("--source", tmp_path / "SPMCs", "--check", module=spmcs)
    assert (code, lines) == (
        0,
        [
            f"{target}: 30 frames, 30 of them new",
            f"{target}/BIx4: BI, rounded after each axis: equal (x, y, z)",
            f"{target}: complete, every frame readable",
        ],
    )
    assert sorted(path.name for path in target.iterdir()) == ["BIx4", "GT"]
    clips = tdan.sets.find_clips(tmp_path / "datasets", "spmcs_bi", "test")
    assert [clip.name for clip in clips] == ["x", "y", "z"]
    assert all_equal([tdan.samples.read_low(clips[1], number, 4) for number in range(5)], lows("bi_uint8", "a")[:5])


def test_what_is_there_is_never_overwritten(run, tmp_path, folder):
    put(tmp_path / "download/a", "a", PIXELS["a"][::-1])
    before = tree(folder)
    code, _, error = run("--source", tmp_path / "download")
    assert code == 1
    assert "is there with other pixels than" in error
    put(folder / "GT/a", "a", name="Frame {}.png")
    code, _, error = run("--source", tmp_path / "download")
    assert code == 2
    assert error == f"error: {folder}/GT/a/Frame 0.png is there under a name of its own: move {folder}/GT/a away\n"
    for path in (folder / "GT/a").glob("Frame*"):
        path.unlink()
    assert tree(folder) == before
    shutil.rmtree(tmp_path / "download")
    put(tmp_path / "download/a", "a")
    (folder / "GT/a/00000001.png").write_bytes(before["GT/a/00000001.png"][:-4])
    code, _, error = run("--source", tmp_path / "download")
    assert code == 1
    assert error == f"error: {folder}/GT/a/00000001.png is a truncated PNG file; --mend writes it again\n"
    assert run("--source", tmp_path / "download", "--mend")[1] == [f"{folder}: 6 frames, 1 of them new"]
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (None, 2, "no such folder; unpack the download"),
        ({"other": "a"}, 2, "found no clip of Vid4 (a, b)"),
        ({"1/a": "a", "2/a": "a"}, 2, "name the folder of one as --source"),
        ({"a": "b"}, 1, "7 frames, expected 6: get the whole clip"),
        ({"LR/b": "low"}, 1, ".png: 8x5 pixels, expected 32x20; is it of another folder?"),
    ],
)
def test_wrong_sources(run, tmp_path, made, code, message):
    for place, clip in (made or {}).items():
        put(tmp_path / "download" / place, clip, lows("bi", "b") if clip == "low" else None)
    found, lines, error = run("--source", tmp_path / "download")
    assert (found, lines, len(error.splitlines())) == (code, [], 1)
    assert message in error
    assert not (tmp_path / "datasets").exists()


# Making


def test_made_frames_are_those_that_are_made_on_the_fly(run, tmp_path, folder):
    root = tmp_path / "datasets"
    fly = {kind: tdan.sets.find_clips(root, f"vid4_{kind}", "test") for kind in ("bi", "bd")}
    for clip in fly["bi"]:
        assert not clip.lows
    code, lines, _ = run("--make", "BI", "BD", "BIup_direct", "--check")
    assert (code, lines) == (
        0,
        [
            *(f"{folder}/{kind}: 13 new frames" for kind in ("BIx4", "BDx4", "BIx4up_direct")),
            f"{folder}/BDx4: BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal (a, b)",
            f"{folder}/BIx4: BI, rounded once: equal (a, b)",
            f"{folder}/BIx4up_direct: BI, rounded once, enlarged by 4: equal (a, b)",
            f"{folder}: complete, every frame readable",
        ],
    )
    for kind in fly:
        for made, ready in zip(fly[kind], tdan.sets.find_clips(root, f"vid4_{kind}", "test"), strict=True):
            assert ready.lows[3] == folder / f"{kind.upper()}x4" / ready.name / "00000003.png"
            for number in range(len(ready.truths)):
                assert all_equal(*([tdan.samples.read_low(clip, number, 4)] for clip in (made, ready)))
    shutil.rmtree(folder / "GT/a")  # has fewer frames than TOFlow's window
    (ready, *_) = toflow.sets.find_samples(root, "vid4", "test")
    assert {path.parent for path in ready.frames} == {folder / "BIx4up_direct/b"}
    (folder / "BIx4up_direct").rename(folder / "away")
    (made, *_) = toflow.sets.find_samples(root, "vid4", "test")
    ready = dataclasses.replace(ready, frames=[folder / "away/b" / path.name for path in ready.frames])
    assert all_equal(*(toflow.samples.evaluation_frames(sample, 0) for sample in (made, ready)))


def test_only_what_is_missing_is_made(run, folder):
    assert run("--make", "BD")[0] == 0
    before = tree(folder)
    (folder / "BDx4/a/00000001.png").unlink()
    shutil.rmtree(folder / "BDx4/b")
    kept = (folder / "BDx4/a/00000000.png").stat().st_mtime_ns
    assert run("--make", "BD")[:2] == (0, [f"{folder}/BDx4: 8 new frames"])
    assert tree(folder) == before
    assert (folder / "BDx4/a/00000000.png").stat().st_mtime_ns == kept
    (folder / "BDx4/a/00000000.png").unlink()  # then another frame tells what is there
    assert run("--make", "BD")[:2] == (0, [f"{folder}/BDx4: 1 new frames"])
    assert tree(folder) == before


def test_damaged_frames_are_made_again_when_asked_for(run, folder):
    assert run("--make", "BI")[0] == 0
    before = tree(folder)
    (folder / "BIx4/b/00000000.png").write_bytes(before["BIx4/b/00000000.png"][:-1])
    (folder / "BIx4/b/00000002.png").write_bytes(b"")
    damaged = tree(folder)
    assert run("--make", "BI")[:2] == (
        1,
        [
            f"{folder}/BIx4/b/00000000.png is a truncated PNG file; --mend writes it again",
            f"{folder}/BIx4/b/00000002.png is empty; --mend writes it again",
            f"{folder}/BIx4: 0 new frames",
        ],
    )
    assert tree(folder) == damaged
    assert run("--make", "BI", "--mend")[:2] == (0, [f"{folder}/BIx4: 2 new frames"])
    assert tree(folder) == before


def test_both_roundings(run, folder):
    assert run("--make", "BI", "--rounding", "per-axis")[0] == 0
    assert all_equal(read_folder(folder / "BIx4/a"), lows("bi_uint8", "a"))
    assert not all_equal(read_folder(folder / "BIx4/a"), lows("bi", "a"))
    before = tree(folder)
    lines = [
        f"{folder}/BIx4/{clip} stays as it is, {count} frames: BI, rounded after each axis: equal"
        for clip, (count, _) in SIZES.items()
    ]
    assert run("--make", "BI")[:2] == (0, [*lines, f"{folder}/BIx4: 0 new frames"])
    (folder / "BIx4/a/00000003.png").unlink()  # would be of the other kind
    code, found, _ = run("--make", "BI")
    assert code == 1
    assert found[0] == f"{lines[0].replace('6 frames', '5 frames')}; move it away to make BIx4"
    assert run("--make", "BI", "--rounding", "per-axis")[:2] == (0, [f"{folder}/BIx4: 1 new frames"])
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("images", "name", "message"),
    [
        (
            lows("duf", "a"),
            "{:08d}.png",
            "6 frames: DUF's BD (samples at 0, 4, 8): equal; networks trained for bd lose",
        ),
        (lows("bd", "a")[:5], "{:04d}.png", "5 frames: BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal; move"),
        (lows("bd", "a")[1:], "{:08d}.png", "5 frames: no known degradation: the nearest, "),
        (PIXELS["a"], "{:08d}.png", "of 36x24 pixels, but 9x6 was expected"),
    ],
)
def test_other_frames_stay_and_are_named(run, folder, images, name, message):
    put(folder / "BDx4/a", "a", images, name)
    before = tree(folder)
    code, lines, _ = run("--make", "BD", "--mend")
    assert code == 1
    assert lines[0].startswith(f"{folder}/BDx4/a stays as it is")
    assert message in lines[0]
    assert lines[1:] == [f"{folder}/BDx4: 7 new frames"]  # of the other clip
    assert {path: data for path, data in tree(folder).items() if "BDx4/b" not in path} == before


def test_other_names_of_the_right_frames_are_as_good(run, folder):
    put(folder / "BDx4/a", "a", lows("bd", "a"), "{:04d}.png")
    code, lines, _ = run("--make", "BD")
    assert (code, lines[1]) == (0, f"{folder}/BDx4: 7 new frames")
    assert len(list_frames(folder / "BDx4/a")) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_between_two_frames_and_the_same_command_goes_on(run, folder, monkeypatch, number):
    def interrupted(job):
        whole(job)
        if not sent:  # a second one would end the script at once
            sent.append(os.kill(os.getpid(), number))
        time.sleep(0.1)  # until the main thread has taken notice

    sent, whole = [], prepare_vid4_spmcs.make_frame
    with monkeypatch.context() as patch:
        patch.setattr(prepare_vid4_spmcs, "make_frame", interrupted)
        code, lines, _ = run("--make", "BI", "BD", "--workers", 1, "--check")
    made = len(list_frames(folder / "BIx4/a"))
    assert 1 <= made < 13  # those under way when the main thread took notice
    message = f"{folder}/BIx4: stopped, {13 - made} of 13 frames left; the same command goes on"
    assert (code, lines) == (128 + number, [message])
    lines = [f"{folder}/BIx4: {13 - made} new frames", f"{folder}/BDx4: 13 new frames"]
    assert run("--make", "BI", "BD")[:2] == (0, lines)


@pytest.mark.parametrize(("layout", "module"), [("vid4", vid4), ("spmcs", spmcs)])
def test_synthetic_sets_are_asked_for_what_they_say_themselves(run, tmp_path, monkeypatch, capsys, layout, module):
    argv = f"make_synthetic --layout {layout} --test_clips 2 --frames 5 --size 48x32 --workers 1 --root".split()

    def make():
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [*argv, str(tmp_path / "datasets")])
            patch.setattr(synthetic.signal, "signal", lambda *_: None)  # the script means its own process
            assert synthetic.main() == 0
        return capsys.readouterr().out

    make()
    (where,) = (tmp_path / "datasets").iterdir()
    before = tree(where)
    assert run("--make", "BI", "BD", "--check", module=module)[:2] == (
        0,
        [
            f"{where}/BIx4: 0 new frames",
            f"{where}/BDx4: 0 new frames",
            f"{where}/BDx4: BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal (video_0000, video_0001)",
            f"{where}/BIx4: BI, rounded once: equal (video_0000, video_0001)",
            f"{where}: complete, every frame readable",
        ],
    )
    assert tree(where) == before
    assert run("--make", "BIup_direct", module=module)[:2] == (0, [f"{where}/BIx4up_direct: 10 new frames"])
    assert "is there already" in make()  # what was added does not make it another set
    (where / "GT/video_0000/00000002.png").unlink()
    assert faults(run, where, module)[0] == f"{where}/GT/video_0000: 4 frames, expected 5"
    put(tmp_path / "download/a/GT", "a")
    code, _, error = run("--source", tmp_path / "download", module=module)
    assert (code, error) == (
        2,
        f"error: {where} holds synthetic clips, which are not mixed with others: move it away\n",
    )
    (where / ".synthetic").write_text(json.dumps({"size": "48"}))
    assert ".synthetic: damaged" in run("--check", module=module)[2]


# Command line


@pytest.mark.parametrize("module", [vid4, spmcs])
def test_without_a_flag_it_tells_what_to_download(run, module):
    code, lines, _ = run(module=module)
    text = "\n".join(lines)
    assert code == 0
    assert "--source DOWNLOAD" in text
    assert "https://github.com/open-mmlab/mmagic" in text
    assert not any(left in text for left in ("{script}", "{root}", "{{"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--chek"], "did you mean --check?"),
        (["--workers", "0"], "--workers 0: expected 1 or more"),
        (["--make", "BIx4"], "invalid choice: 'BIx4'"),
        (["--make", "BD", "--rounding", "once"], "--rounding is for --make BI: add it"),
        (["--check", "--mend"], "--mend is for --make and --source: add one"),
        (["--make", "BI"], "Vid4/GT: no such folder; get Vid4 (datasets/README.md), see --source"),
    ],
)
def test_usage_errors(run, argv, message):
    code, lines, error = run(*argv)
    assert (code, lines, len(error.splitlines())) == (2, [], 1)
    assert message in error
