"""A small network of QPWCNet, and both files that it is exported to: float32 and int8."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from qpwcnet.config import Config
from qpwcnet.deploy import export, report
from qpwcnet.model import Flower, Interpolator

SIZE = (64, 32)
CONFIG = Config(task="flow", data="chairs", valid_data="chairs", input_shape=SIZE)


def small(kind=Flower, **more):
    torch.manual_seed(0)
    network = kind((4, 4, 8, 8, 8), **more).eval()
    for level in network.flower:
        level.flow.weight.data *= 300  # flows of pixels
    if kind is Interpolator:
        network.interpolator[-1].conv2.weight.data *= 10
    return network


def frames(size=SIZE):
    return torch.rand(2, 1, 3, *size, generator=torch.Generator().manual_seed(1)).unbind()


def options(**more):
    given = {"export": "int8", "output": "out.onnx", "overwrite": False, "export_size": None, "calibrate": "clips"}
    return SimpleNamespace(**given | more)


def export_both(place: Path) -> None:
    """Write clips to `place`, and both files of one network: float.onnx, out.onnx with its report."""
    rng = np.random.default_rng(0)
    for clip in range(2):
        folder = place / "clips" / f"clip{clip}"
        folder.mkdir(parents=True)
        picture = cv2.resize(rng.integers(0, 256, (12, 10, 3), np.uint8), (60, 80), interpolation=cv2.INTER_CUBIC)
        for frame in range(3):
            cv2.imwrite(str(folder / f"{frame}.png"), picture[frame : frame + 72, 2 * frame : 2 * frame + 40])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "RUNS", 1)
        patch.setattr(export, "load", lambda *_: (small(activation="leaky_relu"), Path("weights.pth")))
        patch.chdir(place)
        replace = export.os.replace

        def keep_floats(part, path):
            path.with_name("float.onnx").write_bytes(path.with_suffix(".float32.part.onnx").read_bytes())
            replace(part, path)

        patch.setattr(export, "os", SimpleNamespace(replace=keep_floats))
        assert export.export(options(), CONFIG) == 0
