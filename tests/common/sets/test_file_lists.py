"""Sets of files: a check that reads each file once, names each fault once, and ends on a signal."""

import json
import signal
from itertools import pairwise

import numpy as np
import pytest

from common.cli import UsageError
from common.media.flow_file import write_flow
from common.media.image import write_image
from common.sets import file_lists
from common.sets.file_lists import FileSet, Item, check, contents, parser, run


def picture(path, width=8, height=6):
    write_image(path, np.zeros((height, width, 3), np.uint8))
    return path


def pairs(folder):
    """Pairs of neighbours among all frames, the flow of each where it is."""
    frames = sorted(folder.glob("*.png"))
    items = []
    for first, second in pairwise(frames):
        flow = first.with_suffix(".flo")
        items.append(Item((first, second), flow if flow.exists() else None))
    return items, {"pairs": len(items)}, [f"{folder}: a.txt is too many"] if (folder / "a.txt").exists() else []


SET = FileSet("Pairs", "Get it at {root}, then {script} --check", pairs, {"pairs": 3}, also="Pairs_v1")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Pairs"
    for number in range(4):
        picture(folder / f"{number}.png")
    write_flow(folder / "0.flo", np.zeros((6, 8, 2), np.float32))
    return folder


def faults(capsys, folder, published=SET):
    """Lines of a check, and its exit code."""
    code = check(folder, published, 2)
    return capsys.readouterr().out.splitlines(), code


def test_a_whole_set_is_read_once(folder, capsys, monkeypatch):
    reads, read = [], file_lists.read_size
    monkeypatch.setattr(file_lists, "read_size", lambda path, flow: reads.append(path.name) or read(path, flow))
    assert faults(capsys, folder) == ([f"{folder}: complete, every file readable"], 0)
    assert sorted(reads) == ["0.flo", "0.png", "1.png", "2.png", "3.png"]


def test_every_fault_is_named_once(folder, capsys):
    (folder / "a.txt").touch()
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:-5])  # in two pairs
    picture(folder / "3.png", 8, 7)
    write_flow(folder / "0.flo", np.zeros((6, 9, 2), np.float32))
    assert faults(capsys, folder) == (
        [
            f"{folder}: a.txt is too many",
            f"{folder}/1.png is a truncated PNG file; copy, download or extract it again",
            f"{folder}/0.flo: 9x6 pixels, expected 8x6; get it again",
            f"{folder}/3.png: 8x7 pixels, expected 8x6; get it again",
            f"{folder}: 4 faults",
        ],
        1,
    )


def test_counts_and_sizes_that_were_published(folder, capsys):
    (folder / "3.png").unlink()
    small = FileSet("Pairs", "", pairs, {"pairs": 3, "others": 7}, size=(16, 6))
    lines, code = faults(capsys, folder, small)
    assert code == 1
    assert lines[0] == f"{folder}: 2 pairs, expected 3"
    assert lines[1:-1] == [
        f"{folder}/{name}: 8x6 pixels, expected 16x6; get it again" for name in ("0.png", "1.png", "0.flo", "2.png")
    ]


def test_missing_and_empty_folders(tmp_path, capsys):
    assert faults(capsys, tmp_path / "x") == (
        [f"{tmp_path}/x: no such folder; see what to download without --check"], 1,
    )  # fmt: skip
    empty = FileSet("Pairs", "", lambda folder: ([], {}, []), {})
    assert faults(capsys, tmp_path, empty)[0][0] == (
        f"{tmp_path}: holds no file of the set; see its layout without --check"
    )


def test_a_synthetic_set_tells_what_it_holds(folder):
    told = FileSet("Pairs", "", pairs, {"pairs": 3}, told=lambda clips, frames: {"pairs": clips["test"] * frames})
    assert contents(folder, told) is told
    marker = folder / ".synthetic"
    marker.write_text(json.dumps({"clips": {"test": 2}, "frames": 5, "size": "8x6"}))
    found = contents(folder, told)
    assert (found.counts, found.size) == ({"pairs": 10}, (8, 6))
    assert contents(folder, SET) is SET  # there are no synthetic ones of it
    for text in ("{", "[]", json.dumps({"clips": {"test": 2}, "frames": 5, "size": "8"})):
        marker.write_text(text)
        with pytest.raises(ValueError, match=r"\.synthetic: damaged; make the clips again"):
            contents(folder, told)


def test_a_signal_ends_the_check(folder, capsys, monkeypatch):
    read = file_lists.read_size

    def interrupted(path, flow):
        if path.name == "1.png":
            signal.raise_signal(signal.SIGTERM)
        return read(path, flow)

    monkeypatch.setattr(file_lists, "read_size", interrupted)
    monkeypatch.setattr(file_lists, "run_jobs", lambda work, jobs, **how: one_by_one(work, jobs, how["stop"]))
    lines, code = faults(capsys, folder)
    assert code == 128 + signal.SIGTERM
    assert lines == [f"{folder}: stopped, 3 of 5 files left to read"]


def one_by_one(work, jobs, stop):
    """Jobs in this thread, so that the signal comes in between."""
    done = []
    for job in jobs:
        if stop.signal is None:
            done.append(work(job))
    return done, len(jobs) - len(done)


# Command line


def asked(*argv):
    return parser("Check sets.", {"pairs": SET, "more": SET}).parse_args([str(word) for word in argv])


def test_without_a_flag_it_tells_what_to_download(tmp_path, capsys):
    assert run(asked("--root", tmp_path), {"pairs": SET}, "somewhere/prepare_x.py") == 0
    assert capsys.readouterr().out == f"Get it at {tmp_path}, then python datasets/prepare_x.py --set pairs --check\n"


def test_the_first_set_is_the_default_and_a_folder_may_have_another_name(folder, capsys):
    folder = folder.rename(folder.with_name("Pairs_v1"))
    options = asked("--data_root", folder.parent, "--check", "--workers", 1)
    assert options.set == "pairs"
    assert run(options, {"pairs": SET}, "x.py") == 0
    assert capsys.readouterr().out == f"{folder}: complete, every file readable\n"
    with pytest.raises(UsageError, match="--workers 0: expected 1 or more"):
        run(asked("--workers", 0), {"pairs": SET}, "x.py")
