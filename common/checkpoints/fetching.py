"""Published files brought to their place: from their addresses, a mirror of the user's, or a folder.

`VIDEOREF_MIRROR`: an address under which the files lie by their names, asked before those that are published.
`VIDEOREF_OFFLINE=1`: nothing is fetched unasked.
"""

import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.checkpoints import download
from common.file_lock import alone

if TYPE_CHECKING:
    from common.checkpoints.published import Entry

Check = Callable[[Path], object]


def is_offline() -> bool:
    """Whether the environment forbids to fetch what nobody asked for by `fetch`."""
    return os.environ.get("VIDEOREF_OFFLINE", "") not in ("", "0")


def get(
    entry: "Entry", listed: Sequence["Entry"], root: str | None = None, *, folder: Path | None = None,
    timeout: float = 30.0, retries: int = 3, check: Check | None = None,
) -> None:  # fmt: skip
    """Bring a published file to its place, whole and checked; waits while another process does it.

    Args:
        entry: the file.
        listed: what its paper lists; what else a zip holds of it, and is absent, is taken along.
        root: stands for the place.
        folder: take it from there, or from a zip there, and not from the web.
        timeout: seconds without a byte after which a connection is given up.
        retries: how often an address is tried again.
        check: raises ValueError over a file that is not wanted after all, before it takes its name.

    Raises:
        ValueError: it could not be got; the line tells why, of each place.
    """
    path = entry.path(root)
    comes = _archive(entry, path) if entry.archive else path
    with alone(comes.with_name(f".{comes.name}.lock")):
        if path.is_file():  # another process was first
            return
        if folder is not None:
            _take(entry, path, folder, check)
            return
        how = {"timeout": timeout, "retries": retries}
        mirror = os.environ.get("VIDEOREF_MIRROR", "").rstrip("/")
        plain = ([f"{mirror}/{entry.file}"] if mirror else []) + ([] if entry.archive else entry.urls)
        if not plain and not entry.urls:
            raise ValueError("has no address to download from")
        faults = []
        if plain:
            try:
                return download.fetch(plain, path, sha256=entry.sha256, size=entry.bytes, check=check, **how)
            except ValueError as error:
                faults.append(str(error))
        if entry.archive:
            try:
                return _fetch_archive(entry, listed, root, how, check)
            except ValueError as error:
                faults.append(str(error))
        raise ValueError("; ".join(faults))


def _archive(entry: "Entry", path: Path) -> Path:
    return path.with_name(f"{entry.paper}.zip")


def _fetch_archive(entry, listed, root, how: dict, check: Check | None) -> None:
    """Take a file out of a zip, and with it whatever else the paper lists of it and is absent."""
    path = entry.path(root)
    archive, faults = _archive(entry, path), []
    for url in entry.urls:
        if archive.is_file():
            raise ValueError(f"{archive} is in the way; move it away")
        try:
            download.fetch([url], archive, **how)
            _extract(entry, archive, path, check)
        except ValueError as error:
            faults.append(str(error))
            continue
        else:
            for other in listed:
                if other.urls == entry.urls and other != entry and not other.path(root).is_file():
                    try:
                        _extract(other, archive, other.path(root))
                    except ValueError:
                        continue  # it was not asked for
            return
        finally:
            archive.unlink(missing_ok=True)
    raise ValueError("; ".join(faults))


def _take(entry: "Entry", path: Path, folder: Path, check: Check | None) -> None:
    """Copy a file out of a folder, where it lies by its name or in a zip."""
    for file in (folder / entry.file, folder / Path(entry.file).name):
        if file.is_file():
            part = path.with_name(f"{path.name}.part")
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part)
            return download.finish(part, path, str(file), entry.sha256, entry.bytes, check)
    for archive in sorted(folder.glob("*.zip")):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                held = [name.rsplit("/", 1)[-1] for name in opened.namelist()]
            if Path(entry.file).name in held:
                return _extract(entry, archive, path, check)
    raise ValueError(f"{folder}: expected {Path(entry.file).name} there, or in a zip there")


def _extract(entry: "Entry", archive: Path, path: Path, check: Check | None = None) -> None:
    download.extract(archive, Path(entry.file).name, path, sha256=entry.sha256, size=entry.bytes, check=check)
