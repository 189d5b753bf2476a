"""A file from the web: resumed where it broke off, its bytes checked before it takes its name, mirror after mirror.

Proxies are those of the environment: `http_proxy`, `https_proxy`, `no_proxy`.
"""

import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

CHUNK = 1 << 18
LIMIT = 2 << 30  # bytes; no published file comes near, and a server that never ends must not fill the disk
PAUSE = 1.0  # seconds before the second try, twice as many before the next
# What zipfile raises over a damaged zip; NotImplementedError: an unknown packing, RuntimeError: a password.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # what a server answers that may answer otherwise in a moment


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url}: expected an address that begins with http:// or https://")


class _Broken(Exception):
    """The connection ended early; another try goes on from there."""


def sha256_of(path: Path) -> str:
    """Of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fault_of(path: Path, sha256: str | None = None, size: int | None = None) -> str:
    """What is wrong with a file's bytes; empty if nothing is.

    Args:
        path: the file.
        sha256: 64 hexadecimal digits or the first of them; None: not known.
        size: in bytes; None: not known.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        return f"expected {size} bytes, found {found}"
    with path.open("rb") as file:
        if file.read(64).lstrip().startswith(b"<"):
            return "expected weights, found a web page"
    if sha256 and not (digest := sha256_of(path)).startswith(sha256):
        return f"expected sha256 {sha256}, found {digest}"
    return ""


def fetch(
    urls: Sequence[str], path: Path, *, sha256: str | None = None, size: int | None = None, timeout: float = 30.0,
    retries: int = 3, check: Callable[[Path], object] | None = None,
) -> None:  # fmt: skip
    """Download a file from the first address that gives the right bytes.

    What is there so far lies in `path` with `.part` behind its name, also after an interruption, and the next call goes
    on from it. `path` itself appears at once and whole, after its bytes have been checked.

    Args:
        urls: mirrors of one file, tried in this order; http or https.
        path: where to put it; its folder is made if needed.
        sha256: 64 hexadecimal digits or the first of them; None: not known.
        size: in bytes; None: not known.
        timeout: seconds without a byte after which a connection is given up.
        retries: how often each address is tried again, from where it stopped.
        check: raises ValueError over a file that is not wanted after all.

    Raises:
        ValueError: no address gave it; the line tells why, of each.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    faults = []
    for url in urls:
        how = {"known": bool(sha256), "size": size, "timeout": timeout, "retries": retries}
        try:
            _check_scheme(url)
            resumed = part.is_file()
            _download(url, part, **how)
            if resumed and _wrong(part, sha256, size, check):  # what was there may be to blame
                _drop(part)
                _download(url, part, **how)
            finish(part, path, "", sha256, size, check)
        except (ValueError, urllib.error.URLError, http.client.HTTPException) as error:
            faults.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        return
    raise ValueError("; ".join(faults))


def extract(
    archive: Path, name: str, path: Path, *, sha256: str | None = None, size: int | None = None,
    check: Callable[[Path], object] | None = None,
) -> None:  # fmt: skip
    """Take the file `name`, in whatever folder, out of a zip; its bytes are checked before it takes its name.

    Raises:
        ValueError: the zip is broken or does not hold the file, or holds other bytes.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if member.filename.rsplit("/", 1)[-1] == name]
            if len(members) != 1:
                raise ValueError(f"{archive}: expected one file {name} in it, found {len(members)}")
            if members[0].file_size > LIMIT:
                raise ValueError(f"{archive}: {name} has {members[0].file_size} bytes, expected at most {LIMIT}")
            with opened.open(members[0]) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
    except BROKEN_ZIP as error:
        _drop(part)
        raise ValueError(f"{archive}: broken zip ({error})") from error
    finish(part, path, f"{archive}: {name}", sha256, size, check)


def finish(
    part: Path, path: Path, source: str, sha256: str | None, size: int | None, check: Callable[[Path], object] | None
) -> None:
    """Give a file that is complete its name, after its bytes have been checked; one that is wrong is removed.

    Args:
        part: the file.
        path: its name.
        source: names it in errors; "": the caller does.
        sha256: as for `fetch`.
        size: as for `fetch`.
        check: as for `fetch`.

    Raises:
        ValueError: it is wrong.
    """
    if fault := _wrong(part, sha256, size, check):
        _drop(part)
        raise ValueError(f"{source}: {fault}" if source else fault)
    _origin(part).unlink(missing_ok=True)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


def _wrong(part: Path, sha256: str | None, size: int | None, check: Callable[[Path], object] | None) -> str:
    """What is wrong with a file; empty if nothing is."""
    if fault := fault_of(part, sha256, size):
        return fault
    try:
        if check:
            check(part)
    except ValueError as error:
        return str(error)
    return ""


def _origin(part: Path) -> Path:
    """Keeps the address that a part is from, and what the server called its version."""
    return part.with_name(f"{part.name}.from")


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _origin(part).unlink(missing_ok=True)


def _download(url: str, part: Path, *, known: bool, size: int | None, timeout: float, retries: int) -> None:
    """Complete `part` from one address.

    Raises:
        ValueError: it breaks off too often, or announces another size.
        OSError: the server refuses, or cannot be reached.
    """
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            return _connect(url, part, known=known, size=size, timeout=timeout)
        except urllib.error.HTTPError as error:
            fault = f"{error.code} {error.reason}"
            if error.code not in AGAIN:
                raise ValueError(f"the server answers {fault}") from error
        except (_Broken, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            fault = f"no byte in {timeout:g} s" if isinstance(error, TimeoutError) else str(error) or repr(error)
    here = part.stat().st_size if part.is_file() else 0
    raise ValueError(f"gave up after {retries + 1} tries ({fault}); {here} bytes are kept for the next time")


def _connect(url: str, part: Path, *, known: bool, size: int | None, timeout: float) -> None:
    """One connection: go on behind what is there, or start over where that cannot be."""
    origin = _origin(part).read_text().splitlines() if _origin(part).is_file() else []
    same, version = origin[:1] == [url], (origin[1] if len(origin) > 1 else "")
    have = part.stat().st_size if part.is_file() else 0
    if have and not known and not (same and version):  # nothing would tell that two files had been joined
        have = 0
    if have and size is not None and have >= size:
        if have == size:
            return
        have = 0
    headers = {"User-Agent": "videoref"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if same and version:
            headers["If-Range"] = version
    opener = urllib.request.build_opener(_Redirects)  # each time: the environment may name a proxy
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":  # it was complete
            return
        _drop(part)
        raise _Broken("no such range") from error
    with response:
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdigit() else None
        if response.status == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not span or int(span[1]) != have:
                _drop(part)
                raise _Broken("another range than was asked for")
            total = int(span[2]) if span[2] != "*" else None if total is None else have + total
        else:
            have = 0
        if size is not None and total not in (None, size):
            raise ValueError(f"announces {total} bytes, expected {size}")
        total = size if total is None else total
        if total is not None and total > LIMIT:
            raise ValueError(f"announces {total} bytes, expected at most {LIMIT}")
        etag = response.headers.get("ETag", "")
        version = response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
        _origin(part).write_text(f"{url}\n{version}\n")
        _receive(response, part, have, total)


def _receive(response: http.client.HTTPResponse, part: Path, have: int, total: int | None) -> None:
    most = LIMIT if total is None else total
    name = part.name.removesuffix(".part")
    bar = tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None)
    with bar, part.open("ab" if have else "wb") as file:
        while data := response.read1(CHUNK):
            have += len(data)
            if have > most:
                file.close()
                _drop(part)
                raise ValueError(f"sends more than {most} bytes")
            file.write(data)
            bar.update(len(data))
    if total is not None and have < total:
        raise _Broken(f"ended after {have} of {total} bytes")
