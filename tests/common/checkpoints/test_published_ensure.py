"""Published weights that are fetched unasked: by a name in Python, and by own video; rules of their addresses."""

import re
from pathlib import Path

import pytest
import torch

import ifrnet
import pvdnet
from common.checkpoints import box, checkpoint_file, download, published, run_checkpoints
from common.checkpoints.published import PAPERS, Entry, ensure, entries
from ifrnet.model import IFRNet
from tests.helpers.clips import pictures, write_folder
from tests.helpers.runs import call
from tests.helpers.web import reply


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The bytes of an IFRNet; fetching is allowed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIDEOREF_OFFLINE")
    monkeypatch.setattr(download, "PAUSE", 0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "VIDEOREF_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    torch.manual_seed(0)
    checkpoint_file.save(IFRNet("IFRNet_tiny").state_dict(), "made.pth")
    made = Path("made.pth").read_bytes()
    Path("made.pth").unlink()
    return made


@pytest.fixture
def listed(monkeypatch):
    """Sets what IFRNet lists."""

    def put(*given):
        for module in (published, run_checkpoints, "common.checkpoints.by_name"):
            where = f"{module}.entries" if isinstance(module, str) else f"{module.__name__}.entries"
            monkeypatch.setattr(where, lambda paper: [one for one in given if one.paper == paper])
        return given[0]

    return put


def entry(urls, **more):
    known = {"paper": "ifrnet", "place": "ckpt/", "name": "n", "file": "Theirs.pth", "config": "IFRNet_tiny"}
    known |= {"sha256": None, "bytes": None, "licence": "MIT", "source": "https://source.invalid", "urls": list(urls)}
    return Entry(**known | more)


@pytest.mark.parametrize("name", ["Theirs", "Theirs.pth", "ifrnet/Theirs.pth", "ckpt/Theirs.pth"])
def test_by_name(name, data, listed, web, caplog):
    listed(entry([web.url("/w", reply(data))]))
    model = ifrnet.load(name, device="cpu")
    assert model.network.size == "IFRNet_tiny"
    assert Path("ckpt/Theirs.pth").read_bytes() == data
    (line,) = caplog.messages
    assert line == f"ckpt/Theirs.pth: licence MIT, from https://source.invalid; {len(data)} bytes fetched"
    ifrnet.load(name, device="cpu")
    assert len(web.asked) == 1


def test_a_licence_that_forbids_something_is_told_before(data, listed, web, caplog):
    def answer(handler):
        assert len(caplog.messages) == 1
        reply(data)(handler)

    ensure(listed(entry([web.url("/w", answer)], licence="CC BY-NC-SA 4.0")))
    assert re.match("ckpt.Theirs.pth: its licence restricts .*: CC BY-NC-SA 4.0; see https://s", caplog.messages[0])
    assert len(caplog.messages) == 2


def test_which_licences_do():
    told = {entry.licence: entry.restricted for paper in PAPERS for entry in entries(paper)}
    assert {licence for licence, restricted in told.items() if not restricted} == {"MIT", "Apache-2.0"}
    assert sum(told.values()) >= 4


def test_offline_nothing_is_fetched(data, listed, web, monkeypatch):
    one = listed(entry([web.url("/w", reply(data))]))
    hand = r"not here, and nothing is fetched \(--offline, VIDEOREF_OFFLINE\); open https://source.invalid, put the"
    with pytest.raises(ValueError, match=hand):
        ensure(one, offline=True)
    monkeypatch.setenv("VIDEOREF_OFFLINE", "1")
    with pytest.raises(ValueError, match=hand):
        ifrnet.load("Theirs")
    assert web.asked == []


def test_what_is_no_weights_is_refused(data, listed, web):
    one = listed(entry([web.url("/cut", reply(data[:-200])), web.url("/page", reply(b"<html>"))]))
    with pytest.raises(
        ValueError, match=r"ifrnet/Theirs.pth: not fetched: .*/cut: .*broken.*/page: .*a web page; open"
    ):
        ensure(one)
    other = listed(entry([web.url("/w", reply(data))], config="IFRNet_GoPro"))
    with pytest.raises(ValueError, match="holds IFRNet_tiny, but IFRNet was asked for"):
        ensure(other)
    assert list(Path("ckpt").iterdir()) == []
    why = listed(entry([], no_address="it is sold"))
    with pytest.raises(ValueError, match=r"has no address to download from \(it is sold\); open https"):
        ensure(why)


def test_fetch_takes_from_a_folder(data, listed, capsys, monkeypatch, tmp_path):
    listed(entry([]))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/Theirs.pth").write_bytes(data)
    monkeypatch.setattr(published, "PAPERS", ("ifrnet",))
    code, out, error = call(capsys, published.main, "fetch", "Theirs.pth", "--from", "mine")
    assert (code, error) == (0, "")
    assert "ckpt/Theirs.pth: " in out
    assert Path("ckpt/Theirs.pth").read_bytes() == data
    code, _, error = call(capsys, published.main, "fetch", "Theirs.pth", "--from", "none", "--root", "r")
    assert code == 1
    assert "none: expected Theirs.pth there, or in a zip there; open https://source.invalid" in error


# Own video


@pytest.fixture
def video(tmp_path, data, monkeypatch, capsys):
    """Runs IFRNet's command on two frames; an empty box."""
    monkeypatch.setattr(box, "ROOT", tmp_path)
    write_folder(tmp_path / "in", pictures(2, 32, 32))
    from ifrnet import run

    return lambda *more: call(capsys, run.main, "--input", "in", "--output", "out", "--device", "cpu", *more)


@pytest.mark.parametrize(
    "flags",
    ["--weights Theirs", "--ckpt_abs_name ckpt/Theirs.pth", "--config IFRNet_tiny",
     "--config IFRNet_tiny --weights published"],
)  # fmt: skip
def test_own_video_fetches_what_it_needs(flags, data, listed, web, video):
    listed(entry([web.url("/w", reply(data))]))
    code, _, error = video("--multi", "2", *flags.split(), "--offline")
    assert (code, len(error.splitlines()), web.asked) == (1, 1, [])
    code, out, error = video("--multi", "2", *flags.split())
    assert (code, out) == (0, "3 frames -> out\n"), error
    assert Path("ckpt/Theirs.pth").read_bytes() == data


def test_tests_and_exports_fetch_nothing(data, listed, web, capsys):
    listed(entry([web.url("/w", reply(data))]))
    from ifrnet import run

    code, _, error = call(capsys, run.main, "--data", "vimeo90k", "--config", "IFRNet_tiny")
    assert code == 1
    assert "put the published ones at ckpt/Theirs.pth" in error
    assert web.asked == []


# The addresses


def test_rules_of_addresses():
    files = {}
    for paper in PAPERS:
        for one in entries(paper):
            assert bool(one.urls) != bool(one.no_address), f"{one.key}: an address, or why there is none"
            for url in [*one.urls, one.page, one.source]:
                assert not url or url.startswith("https://"), url
                if "/sh/" in url:  # a shared folder answers only with its key
                    assert re.search(r"/sh/\w{15}/AA[\w-]{23}\b", url), url
            assert len(set(one.urls)) == len(one.urls)
            for url in () if one.archive else one.urls:
                assert files.setdefault(url, one.key) == one.key, f"{url}: of {files[url]}, too"
            assert one.archive or all(Path(url).name == Path(one.file).name for url in one.urls)
    assert len(files) > 20


@pytest.mark.parametrize("paper", [ifrnet, pvdnet])
def test_every_published_name_is_known(paper):
    for one in entries(paper.__name__):
        with pytest.raises(ValueError, match=f"^ckpt.{re.escape(one.file)}: not here, and nothing is fetched"):
            paper.load(Path(one.file).stem)
