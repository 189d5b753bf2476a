"""What is TDAN's own in measuring its rows of results.csv; see common/tables/measurement.py.

A row on clips that the project makes names the preset of its degradation also where it has no weights.

Tolerances: published numbers have two digits (SSIM three), and devices and libraries move a number by its last digit.
"""

from tdan.config import PRESETS
from tdan.evaluate import BASELINE, missing_part
from tdan.sets import SETS, data_set, find_clips

COMMAND = "tdan/run.py"
PLACE = "synthetic"
CLIPS = dict.fromkeys(
    ("vimeo_bi", "vimeo_bd"), "--layout vimeo_septuplet --clips 96 --test_clips 12 --size 192x128".split()
)
PICTURED = tuple(SETS)  # the first frames alone
PICTURES = {
    "bicubic": "**/bicubic.png", "result": "**/prediction.png", "truth": "**/truth.png", "error x4": "**/error.png",
    "motion": "**/motion_1.png",
}  # fmt: skip


def folder(data: str) -> str:
    """Of a set, in the data root."""
    return data_set(data).folder


def found(data: str, data_root: str) -> tuple[list[str], str]:
    """Names of a set's clips that are here, and what of the whole set is not; ValueError if nothing is."""
    clips = find_clips(data_root, data, "test")
    return [clip.name for clip in clips], missing_part(data, clips)


def stands_for(preset: str) -> str:
    """The set in whose layout a row's clips are made."""
    return PRESETS[preset].data


def baseline(preset: str) -> list[str]:
    """Arguments of a row without weights."""
    method = [preset.removeprefix(f"{BASELINE}_")] if preset.startswith(f"{BASELINE}_") else []
    mode = preset if method else BASELINE
    return ["--baseline", *method, "--mode", mode, *(["--config", preset] if preset in PRESETS else [])]


def trained(preset: str) -> list[str]:
    """Arguments that choose a network trained here."""
    return ["--mode", preset, "--config", preset]
