"""Work that a signal ends between two jobs, and folders that hold one kind of file."""

import json
import signal
import threading

import pytest

from common.cli import UsageError
from common.sets.resumable_jobs import claim, run_jobs
from common.stop_request import StopRequest

HOW = {"title": "test", "unit": "job"}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once(workers):
    with StopRequest() as stop:
        done, left = run_jobs(lambda n: n * n, range(20), workers=workers, stop=stop, **HOW)
    assert (sorted(done), left) == ([n * n for n in range(20)], 0)


def test_what_is_under_way_is_finished_and_the_rest_passed_over():
    seen = []
    with StopRequest() as stop:

        def work(number):
            seen.append(number)
            if number == 3:
                stop.signal = signal.SIGTERM
            return number

        done, left = run_jobs(work, range(10), workers=1, stop=stop, **HOW)
    assert seen == sorted(done) == [0, 1, 2, 3]
    assert left == 6


def test_jobs_run_at_once():
    together = threading.Barrier(3, timeout=20)
    with StopRequest() as stop:
        done, left = run_jobs(lambda _: together.wait() >= 0, range(3), workers=3, stop=stop, **HOW)
    assert (done, left) == ([True] * 3, 0)


def test_an_error_ends_the_whole_and_a_result_may_be_none():
    with StopRequest() as stop:
        assert run_jobs(lambda _: None, range(4), workers=2, stop=stop, **HOW) == ([None] * 4, 0)
        with pytest.raises(ZeroDivisionError):
            run_jobs(lambda n: 1 / (n - 2), range(4), workers=1, stop=stop, **HOW)


# Folders of one kind

MADE_BY = {"network": "A", "seed": 1}


def claimed(folder, **made_by):
    claim(folder / "made.json", MADE_BY | made_by, "labels", "labels of unknown origin: move them away")


def test_a_folder_is_for_one_kind(tmp_path):
    folder = tmp_path / "flow"
    for _ in range(2):
        claimed(folder)
        assert json.loads((folder / "made.json").read_text()) == MADE_BY
    (folder / "a.flo").write_bytes(b"x")
    claimed(folder)
    with pytest.raises(UsageError, match=r"flow holds labels of another kind \(seed 1\): go on with it, or move it"):
        claimed(folder, seed=2)
    with pytest.raises(UsageError, match=r"another kind \(network A, version None\)"):
        claimed(folder, network="B", version=1)
    assert json.loads((folder / "made.json").read_text()) == MADE_BY


def test_files_without_a_record_are_not_mixed_with(tmp_path):
    folder = tmp_path / "flow"
    folder.mkdir()
    claimed(folder)  # an empty folder is free
    (folder / "a.flo").write_bytes(b"x")
    (folder / "made.json").unlink()
    with pytest.raises(UsageError, match=r"flow holds labels of unknown origin: move them away$"):
        claimed(folder)


@pytest.mark.parametrize("text", ["", "[1]", "3", "{"])
def test_damaged_records(tmp_path, text):
    (tmp_path / "made.json").write_text(text)
    with pytest.raises(ValueError, match=r"made\.json: damaged; move .* away to make its files again"):
        claimed(tmp_path)
