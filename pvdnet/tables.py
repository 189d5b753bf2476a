"""What PVDNet's rows of results.csv need, and how they are measured: by the commands that a user would type."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from common.tables import ROOT, run_command

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
    if data == "synthetic":
        root, data = Path(options.data_root, "synthetic"), "DVD"
        subprocess.run([sys.executable, ROOT / "datasets/make_synthetic.py", *CLIPS, "--root", root], check=True)
    else:
        root = Path(options.data_root)
    where = ["--data_root", str(root), "--log_root", options.log_root, "--device", options.device]
    facts = {}
    if checkpoint == "trained":
        command = [*SMALL, *where]
        again = ["-dl"] if options.fresh else ["-r", "auto"]
        run_command(COMMAND, ["--is_train", *command, *again])
    elif checkpoint == "none":
        command = ["--identity", "--mode", "identity", "--config", config, "--data", data, *where]
    else:
        path = ROOT / "ckpt" / checkpoint
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        command = ["--mode", path.stem, "--config", config, "--data", data, *where, "--ckpt_abs_name", str(path)]
    lines = run_command(COMMAND, command, hide="[EVAL")
    values = {}
    for line in lines:
        total = re.match(r"\[TOTAL .*\] PSNR: (\S+) SSIM: (\S+) \(.*\) (\d+) frames, protocol (\S+)", line)
        if total:
            values[total[4], "PSNR"], values[total[4], "SSIM"] = (total[1], total[3]), (total[2], total[3])
    shown = [str(part).replace(str(ROOT) + "/", "") for part in command]
    facts["command"] = " ".join(["python", COMMAND, *shown])
    return values, facts
