"""The examples: short, and each does what it says, on small clips."""

import runpy
import sys
import tomllib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import ifrnet
from common.checkpoints import checkpoint_file
from common.media.video_reader import open_clip
from common.papers import PAPERS, ROOT
from pvdnet.models.deblurnet import DeblurNet
from qpwcnet.checkpoints import new_network
from qpwcnet.config import PRESETS
from tests.helpers.clips import NTSC, moving, pictures, read_folder, write_folder, write_video

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Runs one in an empty folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)

    def run(name, *argv):
        monkeypatch.setattr(sys, "argv", [name, *map(str, argv)])
        return runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")

    return run


def test_they_are_short_and_all_tested():
    assert len(EXAMPLES) == 5
    for path in EXAMPLES:
        text = path.read_text()
        assert len(text.splitlines()) <= 20, path
        assert f"python examples/{path.name}" in text
        assert f"def test_{path.stem}(" in (ROOT / "tests/repository/test_examples.py").read_text()


def test_every_package_tells_that_it_is_typed():
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    assert "py.typed" in packaged
    assert [name for name in ("common", *PAPERS) if not (ROOT / name / "py.typed").is_file()] == []


def test_camera_flow(example, monkeypatch):
    checkpoint_file.save(new_network(PRESETS["flow_tiny"]).state_dict(), "w.pth")
    write_video("clip.mp4", pictures(5, 32, 48))
    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) == 3 else -1)
    example("camera_flow", "clip.mp4", "w.pth")
    assert [picture.shape for picture in shown] == [(32, 48, 3)] * 3


def test_double_frame_rates(example, tmp_path, capsys):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / "clips" / name, pictures(2, 32, 48))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.mp4").write_bytes(b"done before")
    example("double_frame_rates", "clips", "out")
    assert open_clip("out/b.mp4").frame_rate == 2 * NTSC
    assert len(list(open_clip("out/b.mp4"))) == 3
    assert (tmp_path / "out/a.mp4").read_bytes() == b"done before"


def test_sharp_loader(example, tmp_path, capsys):
    checkpoint_file.save(DeblurNet("PVDNet_small", with_BIMNet=False).state_dict(), "w.pth")
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_video(tmp_path / "clips" / name, pictures(2, 32, 48))
    example("sharp_loader", "clips", "w.pth", "config_PVDNet_small")
    assert capsys.readouterr().out.splitlines() == ["(2, 32, 48, 3) (2, 32, 48, 3)", "(2, 32, 48, 3)"]


def test_enlarge_folder(example, tmp_path):
    write_folder(tmp_path / "small", pictures(3, 12, 16))
    example("enlarge_folder", "small", "large")
    large = read_folder(tmp_path / "large")
    assert [frame.shape for frame in large] == [(48, 64, 3)] * 3
    bicubic = np.asarray(Image.open(tmp_path / "small/shot_1.png").resize((64, 48), Image.Resampling.BICUBIC))
    assert np.abs(large[1].astype(float) - bicubic).mean() < 10


def test_fine_tune(example):
    write_video("clip.mkv", moving(8, 64, 80))
    made = example("fine_tune", "clip.mkv", "tuned.safetensors", 3)
    assert 0 < made["loss"].item() < 0.3
    tuned, before = ifrnet.load("tuned.safetensors").network, ifrnet.load().network
    differences = [(a - b).abs().max().item() for a, b in zip(tuned.parameters(), before.parameters(), strict=True)]
    assert 0 < max(differences) < 1e-3
