"""The lines of Python that a README shows are run, in a folder with a clip and random weights of the names they say."""

import re

import numpy as np
import pytest
import torch

from common.checkpoints import checkpoint_file
from common.papers import PAPERS, ROOT
from pvdnet.models.deblurnet import DeblurNet
from qpwcnet.pwcnet import PWCNet
from tests.helpers.clips import pictures, write_video
from toflow.config import PRESETS
from toflow.model import TOFlow

PAGES = ("README.md", *(f"{paper}/README.md" for paper in PAPERS))


@pytest.mark.parametrize("page", PAGES)
def test_lines_of_python(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert blocks
    torch.manual_seed(0)
    networks = {
        "PVDNet_DVD.pytorch": lambda: DeblurNet("PVDNet"),
        "network-default.pytorch": PWCNet,
        "interp.pkl": lambda: TOFlow(PRESETS["pytoflow_interp"].form),
    }
    for file, build in networks.items():
        if f'load("{file.partition(".")[0]}")' in "".join(blocks):
            checkpoint_file.save(build().state_dict(), tmp_path / "ckpt" / file)
    frames = pictures(3, 32, 48)
    for name in ("clip.mp4", "small.mp4"):
        write_video(tmp_path / name, frames)
    for block in blocks:
        names = {"first": frames[0], "second": frames[1], "frames": frames}
        exec(block, names)
        made = [value for name, value in names.items() if name in ("middle", "picture", "sharp")]
        assert all(image.shape == (32, 48, 3) and image.dtype == np.uint8 for image in made)
        for target in re.findall(r'clip\("\w+\.mp4", "(\w+\.mp4)"', block):
            assert (tmp_path / target).stat().st_size > 500
