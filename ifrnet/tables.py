"""What is IFRNet's own in measuring its rows of results.csv; see common/tables/measurement.py.

Tolerances: a published number is rounded to its last digit, and devices, libraries and the published code's float32
metrics move it by about that digit again: 0.01 dB, 0.0002 of SSIM (0.0006 where three digits are published), 0.002 of
IE. Rows have none where the published test set or its crops are not known, so that only the difference can be shown.
"""

from common.sets.clips import clip_set
from ifrnet.sets import CLIPS as SUFFIXES
from ifrnet.sets import FOLDERS, find_samples, missing_part

COMMAND = "ifrnet/run.py"
PLACE = "synthetic"
CLIPS = {"vimeo90k": "--layout vimeo_triplet --clips 160 --test_clips 16 --size 192x128".split()}
PICTURED = ("middlebury", "real")
PICTURES = {
    "two frames blended": "**/1_overlay.png", "result": "**/1_prediction.png", "truth": "**/1_truth.png",
    "error x4": "**/1_error.png",
}  # fmt: skip


def folder(data: str) -> str:
    """Of a set, in the data root."""
    return clip_set(data, SUFFIXES)[0] or FOLDERS[data]


def found(data: str, data_root: str) -> tuple[list[str], str]:
    """Names of a set's clips that are here, and what of the whole set is not; ValueError if nothing is."""
    samples = find_samples(data_root, data, "test")
    return [sample.name.split("/")[0] for sample in samples], missing_part(data, samples)


def stands_for(preset: str) -> str:
    """The set in whose layout a row's clips are made."""
    return "vimeo90k"


def baseline(preset: str) -> list[str]:
    """Arguments of a row without weights."""
    return [f"--{preset}", "--mode", preset]


def trained(preset: str) -> list[str]:
    """Arguments that choose a network trained here."""
    return ["--mode", preset, "--config", preset]
