"""What PVDNet's rows of results.csv need, and how they are measured: by the commands that a user would type."""

import re
from pathlib import Path

from common.tables import ROOT, run_row

COMMAND = "pvdnet/run.py"
CLIPS = (
    "--layout",
    "DVD",
    "--clips",
    "32",
    "--test_clips",
    "4",
    "--frames",
    "27",
    "--size",
    "192x128",
    "--pace",
    "0.5",
)
SMALL = ("--mode", "PVDNet_small", "--config", "config_PVDNet_small", "--data", "DVD")


def missing(method: str, config: str, data: str, checkpoint: str, options) -> str:
    """What a run lacks, and how to get it; empty if it can start."""
    faults = []
    if data != "synthetic" and not Path(options.data_root, f"test_{data}").is_dir():
        faults.append(
            f"no {options.data_root}/test_{data} (python datasets/prepare_{data.lower()}.py tells where it is)"
        )
    if checkpoint.endswith(".pytorch") and not (ROOT / "ckpt" / checkpoint).is_file():
        faults.append(f"no ckpt/{checkpoint} (addresses in pvdnet/checkpoints.json)")
    return "; ".join(faults)


def measure(method: str, config: str, data: str, checkpoint: str, options) -> tuple[dict, dict]:
    """Evaluate one method on one set under every protocol.

    Returns:
        {(protocol, metric): (value, frames)} as text, and facts for the rows' other columns.
    """
    baseline = ["--identity", "--mode", "identity", "--config", config]
    lines, facts = run_row(
        COMMAND, config, data, checkpoint, options,
        clips=CLIPS, stands_for="DVD", trained=SMALL, baseline=baseline, hide="[EVAL",
    )  # fmt: skip
    values = {}
    for line in lines:
        total = re.match(r"\[TOTAL .*\] PSNR: (\S+) SSIM: (\S+) \(.*\) (\d+) frames, protocol (\S+)", line)
        if total:
            values[total[4], "PSNR"], values[total[4], "SSIM"] = (total[1], total[3]), (total[2], total[3])
    return values, facts
