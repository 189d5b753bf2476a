"""Downloads from servers that break off, stall, lie, refuse and redirect; nothing leaves this machine."""

import hashlib
import signal
import zipfile
from pathlib import Path

import pytest

from common.checkpoints import download
from tests.helpers.web import ranged, reply, serve, stalling

DATA = bytes(range(1, 251)) * 20
HALF = len(DATA) // 2
SHA = hashlib.sha256(DATA).hexdigest()
WRONG = DATA[::-1]
FAST = {"timeout": 5.0, "retries": 1}


@pytest.fixture(autouse=True)
def _small_and_offline(tmp_path, monkeypatch):
    """Small chunks, no waiting, no proxy of this machine, an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "CHUNK", 700)
    monkeypatch.setattr(download, "PAUSE", 0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for one in (name, name.upper()):
            monkeypatch.delenv(one, raising=False)


FILE, PART, ORIGIN = Path("ckpt/w.pth"), Path("ckpt/w.pth.part"), Path("ckpt/w.pth.part.from")


def complete():
    return FILE.read_bytes() == DATA and sorted(path.name for path in FILE.parent.iterdir()) == [FILE.name]


def part(data, url="", version=""):
    PART.parent.mkdir(exist_ok=True)
    PART.write_bytes(data)
    if url:
        ORIGIN.write_text(f"{url}\n{version}\n")


@pytest.mark.parametrize("sha256", [SHA, SHA[:8], None])
def test_a_whole_file(web, sha256):
    download.fetch([web.url("/w", reply(DATA))], FILE, sha256=sha256, size=len(DATA), **FAST)
    assert complete()
    assert [(path, "Range" in headers) for path, headers in web.asked] == [("/w", False)]


def test_what_breaks_off_is_asked_for_from_there(web):
    url = web.url("/w", reply(DATA, close_after=HALF, ETag='"v1"'), ranged(DATA, '"v1"'))
    download.fetch([url], FILE, **FAST)
    assert complete()
    assert [headers.get("Range") for _, headers in web.asked] == [None, f"bytes={HALF}-"]
    assert web.asked[1][1]["If-Range"] == '"v1"'


def test_the_next_call_goes_on(web):
    url = web.url("/w", reply(DATA, close_after=HALF), reply(status=404))
    with pytest.raises(ValueError, match="404"):
        download.fetch([url], FILE, sha256=SHA, **FAST)
    assert PART.read_bytes() == DATA[:HALF]
    mirror = web.url("/mirror", ranged(DATA))
    download.fetch([mirror], FILE, sha256=SHA, **FAST)
    assert complete()
    assert web.asked[-1][1]["Range"] == f"bytes={HALF}-"


def test_a_server_without_ranges_starts_over(web):
    url = web.url("/w", reply(DATA, close_after=HALF), reply(DATA))
    download.fetch([url], FILE, sha256=SHA, **FAST)
    assert complete()
    assert "Range" in web.asked[1][1]


@pytest.mark.parametrize("span", [f"bytes 0-{len(DATA) - 1}/{len(DATA)}", "bytes", None])
def test_a_range_that_was_not_asked_for_starts_over(web, span):
    part(DATA[:HALF])
    headers = {"Content_Range": span} if span else {}
    url = web.url("/w", reply(DATA, 206, **headers), ranged(DATA))
    download.fetch([url], FILE, sha256=SHA, **FAST)
    assert complete()
    assert [headers.get("Range") for _, headers in web.asked] == [f"bytes={HALF}-", None]


def test_without_a_checksum_only_one_version_is_joined(web):
    url = web.url("/w", ranged(DATA, '"new"'))
    part(WRONG[:HALF], url, '"old"')  # the server has another version now and sends all of it
    download.fetch([url], FILE, **FAST)
    assert complete()
    FILE.unlink()
    for origin in (("", ""), (url, ""), (f"{url}/other", '"new"')):
        part(WRONG[:HALF], *origin)  # nothing tells whether it fits
        download.fetch([url], FILE, **FAST)
        assert complete()
        assert "Range" not in web.asked[-1][1]
        FILE.unlink()
    part(DATA[:HALF], url, '"new"')
    download.fetch([url], FILE, **FAST)
    assert complete()
    assert web.asked[-1][1]["Range"] == f"bytes={HALF}-"


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_was_complete(web, size):
    part(DATA)
    download.fetch([web.url("/w", ranged(DATA))], FILE, sha256=SHA, size=size, **FAST)
    assert complete()
    assert len(web.asked) == (size is None)


@pytest.mark.parametrize("old", [WRONG[:HALF], WRONG, WRONG + b"more"])
def test_a_part_of_something_else_is_dropped(web, old):
    part(old)
    download.fetch([web.url("/w", ranged(DATA))], FILE, sha256=SHA, **FAST)
    assert complete()


def test_a_stalled_connection_is_dropped(web):
    url = web.url("/w", stalling(web, DATA, HALF), ranged(DATA))
    download.fetch([url], FILE, sha256=SHA, timeout=0.2, retries=1)
    assert complete()
    assert web.asked[1][1]["Range"] == f"bytes={HALF}-"


def test_retries_end_and_the_part_stays(web):
    url = web.url("/w", reply(DATA, close_after=HALF), reply(DATA[HALF:], 206, close_after=9,
                  Content_Range=f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"))  # fmt: skip
    with pytest.raises(
        ValueError, match=rf"gave up after 2 tries \(ended after {HALF + 9} of 5000 bytes\); {HALF + 9} b"
    ):
        download.fetch([url], FILE, sha256=SHA, timeout=5, retries=1)
    assert PART.read_bytes() == DATA[: HALF + 9]
    assert not FILE.exists()
    stall = web.url("/stall", stalling(web, DATA, 0))
    with pytest.raises(ValueError, match=r"gave up after 1 tries \(no byte in 0.2 s\)"):
        download.fetch([stall], FILE, sha256=SHA, timeout=0.2, retries=0)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (reply(DATA + b"more"), "announces 5004 bytes, expected 5000"),
        (reply(DATA[:-1]), "announces 4999 bytes, expected 5000"),
        (reply(DATA + b"more", length="none"), "sends more than 5000 bytes"),
        (reply(DATA[:-1], length="none"), "gave up after 2 tries .ended after 4999 of 5000 bytes"),
        (reply(WRONG), f"expected sha256 {SHA}, found {hashlib.sha256(WRONG).hexdigest()}"),
        (reply(b"\n<!DOCTYPE html>" + DATA[16:]), "expected weights, found a web page"),
        (reply(b"gone", 410), "the server answers 410 Gone"),
        (reply(b"later", 503), "gave up after 2 tries .503 Service Unavailable"),
        (reply(status=302, Location="ftp://127.0.0.1/w"), "ftp://127.0.0.1/w: expected an address that begins with"),
        (reply(status=302, Location="file:///etc/passwd"), "the server answers 302 .* is not allowed"),
    ],
)
def test_faults_are_told_and_the_mirror_is_taken(web, answer, fault):
    bad, good = web.url("/bad", answer), web.url("/good", ranged(DATA))
    with pytest.raises(ValueError, match=f"^{bad}: .*{fault}"):
        download.fetch([bad], FILE, sha256=SHA, size=len(DATA), **FAST)
    assert not FILE.exists()
    assert not PART.exists() or PART.read_bytes() == DATA[:-1]  # what is wrong is not kept
    download.fetch([bad, good], FILE, sha256=SHA, size=len(DATA), **FAST)
    assert complete()


def test_a_length_that_is_too_short_shows_in_the_checksum(web):
    url = web.url("/w", reply(DATA, length=HALF))
    with pytest.raises(ValueError, match="expected sha256"):
        download.fetch([url], FILE, sha256=SHA, **FAST)
    assert not FILE.exists()


def test_a_server_that_never_ends(web, monkeypatch):
    monkeypatch.setattr(download, "LIMIT", 3000)
    for answer, fault in (
        (reply(DATA), "announces 5000 bytes, expected at most 3000"),
        (reply(DATA, length="none"), "sends more than 3000 bytes"),
    ):
        with pytest.raises(ValueError, match=fault):
            download.fetch([web.url("/w", answer)], FILE, **FAST)
        assert not PART.exists()


def test_mirrors_are_tried_in_order(web):
    urls = [web.url(f"/{name}", reply(status=404)) for name in "ab"] + [web.url("/c", reply(DATA)), web.url("/d")]
    download.fetch(urls, FILE, sha256=SHA, **FAST)
    assert complete()
    assert [path for path, _ in web.asked] == ["/a", "/b", "/c"]
    with pytest.raises(ValueError, match=rf"^{urls[0]}: .*404.*; {urls[1]}: .*404"):
        download.fetch(urls[:2], FILE, **FAST)


def test_only_what_may_change_is_asked_again(web):
    url = web.url("/w", reply(status=503), reply(DATA))
    download.fetch([url], FILE, **FAST)
    assert complete()
    with pytest.raises(ValueError, match="404"):
        download.fetch([web.url("/gone", reply(status=404))], FILE, **FAST)
    assert [path for path, _ in web.asked] == ["/w", "/w", "/gone"]


def test_redirects_keep_the_range(web):
    part(DATA[:HALF])
    there = web.url("/there", ranged(DATA))
    url = web.url("/w", reply(status=302, Location=there))
    download.fetch([url], FILE, sha256=SHA, **FAST)
    assert complete()
    assert web.asked[1][1]["Range"] == f"bytes={HALF}-"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/w", "w.pth"])
def test_only_the_web(url):
    with pytest.raises(ValueError, match="expected an address that begins with http:// or https://"):
        download.fetch([url], FILE, **FAST)


def test_nobody_listens(web):
    with serve() as other:
        gone = other.url("/w")
    with pytest.raises(ValueError, match="refused"):
        download.fetch([gone], FILE, **FAST)
    download.fetch([gone, web.url("/w", reply(DATA))], FILE, **FAST)
    assert complete()


def test_proxies_of_the_environment(web, monkeypatch):
    address = "http://weights.invalid/w.pth"
    web.answers[address] = [reply(DATA)]  # a proxy is asked for whole addresses
    monkeypatch.setenv("http_proxy", web.address)
    download.fetch([address], FILE, sha256=SHA, **FAST)
    assert complete()
    assert [path for path, _ in web.asked] == [address]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    download.fetch([web.url("/w", reply(DATA))], FILE, sha256=SHA, **FAST)
    assert web.asked[-1][0] == "/w"


def test_an_interruption_keeps_the_part(web, monkeypatch):
    class Bar(download.tqdm):
        seen = 0

        def update(self, n):
            Bar.seen += n
            if Bar.seen >= HALF:
                signal.raise_signal(signal.SIGINT)
            super().update(n)

    url = web.url("/w", ranged(DATA, '"v1"'))
    monkeypatch.setattr(download, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        download.fetch([url], FILE, **FAST)
    kept = PART.read_bytes()
    assert HALF <= len(kept) < len(DATA)
    assert DATA.startswith(kept)
    assert not FILE.exists()
    monkeypatch.setattr(download, "tqdm", Bar.__base__)
    download.fetch([url], FILE, **FAST)
    assert complete()
    assert web.asked[-1][1]["Range"] == f"bytes={len(kept)}-"


# Zips


def archive(path="w.zip", **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return Path(path)


def test_a_file_is_taken_out_of_whatever_folder():
    download.extract(archive(**{"a/b/w.pth": DATA, "a/xw.pth": WRONG, "../v.pth": WRONG}), "w.pth", FILE, sha256=SHA)
    assert complete()
    download.extract(Path("w.zip"), "v.pth", Path("ckpt/v.pth"))
    assert Path("ckpt/v.pth").read_bytes() == WRONG


def test_zips_that_are_refused(monkeypatch):
    for members, fault in (
        ({"other": DATA}, "expected one file w.pth in it, found 0"),
        ({"a/w.pth": DATA, "b/w.pth": DATA}, "expected one file w.pth in it, found 2"),
        ({"w.pth": WRONG}, "w.pth: expected sha256"),
    ):
        with pytest.raises(ValueError, match=rf"w\.zip: {fault}"):
            download.extract(archive(**members), "w.pth", FILE, sha256=SHA)
    broken = bytearray(archive(**{"w.pth": DATA}).read_bytes())
    broken[60:70] = bytes(10)
    with zipfile.ZipFile("w.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("w.pth", DATA)
    unpackable = bytearray(Path("w.zip").read_bytes())
    unpackable[30 + len("w.pth")] = 0xFF  # behind the header: no kind of block that there is
    for data in (bytes(broken), broken[:-30], unpackable, b"no zip"):
        Path("w.zip").write_bytes(data)
        with pytest.raises(ValueError, match=r"w\.zip: broken zip"):
            download.extract(Path("w.zip"), "w.pth", FILE, sha256=SHA)
    monkeypatch.setattr(download, "LIMIT", 4999)
    with pytest.raises(ValueError, match=r"w\.pth has 5000 bytes, expected at most 4999"):
        download.extract(archive(**{"w.pth": DATA}), "w.pth", FILE)
    assert not FILE.exists()
    assert not PART.exists()
