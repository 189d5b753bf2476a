"""What TDAN's rows of results.csv need, and how they are measured: by the commands that a user would type.

Tolerances: published numbers have two digits (SSIM three), and devices and libraries move a number by its last digit.
"""

from common.scores import totals
from common.tables import ROOT, run_row
from tdan.config import PRESETS
from tdan.evaluate import BASELINE, missing_part
from tdan.sets import SETS, find_clips

COMMAND = "tdan/run.py"
CLIPS = "--layout vimeo_septuplet --clips 96 --test_clips 12 --size 192x128".split()


def missing(method: str, config: str, data: str, checkpoint: str, options) -> str:
    """What a run lacks, and how to get it; empty if it can start. A part of a set is not enough."""
    faults = []
    if data != "synthetic":
        try:
            part = missing_part(data, find_clips(options.data_root, data, "test"))
        except ValueError:
            part = f"no {data}"
        if part:
            faults.append(f"{part} in {options.data_root}/{SETS[data].folder} (datasets/README.md tells where it is)")
    if checkpoint not in ("none", "trained") and not (ROOT / "ckpt" / checkpoint).is_file():
        faults.append(f"no ckpt/{checkpoint} (address in tdan/checkpoints.json)")
    return "; ".join(faults)


def measure(method: str, config: str, data: str, checkpoint: str, options) -> tuple[dict, dict]:
    """Evaluate one method on one set under every protocol of the set.

    A row on clips that the project makes names the preset of its degradation in `config`, also where it has no weights.

    Returns:
        {(protocol, metric): (value, frames)} as text, and facts for the rows' other columns.
    """
    baseline, stands_for = ["--baseline", "--mode", BASELINE], ""
    if data == "synthetic":
        stands_for = PRESETS[config].data
        baseline += ["--config", config]
    lines, facts = run_row(
        COMMAND, config, data, checkpoint, options,
        clips=CLIPS, stands_for=stands_for, trained=["--mode", config, "--config", config], baseline=baseline,
    )  # fmt: skip
    return totals(lines), facts
