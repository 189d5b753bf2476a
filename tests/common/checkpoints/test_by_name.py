"""Weights by name: the box's, published ones, paths; what is nowhere is told with the nearest name."""

import json
from pathlib import Path

import pytest

from common.checkpoints import box, by_name
from common.checkpoints.by_name import find_file, look_up
from common.checkpoints.published import PAPERS, entries


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, and a box with networks for two tasks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(box, "ROOT", tmp_path)
    listing = tmp_path / "toflow/weights/box.json"
    listing.parent.mkdir(parents=True)
    entry = {
        "file": "Own.safetensors",
        "config": "TOFlow_denoise_free",
        "task": "denoise",
        "score": "",
        "published": "",
    }
    listing.write_text(json.dumps([entry, entry | {"file": "Other.safetensors", "task": "sr", "config": "C"}]))
    return tmp_path


def put(file):
    path = Path(file)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("weights", [None, "free"])
def test_the_box(folder, weights):
    own = folder / "toflow/weights"
    assert find_file("toflow", weights, task="denoise") == (own / "Own.safetensors", "TOFlow_denoise_free")
    assert find_file("toflow", weights, task="sr") == (own / "Other.safetensors", "C")
    with pytest.raises(
        ValueError, match=r"^toflow: no weights in the box for interp: name a published file \(.*sr.pkl"
    ):
        find_file("toflow", weights, task="interp")
    with pytest.raises(ValueError, match=r"^tdan: no weights in the box: name a published file .*, or give a path$"):
        find_file("tdan", weights)


@pytest.mark.parametrize("name", ["Other", "Other.safetensors", "toflow/Other.safetensors"])
def test_a_name_in_the_box(folder, name):
    assert find_file("toflow", name) == (folder / "toflow/weights/Other.safetensors", "C")


@pytest.mark.parametrize("name", ["sr", "sr.pkl", "toflow/sr.pkl", "ckpt/sr.pkl", Path("ckpt/sr.pkl"), "published"])
def test_a_published_name(folder, name):
    path = put("ckpt/sr.pkl")
    assert find_file("toflow", name, usual="pytoflow_sr") == (path, "pytoflow_sr")


def test_a_path_wins_over_a_name(folder):
    put("ckpt/sr.pkl")
    assert find_file("toflow", put("sr")) == (Path("sr"), "pytoflow_sr")
    assert find_file("toflow", put("mine.pth")) == (Path("mine.pth"), "")


def test_what_is_nowhere(folder):
    with pytest.raises(
        ValueError, match=r"^sr.pk: no such file, and no weights of toflow have that name; did you mean s"
    ):
        find_file("toflow", "sr.pk")
    with pytest.raises(ValueError, match=r"have that name$"):
        find_file("toflow", "quite/another.pth")
    with pytest.raises(ValueError, match=r"^toflow: no weights were published for deblock: give the path of a file"):
        find_file("toflow", "published", usual="TOFlow_deblock", task="deblock")
    assert look_up("toflow", "nothing") is None


def test_no_two_of_a_paper_share_a_name():
    for paper in PAPERS:
        names = [name for entry in (*entries(paper), *box.boxed(paper)) for name in by_name.names_of(entry)]
        assert len(names) == len(set(names))
