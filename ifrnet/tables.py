"""What IFRNet's rows of results.csv need, and how they are measured: by the commands that a user would type.

Tolerances: a published number is rounded to its last digit, and devices, libraries and the published code's float32
metrics move it by about that digit again: 0.01 dB, 0.0002 of SSIM (0.0006 where three digits are published), 0.002 of
IE. Rows have none where the published test set or its crops are not known, so that only the difference can be shown.
"""

from common.scores import totals
from common.tables import ROOT, run_row
from ifrnet.sets import FOLDERS, find_samples, missing_part

COMMAND = "ifrnet/run.py"
CLIPS = "--layout vimeo_triplet --clips 160 --test_clips 16 --size 192x128".split()
TINY = "--mode IFRNet_tiny --config IFRNet_tiny --data vimeo90k".split()


def missing(method: str, config: str, data: str, checkpoint: str, options) -> str:
    """What a run lacks, and how to get it; empty if it can start. A part of a set is not enough."""
    faults = []
    if data != "synthetic":
        try:
            part = missing_part(data, find_samples(options.data_root, data, "test"))
        except ValueError:
            part = f"no {data}"
        if part:
            faults.append(f"{part} in {options.data_root}/{FOLDERS[data]} (datasets/README.md tells where it is)")
    if checkpoint.endswith(".pth") and not (ROOT / "ckpt" / checkpoint).is_file():
        faults.append(f"no ckpt/{checkpoint} (addresses in ifrnet/checkpoints.json)")
    return "; ".join(faults)


def measure(method: str, config: str, data: str, checkpoint: str, options) -> tuple[dict, dict]:
    """Evaluate one method on one set under every protocol of the set.

    Returns:
        {(protocol, metric): (value, frames)} as text, and facts for the rows' other columns.
    """
    baseline = ["--blend", "--mode", "blend"]
    lines, facts = run_row(
        COMMAND, config, data, checkpoint, options,
        clips=CLIPS, stands_for="vimeo90k", trained=TINY, baseline=baseline,
    )  # fmt: skip
    return totals(lines), facts
