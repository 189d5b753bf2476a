"""What TOFlow's rows of results.csv need, and how they are measured: by the commands that a user would type.

Tolerances: MMagic's numbers are of rounded frames, its present code rounds none, which moves them by a few thousandths;
devices and libraries move a number by its last digit again. Rows that are quoted from memory, and rows of weights that
cannot be loaded, have no tolerance.
"""

from common.scores import totals
from common.tables import ROOT, run_row
from toflow.config import PRESETS
from toflow.evaluate import BASELINE, missing_part
from toflow.sets import SETS, find_samples

COMMAND = "toflow/run.py"
CLIPS = {
    "vimeo_triplet": "--layout vimeo_triplet --clips 160 --test_clips 16 --size 192x128".split(),
    "vimeo_septuplet": "--layout vimeo_septuplet --clips 96 --test_clips 12 --size 192x128".split(),
}


def missing(method: str, config: str, data: str, checkpoint: str, options) -> str:
    """What a run lacks, and how to get it; empty if it can start. A part of a set is not enough."""
    faults = []
    if data != "synthetic":
        try:
            part = missing_part(data, find_samples(options.data_root, data, "test"))
        except ValueError:
            part = f"no {data}"
        if part:
            faults.append(f"{part} in {options.data_root}/{SETS[data].folder} (datasets/README.md tells where it is)")
    if not checkpoint:
        train = f": train them (--is_train --config {config})" if config else ""
        faults.append(f"no weights that can be loaded were published{train}")
    elif checkpoint not in ("none", "trained") and not (ROOT / "ckpt" / checkpoint).is_file():
        faults.append(f"no ckpt/{checkpoint} (address in toflow/checkpoints.json)")
    return "; ".join(faults)


def measure(method: str, config: str, data: str, checkpoint: str, options) -> tuple[dict, dict]:
    """Evaluate one method on one set under every protocol of the set.

    A row on clips that the project makes names the preset of its task in `config`, also where it has no weights.

    Returns:
        {(protocol, metric): (value, frames)} as text, and facts for the rows' other columns.
    """
    baseline, clips, stands_for = ["--baseline", "--mode", BASELINE], [], ""
    if data == "synthetic":
        stands_for = PRESETS[config].data
        clips = CLIPS[SETS[stands_for].folder]
        baseline += ["--config", config]
    lines, facts = run_row(
        COMMAND, config, data, checkpoint, options,
        clips=clips, stands_for=stands_for, trained=["--mode", config, "--config", config], baseline=baseline,
    )  # fmt: skip
    return totals(lines), facts
