"""What is TOFlow's own in measuring its rows of results.csv; see common/tables/measurement.py.

A row on clips that the project makes names the preset of its task also where it has no weights.

Tolerances: MMagic's numbers are of rounded frames, its present code rounds none, which moves them by a few thousandths;
devices and libraries move a number by its last digit again. Rows that are quoted from memory, and rows of weights that
cannot be loaded, have no tolerance.
"""

from toflow.config import PRESETS
from toflow.evaluate import BASELINE, missing_part
from toflow.sets import SETS, data_set, find_samples

COMMAND = "toflow/run.py"
PLACE = "synthetic"
_TRIPLETS = "--layout vimeo_triplet --clips 160 --test_clips 16 --size 192x128".split()
_SEPTUPLETS = "--layout vimeo_septuplet --clips 96 --test_clips 12 --size 192x128".split()
CLIPS = {
    data: {"vimeo_triplet": _TRIPLETS, "vimeo_septuplet": _SEPTUPLETS}[entry.folder]
    for data, entry in SETS.items()
    if entry.folder.startswith("vimeo")
}
PICTURED = tuple(SETS)  # the first frames alone
PICTURES = {
    "input": "**/input.png", "result": "**/prediction.png", "truth": "**/truth.png", "error x4": "**/error.png",
    "flow": "**/flow_3.png",
}  # fmt: skip


def folder(data: str) -> str:
    """Of a set, in the data root."""
    return data_set(data).folder


def found(data: str, data_root: str) -> tuple[list[str], str]:
    """Names of a set's clips that are here, and what of the whole set is not; ValueError if nothing is."""
    samples = find_samples(data_root, data, "test")
    return [sample.name.split("/")[0] for sample in samples], missing_part(data, samples)


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
