"""What is listed as being in the box is there."""

import json

import pytest

from common.checkpoints import box
from common.checkpoints.published import entries, main
from common.papers import PAPERS, ROOT


@pytest.mark.parametrize("paper", PAPERS)
def test_what_is_listed_is_there_and_nothing_else(paper):
    listed = {entry.path for entry in box.boxed(paper)}
    assert listed == set((ROOT / paper / "weights").glob("*.safetensors"))
    files = {entry.file for entry in entries(paper)}
    for entry in box.boxed(paper):
        assert not entry.published or entry.published in files


def test_list_shows_the_box(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(box, "ROOT", tmp_path)
    folder = tmp_path / "tdan/weights"
    folder.mkdir(parents=True)
    (folder / "Own.safetensors").write_bytes(b"1234")
    entry = {"file": "Own.safetensors", "config": "TDAN_free", "task": "", "score": "27 dB", "published": ""}
    (folder / "box.json").write_text(json.dumps([entry]))
    assert main(["list", "--paper", "tdan"]) == 0
    assert "tdan/weights/Own.safetensors  in the box  4 bytes  MIT  27 dB\n" in capsys.readouterr().out
