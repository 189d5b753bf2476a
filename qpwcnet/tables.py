"""What QPWCNet's rows of results.csv need, and how they are measured: by the commands that a user would type.

Tolerances: NVIDIA's script resizes frames in whole levels, and a published number is rounded to its last digit, so 0.02
pixels. The paper's rows have none: nobody here has seen those weights give them.

The rows of clips that are made here follow each other: each training starts from the newest run of the one before it.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from common.scores import totals
from common.tables import ROOT, read, run_row
from qpwcnet.config import PRESETS
from qpwcnet.sets import FLOW_SETS, FOLDERS, find_pairs, find_triplets, missing_part

COMMAND = "qpwcnet/run.py"
CLIPS = {  # arguments of make_synthetic.py, by the set in whose layout the clips are
    "chairs": "--layout chairs --clips 240 --test_clips 24 --size 96x64 --pace 0.4".split(),
    "vimeo90k": "--layout vimeo_triplet --clips 240 --test_clips 24 --size 96x64 --pace 1.2".split(),
}
PLACE = "synthetic_flow"  # their folder
BASELINES = {"zero": "chairs", "blend": "vimeo90k"}  # the clips of the rows without weights
CALIBRATION = [*CLIPS["chairs"], "--clips", "64", "--seed", "1"]  # clips of their own tell the ranges of int8's values
INT8 = "int8"  # in the column `checkpoint`: the trained run, exported


def missing(method: str, config: str, data: str, checkpoint: str, options) -> str:
    """What a run lacks, and how to get it; empty if it can start. A part of a set is not enough."""
    faults = []
    if data != "synthetic":
        find = find_pairs if data in FLOW_SETS else find_triplets
        try:
            part = missing_part(data, find(options.data_root, data, "test"))
        except ValueError:
            part = f"no {data}"
        if part:
            faults.append(f"{part} in {options.data_root}/{FOLDERS[data]} (datasets/README.md tells where it is)")
    if checkpoint == INT8:
        lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
        if lacking:
            faults.append(f"no {', '.join(lacking)} (pip install -e .[export])")
    elif checkpoint not in ("none", "trained") and not (ROOT / "ckpt" / checkpoint).is_file():
        faults.append(f"no ckpt/{checkpoint} (where it is: qpwcnet/checkpoints.json)")
    return "; ".join(faults)


def measure(method: str, config: str, data: str, checkpoint: str, options) -> tuple[dict, dict]:
    """Evaluate one method on one set under every protocol of the set.

    Returns:
        {(protocol, metric): (value, frames)} as text, and facts for the rows' other columns.
    """
    clips = BASELINES.get(config) or PRESETS[config].data
    export = None
    if checkpoint == INT8:
        checkpoint, export = "trained", _export(config, options)
        if any((row["config"], row["checkpoint"]) == (config, "trained") for row in read("qpwcnet")):
            options = argparse.Namespace(**vars(options) | {"fresh": False})  # that row trained it
    lines, facts = run_row(
        COMMAND, config, data, checkpoint, options,
        clips=CLIPS.get(clips, []), stands_for=clips, trained=["--config", config],
        baseline=["--baseline", "--mode", config], export=export, place=PLACE,
    )  # fmt: skip
    return totals(lines), facts


def _export(config: str, options) -> list[str]:
    """Arguments that export the newest run of a preset; makes the clips that the export needs."""
    root = Path(options.data_root, PLACE, "calibration")
    subprocess.run([sys.executable, ROOT / "datasets/make_synthetic.py", *CALIBRATION, "--root", root], check=True)
    file = Path(options.log_root, "QPWCNet/exported_for_tables", f"{config}.int8.onnx")
    return ["--export", INT8, "--calibrate", str(root), "--output", str(file), "--overwrite"]
