"""PVDNet's command line called in this process, frames to test it on, and a small network as drawn."""

import numpy as np
import pytest
import torch

from common import cli
from common.media.image import write_image
from pvdnet import run
from pvdnet.models.deblurnet import DeblurNet
from pvdnet.sets import SUBFOLDERS
from tests.helpers.blurry_videos import make_video


@pytest.fixture
def call(capsys):
    """Calls the command line; gives the exit code, what was printed, and what went to stderr."""

    def called(*argv):
        code = cli.run(run.main, [str(argument) for argument in argv])
        return code, *capsys.readouterr()

    return called


@pytest.fixture
def refused(call):
    """Calls the command line; gives the one line that it ends in with a code."""

    def line(code, *argv):
        found, out, error = call(*argv)
        assert found == code, error
        assert out == ""
        assert error.startswith("error: ")
        assert len(error.splitlines()) == 1, error
        return error

    return line


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """An empty folder to stand in: no saved configs, no data."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "logs"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Three frames of two videos to test on, and the first of them without truth."""
    root, draw = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    for name in ("a", "b"):
        for kind in (*SUBFOLDERS["DVD"], "random"):
            folder = root / "random" / name if kind == "random" else root / "test_DVD" / name / kind
            for number in range(3):
                write_image(folder / f"{number:05d}.png", draw.integers(0, 256, (64, 66, 3), np.uint8))
    return root


@pytest.fixture(scope="session")
def small_weights():
    """A state dict of PVDNet_small as drawn."""
    torch.manual_seed(0)
    return DeblurNet("PVDNet_small", with_BIMNet=False).state_dict()


@pytest.fixture(scope="session")
def small_file(tmp_path_factory, small_weights):
    """A checkpoint of it."""
    path = tmp_path_factory.mktemp("ckpt") / "small.pytorch"
    torch.save({f"module.{key}": value for key, value in small_weights.items()}, path)
    return path


@pytest.fixture
def root(tmp_path):
    """A root with two videos to train on, of five and of seven frames."""
    make_video(tmp_path / "train_nah" / "a")
    make_video(tmp_path / "train_nah" / "b", count=7)
    return tmp_path
