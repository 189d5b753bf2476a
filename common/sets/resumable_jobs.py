"""What scripts that write many files share: work that can be stopped and gone on with, folders of one kind of file."""

import json
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm import tqdm

from common.atomic import write_bytes
from common.cli import UsageError
from common.stop_request import StopRequest


def run_jobs(
    work: Callable, jobs: Sequence, *, workers: int, title: str, unit: str, stop: StopRequest
) -> tuple[list, int]:
    """Work on jobs in threads until a signal comes: what is under way then is finished, the rest is passed over.

    Args:
        work: takes a job; an error of it ends the whole.
        jobs: in any order.
        workers: threads.
        title: of the progress bar.
        unit: of the progress bar.
        stop: entered, so that signals set it.

    Returns:
        What `work` returned, in no order, and the number of jobs left.
    """

    def guarded(job):
        return None if stop.signal is not None else (work(job),)

    done = []
    with ThreadPool(workers) as pool, tqdm(total=len(jobs), desc=title, unit=unit, disable=None) as bar:
        for result in pool.imap_unordered(guarded, jobs):
            if result is not None:
                bar.update()
                done += result
    return done, len(jobs) - len(done)


def claim(record: Path, made_by: dict, what: str, unknown: str) -> None:
    """Keep the folder of `record` for files of one kind, and write down there which.

    Args:
        record: JSON file.
        made_by: what makes the files; it may differ in nothing from what the record holds.
        what: what the folder holds, for errors.
        unknown: what it holds if there are files without a record, and what to do about it.

    Raises:
        UsageError: it holds others.
        ValueError: what is written there is damaged.
    """
    folder = record.parent
    if record.is_file():
        try:
            found = dict(json.loads(record.read_text()))
        except (ValueError, TypeError):
            raise ValueError(f"{record}: damaged; move {folder} away to make its files again") from None
        differing = [f"{key} {found.get(key)}" for key, value in made_by.items() if found.get(key) != value]
        if differing:
            raise UsageError(
                f"{folder} holds {what} of another kind ({', '.join(differing)}): go on with it, or move it away"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} holds {unknown}")
    else:
        write_bytes(record, json.dumps(made_by, indent=1).encode())
