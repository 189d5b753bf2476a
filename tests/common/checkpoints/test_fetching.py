"""Published files to their place: from their addresses, a mirror of the user's, a folder; two processes at once."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from common.checkpoints import download, fetching
from common.checkpoints.published import Entry
from common.papers import ROOT
from tests.helpers.web import reply, zipped

DATA = b"\x80" + bytes(range(1, 200)) * 9
SHA = hashlib.sha256(DATA).hexdigest()
FAST = {"timeout": 5.0, "retries": 0}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "PAUSE", 0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "VIDEOREF_MIRROR"):
        monkeypatch.delenv(name, raising=False)


def entry(file="w.pth", urls=(), **more):
    known = {"paper": "tdan", "place": "ckpt/", "name": "some weights", "config": "", "sha256": SHA, "bytes": None}
    known |= {"licence": "BSD-1", "source": "https://source.invalid", "urls": list(urls)}
    return Entry(file=file, **known | more)


def here():
    return {path.name: path.read_bytes() for path in Path("ckpt").iterdir() if path.is_file()}


def test_from_its_address(web):
    one = entry(urls=[web.url("/w", reply(DATA))])
    fetching.get(one, [one], **FAST)
    assert here() == {"w.pth": DATA}
    fetching.get(one, [one], **FAST)  # there it is
    assert len(web.asked) == 1
    fetching.get(one, [one], "elsewhere", **FAST)
    assert Path("elsewhere/w.pth").read_bytes() == DATA


def test_a_mirror_is_asked_first(web, monkeypatch):
    monkeypatch.setenv("VIDEOREF_MIRROR", f"{web.address}/mirror/")
    web.url("/mirror/sub/w.pth", reply(DATA))
    fetching.get(one := entry("sub/w.pth"), [one], **FAST)  # has no address of its own
    assert Path("ckpt/sub/w.pth").read_bytes() == DATA
    other = entry("v.pth", [web.url("/v", reply(DATA))])
    fetching.get(other, [other], **FAST)
    assert [path for path, _ in web.asked] == ["/mirror/sub/w.pth", "/mirror/v.pth", "/v"]
    packed = entry("u.pth", [web.url("/zip", reply(zipped(**{"deep/u.pth": DATA})))], archive=True)
    fetching.get(packed, [packed], **FAST)
    assert here().keys() == {"v.pth", "u.pth"}


def test_without_an_address():
    with pytest.raises(ValueError, match=r"^has no address to download from$"):
        fetching.get(one := entry(), [one], **FAST)
    assert not Path("ckpt").exists() or here() == {}


def test_what_the_network_refuses_never_takes_its_name(web):
    one = entry(urls=[web.url("/bad", reply(DATA)), web.url("/good", reply(DATA))])
    seen = []

    def check(part):
        assert part.read_bytes() == DATA
        assert not Path("ckpt/w.pth").exists()
        seen.append(part.name)
        if len(seen) < 2:
            raise ValueError("not weights of it")

    fetching.get(one, [one], check=check, **FAST)
    assert seen == ["w.pth.part"] * 2
    assert here() == {"w.pth": DATA}

    def refuse(part):
        raise ValueError("not weights of it")

    other = entry("v.pth", [web.url("/v", reply(DATA))])
    packed = entry("u.pth", [web.url("/zip", reply(zipped(**{"u.pth": DATA})))], archive=True)
    Path("folder").mkdir()
    Path("folder/v.pth").write_bytes(DATA)
    for one, more in ((other, {}), (packed, {}), (other, {"folder": Path("folder")})):
        with pytest.raises(ValueError, match="not weights of it"):
            fetching.get(one, [one], check=refuse, **FAST, **more)
    assert here() == {"w.pth": DATA}
    assert Path("folder/v.pth").read_bytes() == DATA


def test_from_a_folder(web):
    folder = Path("mine")
    (folder / "sub").mkdir(parents=True)
    (folder / "a.pth").write_bytes(DATA)
    (folder / "sub/b.pth").write_bytes(DATA)
    (folder / "bad.pth").write_bytes(DATA[1:])
    (folder / "all.zip").write_bytes(zipped(**{"x/y/c.pth": DATA, "../d.pth": DATA}))
    (folder / "broken.zip").write_bytes(b"no zip")
    url = web.url("/w", reply(DATA))
    for name in ("a.pth", "sub/b.pth", "c.pth", "d.pth"):
        fetching.get(one := entry(name, [url]), [one], folder=folder, **FAST)
        assert Path("ckpt", name).read_bytes() == DATA
    with pytest.raises(ValueError, match=r"bad\.pth: expected sha256"):
        fetching.get(one := entry("bad.pth", [url]), [one], folder=folder, **FAST)
    with pytest.raises(ValueError, match=r"^mine: expected e\.pth there, or in a zip there$"):
        fetching.get(one := entry("e.pth", [url]), [one], folder=folder, **FAST)
    assert web.asked == []
    assert here().keys() == {"a.pth", "c.pth", "d.pth"}
    assert sorted(path.name for path in Path().iterdir()) == ["ckpt", "mine"]  # nothing left its folder


def test_two_processes_at_once_fetch_it_once(web):
    web.url("/w", reply(DATA))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom types import SimpleNamespace\n"
        "from common.checkpoints import fetching\n_, url, sha, place = sys.argv\n"
        "one = SimpleNamespace(file='w.pth', path=lambda root: Path(root, 'w.pth'), urls=[url], sha256=sha, "
        "bytes=None, archive=False)\nfetching.get(one, [one], place, check=lambda _: time.sleep(0.3))\n"
    )
    command = [sys.executable, "-c", code, f"{web.address}/w", SHA, str(Path("ckpt").absolute())]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert [path for path, _ in web.asked] == ["/w"]
    assert here() == {"w.pth": DATA}


@pytest.mark.parametrize(("value", "off"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_offline(monkeypatch, value, off):
    monkeypatch.delenv("VIDEOREF_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("VIDEOREF_OFFLINE", value)
    assert fetching.is_offline() is off
