"""torch.hub on a folder: what it lists and tells, and that what it loads is the paper's own."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import tdan
from common.papers import PAPERS, ROOT
from tests.helpers.clips import pictures


def test_every_paper_is_listed_and_told(monkeypatch):
    monkeypatch.setattr(torch.hub, "_get_cache_or_reload", lambda *_, **__: str(ROOT))  # as if it came from the web
    assert sorted(torch.hub.list("a/b")) == sorted(PAPERS)
    for paper in PAPERS:
        told = torch.hub.help("a/b", paper)
        assert "weights:" in told
        assert "device:" in told


def test_what_is_loaded_is_the_papers():
    frames = pictures(3, 12, 16)
    found = torch.hub.load(str(ROOT), "tdan", source="local", device="cpu")(frames)
    assert all(np.array_equal(a, b) for a, b in zip(found, tdan.load(device="cpu")(frames), strict=True))
    with pytest.raises(ValueError, match="nothing: no such file"):
        torch.hub.load(str(ROOT), "tdan", source="local", weights="nothing")


def test_from_an_empty_folder(tmp_path):
    """Later imports find the clone, too, whatever else is there."""
    code = (
        f"import torch; model = torch.hub.load({str(ROOT)!r}, 'ifrnet', source='local', device='cpu')\n"
        "frame = torch.rand(1, 3, 32, 32); print(tuple(model(frame, frame.flip(3)).shape))\n"
        "try: model.clip('none.mp4', 'x.mp4')\nexcept OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", f"import site, sys; site.main(); {code}"], cwd=tmp_path,
        capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    shape, error = done.stdout.splitlines()
    assert shape == "(1, 3, 32, 32)"
    assert error.startswith("none.mp4 does not exist")
