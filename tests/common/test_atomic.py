"""Whole or not at all: what a writer leaves when it ends, fails, or meets a full disk."""

import errno
import os

import pytest

from common import atomic


def test_a_file_appears_with_its_folder_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new/folder/list.txt"
    atomic.write_text(path, "größer\n")
    atomic.write_text(path, "second\n")
    assert path.read_text(encoding="utf-8") == "second\n"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("old")

    def interrupted():
        with atomic.replacing(path) as file:
            file.write(b"half")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_is_one_line_with_the_path(tmp_path, monkeypatch, broken):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, broken, full)
    path = tmp_path / "checkpoints.txt"
    with pytest.raises(OSError, match=r"checkpoints\.txt: could not be written \(No space left on device\)"):
        atomic.write_text(path, "line\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file.list\.txt: could not be written"):
        atomic.write_bytes(tmp_path / "file/list.txt", b"")


def test_what_has_a_temporary_look_is_not_touched(tmp_path):
    for name in ("a.part", ".a.tmp", "a.tmp"):
        (tmp_path / name).write_text("mine")
    atomic.write_text(tmp_path / "a", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "new", "a.part": "mine", ".a.tmp": "mine", "a.tmp": "mine",
    }  # fmt: skip


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (f".{'0a' * 16}.tmp", ".a.tmp", "a.tmp", f"{'0a' * 16}.tmp"):
        (tmp_path / name).write_text("x")
    atomic.remove_halves(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".a.tmp", "a.tmp", f"{'0a' * 16}.tmp"])


def test_a_name_that_nobody_has(tmp_path):
    made = [atomic.unused(tmp_path / f"{'名' * 80}.mp4").name for _ in range(3)]
    assert made == [f"{'名' * 60}.part{number}.mp4" for number in ("", 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(made)
