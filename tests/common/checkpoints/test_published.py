"""Published checkpoints by name: the five lists, and to list, fetch, verify and convert."""

import hashlib
import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from common.checkpoints import checkpoint_file, download, published
from common.checkpoints.box import boxed
from common.checkpoints.published import PAPERS, Entry, entries
from ifrnet.model import IFRNet
from tdan.model import TDAN
from tests.helpers.runs import call
from tests.helpers.web import ranged, reply, zipped
from toflow.model import FORMS, TOFlow

DATA = b"\x80" + bytes(range(1, 200)) * 9
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No weights, no waiting, no proxy of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "PAUSE", 0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def entry(paper="tdan", file="w.pth", urls=(), **more):
    known = {"place": "ckpt/", "name": "some weights", "config": "", "sha256": SHA, "bytes": None}
    known |= {"licence": "BSD-1", "source": "https://source.invalid", "urls": list(urls)}
    return Entry(paper=paper, file=file, **known | more)


@pytest.fixture
def listed(monkeypatch):
    """Sets what the papers list."""

    def put(*given):
        monkeypatch.setattr(published, "entries", lambda paper: [one for one in given if one.paper == paper])

    return put


def run(capsys, *argv):
    return call(capsys, published.main, *argv)


# The lists


def test_every_list_has_the_same_form():
    files = []
    for paper in PAPERS:
        presets = importlib.import_module(f"{paper}.config").preset
        for one in entries(paper):
            files.append(one.file)
            carried = re.search(r"-([0-9a-f]{8})\.pth$", one.file)
            if one.sha256 is None:
                assert carried is None
            else:
                assert re.fullmatch("[0-9a-f]{8,64}", one.sha256)
                assert one.sha256.startswith(carried[1])
            assert one.bytes is None or one.bytes > 0
            assert one.place == "ckpt/"
            assert not one.config or presets(one.config)
            assert all(re.match("https?://", url) for url in [*one.urls, one.source])
            assert one.archive or all(url.endswith(f"/{Path(one.file).name}") for url in one.urls)
            assert one.page or not one.archive
            assert one.name
            assert one.licence
    assert len(files) == len(set(files))  # so that a file's name is enough, and none takes another's place


def test_the_files_are_json_of_one_layout():
    for path in sorted(published.ROOT.glob("*/checkpoints.json")):
        text = path.read_text()
        assert text == json.dumps(json.loads(text), indent=2) + "\n"
        assert list(json.loads(text)) == ["place", "checkpoints"]


# list


def test_list_tells_what_is_here(capsys, listed, monkeypatch):
    monkeypatch.setattr(published, "boxed", lambda _: [])
    listed(
        entry(file="here.pth"),
        entry(file="absent.pth", bytes=7),
        entry(file="bad.pth"),
        entry(file="sub/short.pth", sha256=None, bytes=len(DATA)),
        entry("toflow", "any.pth", sha256=None),
    )
    Path("ckpt/sub").mkdir(parents=True)
    for name, data in (("here", DATA), ("bad", DATA[:-1]), ("sub/short", DATA[:-1]), ("any", b"anything")):
        Path(f"ckpt/{name}.pth").write_bytes(data)
    code, out, error = run(capsys, "list")
    assert (code, error) == (0, "")
    assert [line.split("  ")[:4] for line in out.splitlines()] == [
        ["tdan/here.pth", "here", f"{len(DATA)} bytes", "BSD-1"],
        ["tdan/absent.pth", "absent", "7 bytes", "BSD-1"],
        ["tdan/bad.pth", "damaged", f"{len(DATA) - 1} bytes", "BSD-1"],
        ["tdan/sub/short.pth", "damaged", f"{len(DATA)} bytes", "BSD-1"],
        ["toflow/any.pth", "here", "8 bytes", "BSD-1"],
    ]
    assert run(capsys, "list", "--paper", "toflow")[1].split()[0] == "toflow/any.pth"
    assert run(capsys, "list", "--root", "elsewhere")[1].count("  absent  ") == 5


def test_the_real_list(capsys):
    code, out, _ = run(capsys, "list", "--paper", "pvdnet")
    assert code == 0
    assert len(out.splitlines()) == len(entries("pvdnet")) + len(boxed("pvdnet"))
    assert "pvdnet/BIMNet.pytorch  absent  size not published  AGPL-3.0" in out


# fetch


def test_fetch_by_name(capsys, listed, web):
    first, second = web.url("/a", reply(status=404)), web.url("/b", reply(DATA))
    listed(entry(urls=[first, second]), entry(file="other.pth", urls=[web.url("/c", reply(DATA))]))
    code, out, error = run(capsys, "fetch", "w.pth")
    assert (code, error) == (0, "")
    licence, done = out.splitlines()
    assert licence == "tdan/w.pth: some weights; licence: BSD-1; from https://source.invalid"
    assert done == f"ckpt/w.pth: {len(DATA)} bytes, sha256 {SHA}, as published"
    assert Path("ckpt/w.pth").read_bytes() == DATA
    assert [path for path, _ in web.asked] == ["/a", "/b"]
    code, out, _ = run(capsys, "fetch", "--paper", "tdan", "tdan/w.pth")
    assert code == 0
    assert "ckpt/w.pth: already here, as published" in out
    assert len(web.asked) == 2
    code, out, _ = run(capsys, "fetch", "--all", "--root", "here")
    assert code == 0
    assert {path.name for path in Path("here").iterdir()} == {"w.pth", "other.pth"}


def test_fetch_without_a_published_checksum(capsys, listed, web):
    listed(entry(urls=[web.url("/a", reply(DATA))], sha256=None), entry(file="v.pth", urls=[web.url("/b", reply(DATA))],
           sha256=SHA[:8]))  # fmt: skip
    code, out, _ = run(capsys, "fetch", "w.pth", "v.pth")
    assert code == 0
    assert f"sha256 {SHA}, none is published to compare it with" in out
    assert f"sha256 {SHA}, begins as published: {SHA[:8]}" in out


def test_what_is_there_is_never_replaced(capsys, listed, web):
    listed(entry(urls=[web.url("/a", reply(DATA))]))
    Path("ckpt").mkdir()
    Path("ckpt/w.pth").write_bytes(b"mine")
    code, _, error = run(capsys, "fetch", "w.pth")
    assert code == 1
    assert re.match(r"error: tdan/w.pth: ckpt.w.pth is another file \(damaged: expected sha256 .*move it away", error)
    assert Path("ckpt/w.pth").read_bytes() == b"mine"
    assert web.asked == []


def test_what_cannot_be_fetched_is_told_how_to_get(capsys, listed, web):
    hand = r"open {}, put the file at ckpt.{}, then python -m common\.checkpoints verify tdan/{}\n"
    listed(
        entry(file="none.pth"),
        entry(file="gone.pth", urls=[web.url("/gone")], page="https://page.invalid"),
        entry(file="w.pth", urls=[web.url("/w", reply(DATA))]),
    )
    code, _, error = run(capsys, "fetch", "--all", "--retries", 0)
    assert code == 1
    none, gone = error.splitlines(keepends=True)
    by_hand = hand.format("https://source.invalid", "none.pth", "none.pth")
    assert re.fullmatch(f"error: tdan/none.pth: has no address to download from; {by_hand}", none)
    by_hand = hand.format("https://page.invalid", "gone.pth", "gone.pth")
    assert re.fullmatch(f"error: tdan/gone.pth: not downloaded: {web.address}/gone: .*404.*; {by_hand}", gone)
    assert Path("ckpt/w.pth").read_bytes() == DATA  # the others are fetched all the same
    assert run(capsys, "fetch", "none.pth", "--root", "my")[2].endswith(
        f"put the file at {Path('my/none.pth')}, then python -m common.checkpoints verify tdan/none.pth --root my\n"
    )


def test_an_interrupted_fetch_goes_on(capsys, listed, web):
    listed(entry(urls=[web.url("/w", reply(DATA, close_after=900), reply(status=404), ranged(DATA))]))
    assert run(capsys, "fetch", "w.pth", "--retries", 1)[0] == 1
    assert Path("ckpt/w.pth.part").stat().st_size == 900
    assert run(capsys, "fetch", "w.pth")[0] == 0
    assert web.asked[-1][1]["Range"] == "bytes=900-"
    assert [path.name for path in Path("ckpt").iterdir()] == ["w.pth"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected one of list, fetch, verify, convert first"),
        (["fetsh", "w.pth"], "expected one of list, fetch, verify, convert first, found fetsh"),
        (["fetch"], "expected names .* or --all, not both"),
        (["verify", "w.pth", "--all"], "verify: expected names .* or --all, not both"),
        (["fetch", "w.pth", "--all"], "expected names .* or --all, not both"),
        (["fetch", "v.pht"], r"v.pht: no published checkpoint has that name; did you mean v\.pth\?"),
        (["verify", "tdan/u.pth", "--paper", "toflow"], r"did you mean u\.pth\?"),
        (["fetch", "zzz"], "`list` tells the names"),
        (["fetch", "u.pth"], "u.pth: several have that name; give one of tdan/u.pth, toflow/u.pth"),
        (["fetch", "v.pth", "--retrys", "1"], "unknown argument --retrys; did you mean --retries"),
        (["list", "--timeout", "1"], "unknown argument --timeout"),
        (["fetch", "v.pth", "--timeout", "0"], "expected more than 0 seconds"),
        (["list", "--paper", "raft"], "invalid choice: 'raft'"),
        (["convert", "v.pth"], "--to"),
        (["convert", "v.pth", "u.pth", "--to", "x"], "expected one name or path"),
    ],
)
def test_usage(capsys, listed, argv, message):
    listed(entry(file="u.pth"), entry("toflow", "u.pth"), entry(file="v.pth"))
    code, _, error = run(capsys, *argv)
    assert code == 2
    assert re.search(message, error)


# Zips


def test_a_zip_fills_all_that_it_holds(capsys, listed, web):
    url = web.url("/sh?dl=1", reply(zipped(**{"a/w.pth": DATA, "a/v.pth": b"mine, not this", "a/u.pth": DATA})))
    names = ("w.pth", "v.pth", "u.pth", "t.pth")
    listed(*(entry(file=name, urls=[url], archive=True, page="https://page.invalid") for name in names))
    Path("ckpt").mkdir()
    Path("ckpt/v.pth").write_bytes(b"mine")
    code, out, _ = run(capsys, "fetch", "w.pth")
    assert code == 0
    assert f"ckpt/w.pth: {len(DATA)} bytes, sha256 {SHA}" in out
    assert {path.name: path.read_bytes() for path in Path("ckpt").iterdir()} == {
        "w.pth": DATA, "v.pth": b"mine", "u.pth": DATA,
    }  # fmt: skip
    code, _, error = run(capsys, "fetch", "t.pth")
    assert code == 1
    assert re.search(r"expected one file t\.pth in it, found 0; open https://page\.invalid, put the file at", error)
    assert len(list(Path("ckpt").iterdir())) == 3


def test_a_page_in_place_of_a_zip(capsys, listed, web):
    page, good = web.url("/sh", reply(b"<html>sign in</html>")), web.url("/w.zip", reply(zipped(**{"w.pth": DATA})))
    listed(entry(urls=[page], archive=True))
    code, _, error = run(capsys, "fetch", "w.pth")
    assert code == 1
    assert "expected weights, found a web page; open https://source.invalid" in error
    listed(entry(urls=[page, good], archive=True))
    assert run(capsys, "fetch", "w.pth")[0] == 0
    assert [path.name for path in Path("ckpt").iterdir()] == ["w.pth"]


# verify


def test_verify(capsys, listed):
    assert "none of the published checkpoints is here" in run(capsys, "verify")[1]
    known = [entry("ifrnet", f"{name}.pth", config="IFRNet_tiny", sha256=None) for name in ("good", "other", "more")]
    listed(*known, entry("ifrnet", "absent.pth"))
    network = IFRNet("IFRNet_tiny")
    checkpoint_file.save(network.state_dict(), "ckpt/good.pth")
    checkpoint_file.save(TDAN(8, 1, 1).state_dict(), "ckpt/other.pth")
    torch.save(network, "ckpt/more.pth")  # would run code
    code, out, error = run(capsys, "verify", "good.pth")
    digest = hashlib.sha256(Path("ckpt/good.pth").read_bytes()).hexdigest()
    count = sum(x.numel() for x in network.parameters())
    assert (code, error) == (0, "")
    assert out == f"ckpt/good.pth: sha256 {digest}, none is published to compare it with; IFRNet, {count} parameters\n"
    code, out, error = run(capsys, "verify", "--all", "--paper", "ifrnet")
    assert code == 1
    assert out.startswith("ckpt/good.pth: ")
    other, more = error.splitlines()
    assert re.match(r"error: ifrnet/other.pth: ckpt.other.pth: not a checkpoint of IFRNet", other)
    assert re.match(r"error: ifrnet/more.pth: ckpt.more.pth: refused", more)
    code, _, error = run(capsys, "verify", "absent.pth")
    assert code == 1
    assert "not here: fetch it, or open https://source.invalid, put the file at ckpt/absent.pth, then" in error
    listed(replace(known[0], sha256="0" * 8), replace(known[1], config="IFRNet_S_GoPro"))
    checkpoint_file.save(network.state_dict(), "ckpt/other.pth")
    _, out, error = run(capsys, "verify")
    assert out == ""
    assert "good.pth is damaged: expected sha256 00000000, found" in error
    assert "other.pth: holds IFRNet_tiny, but IFRNet_S was asked for" in error


# convert


def test_convert_by_name_takes_the_preset(capsys, listed):
    listed(entry("toflow", "theirs.pth", config="TOFlow_interp_tiny"))
    network = TOFlow(FORMS["tiny_interp"])
    checkpoint_file.save(network.state_dict(), "ckpt/theirs.pth")
    for name in ("theirs.pth", "toflow/theirs.pth", "ckpt/theirs.pth"):
        code, _, error = run(capsys, "convert", name, "--to", "ours.pth", "--overwrite")
        assert (code, error) == (0, "")
    state = torch.load("ours.pth", weights_only=True)
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_convert_tells_what_it_needs(capsys, listed):
    listed(entry("toflow", "theirs.pth"), entry("toflow", "absent.pth"))
    checkpoint_file.save(TOFlow(FORMS["tiny_interp"]).state_dict(), "mine.pth")
    Path("there.pth").write_bytes(b"keep")
    for argv, code, message in (
        (["mine.pth", "--to", "x.pth"], 2, "mine.pth: not in the place of a published file: add --paper, one of"),
        (["mine.pth", "--to", "x.pth", "--paper", "toflow"], 1, "does not tell which form .* give --config"),
        (["absent.pth", "--to", "x.pth"], 1, "absent.pth: not here: python -m common.checkpoints fetch toflow/absent"),
        (["nowhere.pht", "--to", "x.pth"], 2, "nowhere.pht: no published checkpoint has that name"),
        (["mine.pth", "--to", "there.pth", "--paper", "toflow"], 1, "there.pth: is there already; add --overwrite"),
        (["mine.pth", "--to", "mine.pth", "--paper", "toflow", "--overwrite"], 1, "already; it is the input"),
        (["mine.pth", "--to", "x.pth", "--paper", "toflow", "--config", "x"], 2, "--config x: expected one of"),
    ):
        found, _, error = run(capsys, "convert", *argv)
        assert (found, bool(re.search(message, error))) == (code, True), error
    assert Path("there.pth").read_bytes() == b"keep"
    assert not Path("x.pth").exists()
