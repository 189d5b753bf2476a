"""What is QPWCNet's own in measuring its rows of results.csv; see common/tables/measurement.py.

Tolerances: NVIDIA's script resizes frames in whole levels, and a published number is rounded to its last digit, so 0.02
pixels. The paper's rows have none: nobody here has seen those weights give them.

Rows that are trained here, and the int8 files of these, move with the processor: a short training amplifies how its
kernels round. After the 30 steps with int8's rounding, EPE was lower by 0.110 and Fl-all by 1.33 with AVX512 and AMX
than with AVX2, by 0.02 and 0.2 with AVX2 on one thread or with SSE4.1: the tolerances 0.12 and 1.5 are for such a
distance to either side.

The rows of clips that are made here follow each other: each training starts from the newest run of the one before it.
"""

import importlib.util

from common.papers import ROOT
from qpwcnet.classical import CLASSICAL
from qpwcnet.config import PRESETS
from qpwcnet.sets import FOLDERS, TRIPLET_SETS, find_pairs, find_triplets, missing_part

COMMAND = "qpwcnet/run.py"
CLIPS = {  # arguments of make_synthetic.py, by the set in whose layout the clips are
    "chairs": "--layout chairs --clips 240 --test_clips 24 --size 96x64 --pace 0.4".split(),
    "vimeo90k": "--layout vimeo_triplet --clips 240 --test_clips 24 --size 96x64 --pace 1.2".split(),
}
PLACE = "synthetic_flow"  # their folder
BASELINES = {"zero": "chairs", "blend": "vimeo90k"}  # the clips of the rows without weights
# Photographs that move: frames of the real clips as surfaces, with exact flow.
MADE_OF_REAL = {
    "real_moving": ("drawn", ["--layout", "drawn", "--textures", str(ROOT / "datasets/real"), "--textures_share", "1",
        "--clips", "1", "--test_clips", "12", "--frames", "5", "--size", "320x240", "--pace", "0.4"]),
}  # fmt: skip
PICTURED = ("middlebury",)
PICTURES = {
    "previous frame": "**/prv.png", "next frame": "**/nxt.png", "two frames blended": "**/overlay.png",
    "result": "**/pred-img1.png", "flow": "**/flow.png", "flow, true": "**/truth.png", "truth": "**/img1.png",
    "next frame, moved back": "**/warped.png",
}  # fmt: skip
CALIBRATION = [*CLIPS["chairs"], "--clips", "64", "--seed", "1"]  # clips of their own tell the ranges of int8's values


def folder(data: str) -> str:
    """Of a set, in the data root."""
    return FOLDERS.get(data, data)


def found(data: str, data_root: str) -> tuple[list[str], str]:
    """Names of a set's clips that are here, and what of the whole set is not; ValueError if nothing is."""
    samples = (find_triplets if data in TRIPLET_SETS else find_pairs)(data_root, data, "test")
    return [sample.name.split("/")[0] for sample in samples], missing_part(data, samples)


def stands_for(preset: str) -> str:
    """The set in whose layout a row's clips are made."""
    return BASELINES.get(preset) or PRESETS[preset].data


def baseline(preset: str) -> list[str]:
    """Arguments of a row without weights."""
    return ["--baseline", *([preset] if preset in CLASSICAL else []), "--mode", preset]


def trained(preset: str) -> list[str]:
    """Arguments that choose a network trained here."""
    return ["--config", preset]


def export_faults() -> list[str]:
    """What an int8 file needs that is not installed."""
    lacking = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    return [f"no {', '.join(lacking)} (pip install -e .[export])"] if lacking else []
