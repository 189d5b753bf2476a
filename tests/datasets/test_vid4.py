"""The scripts that lay out and check Vid4 and SPMCS-30 and make their low-resolution frames."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tdan.sets
import toflow.sets
from common import cli
from common.degrade.by_name import degrade
from common.degrade.low_resolution import make_low
from common.media.image import list_frames, read_image, write_image
from common.sets import prepare_vid4_spmcs
from common.sets.vid4_spmcs import Facts
from tests.helpers.runs import dataset_script
from toflow.samples import evaluation_frames

ROOT = Path(__file__).parents[2]
SIZES = {"a": (6, (36, 24)), "b": (7, (32, 20))}  # the clips of a small Vid4
RNG = np.random.default_rng(0)
PIXELS = {
    clip: [RNG.integers(0, 256, (height // 4, width // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(count)]
    for clip, (count, (width, height)) in SIZES.items()
}


vid4, spmcs, synthetic = (dataset_script(name) for name in ("prepare_vid4", "prepare_spmcs", "make_synthetic"))
PUBLISHED = vid4.VID4


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A Vid4 of two small clips, an SPMCS-3 of five frames."""
    clips = {
        clip: Facts(count, size, (digest(PIXELS[clip][0]), digest(PIXELS[clip][-1])))
        for clip, (count, size) in SIZES.items()
    }
    monkeypatch.setattr(vid4, "VID4", dataclasses.replace(vid4.VID4, count=2, clips=clips))
    monkeypatch.setattr(spmcs, "SPMCS", dataclasses.replace(spmcs.SPMCS, count=3, alike=Facts(5, (36, 24))))


@pytest.fixture
def run(tmp_path, capsys):
    def run(*argv, module=vid4):
        """Exit code, printed lines, error line."""
        where = ("--root", tmp_path / "datasets", "--workers", 2)
        code = cli.run(module.main, [str(argument) for argument in (*where, *argv)])
        streams = capsys.readouterr()
        assert "Traceback" not in streams.err
        return code, streams.out.splitlines(), streams.err

    return run


def put(folder, clip, frames=None, name="{:08d}.png"):
    for number, image in enumerate(PIXELS[clip] if frames is None else frames):
        write_image(folder / name.format(number), image)


@pytest.fixture
def folder(tmp_path):
    """A set that has its true frames."""
    for clip in SIZES:
        put(tmp_path / "datasets/Vid4/GT" / clip, clip)
    return tmp_path / "datasets/Vid4"


def lows(kind, clip):
    return [make_low(image, kind) for image in PIXELS[clip]]


def tree(folder):
    """Every file with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(folder):
    return [read_image(path) for path in list_frames(folder)]


def same(images, others):
    return all(np.array_equal(*pair) for pair in zip(images, others, strict=True))


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
        assert same(pixels(target / "GT" / clip), PIXELS[clip])
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
    assert same(pixels(tmp_path / "datasets/SPMCS/GT/x"), frames)


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
    assert same([tdan.sets.read_low(clips[1], number, 4) for number in range(5)], lows("bi_uint8", "a")[:5])


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
                assert same(*([tdan.sets.read_low(clip, number, 4)] for clip in (made, ready)))
    shutil.rmtree(folder / "GT/a")  # has fewer frames than TOFlow's window
    (ready, *_) = toflow.sets.find_samples(root, "vid4", "test")
    assert {path.parent for path in ready.frames} == {folder / "BIx4up_direct/b"}
    (folder / "BIx4up_direct").rename(folder / "away")
    (made, *_) = toflow.sets.find_samples(root, "vid4", "test")
    ready = dataclasses.replace(ready, frames=[folder / "away/b" / path.name for path in ready.frames])
    assert same(*(evaluation_frames(sample, 0) for sample in (made, ready)))


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
    assert same(pixels(folder / "BIx4/a"), lows("bi_uint8", "a"))
    assert not same(pixels(folder / "BIx4/a"), lows("bi", "a"))
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


# Checking


@pytest.fixture
def whole(run, folder):
    """A set with both low-resolution folders."""
    assert run("--make", "BI", "BD")[0] == 0
    return folder


def faults(run, folder, module=vid4):
    """The lines of a check that tell faults."""
    code, lines, _ = run("--check", module=module)
    assert code == 1
    lines = [line for line in lines if ": equal (" not in line]
    assert lines[-1] == f"{folder}: {len(lines) - 1} fault{'s' * (len(lines) > 2)}"
    return lines[:-1]


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


# What is published


def test_published_numbers():
    assert sum(facts.frames for facts in PUBLISHED.clips.values()) == 171
    assert {facts.size for facts in PUBLISHED.clips.values()} == {(720, 576), (704, 576), (720, 480)}
    assert len({digest for facts in PUBLISHED.clips.values() for digest in facts.digests}) == 8
    counts = {name: data.count for name, data in tdan.sets.SETS.items()}
    assert (counts["vid4_bi"], counts["spmcs_bd"]) == (171, 30 * 31)


def test_pixels_of_the_real_frames(real_data):
    for clip, low in (("calendar", "521e5e894d9cc060"), ("city", "05f2118b60fb138b")):
        frames, facts = list_frames(real_data / "Vid4/GT" / clip), PUBLISHED.clips[clip]
        first, last = read_image(frames[0]), read_image(frames[-1])
        assert (len(frames), first.shape) == (facts.frames, (*facts.size[::-1], 3))
        assert (digest(first), digest(last)) == facts.digests
        assert digest(make_low(first, "bi")) == low


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


def test_as_a_script_from_another_folder(tmp_path):
    command = [sys.executable, str(ROOT / "datasets/prepare_spmcs.py"), "--check"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == "datasets/SPMCS/GT: no such folder; expected the true frames of SPMCS\n"
