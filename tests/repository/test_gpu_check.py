"""The check for a GPU, on the CPU with small sizes: every part runs, and what fails is told."""

import csv
import os
import subprocess
import sys

from common.papers import ROOT
from tests.helpers.clips import pictures, write_video


def check(tmp_path, **variables):
    clip = write_video(tmp_path / "in.mp4", pictures(5, 16, 24))
    given = {
        "PYTHON": sys.executable, "DEVICE": "cpu", "SIZE": "64x64", "TESTS": "tests/ifrnet/test_model.py",
        "BENCH": "--paper ifrnet --network IFRNet_tiny --modes training --types float32 fp16 --repeats 1",
        "CLIP": str(clip), "OUTPUT": str(tmp_path / "bench"), **variables,
    }  # fmt: skip
    return subprocess.run([ROOT / "tests/gpu_check.sh"], env=os.environ | given, capture_output=True, text=True)


def test_every_part(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.endswith(" s")] == [
        "tests", "bench", "ifrnet", "tdan", "toflow"]  # fmt: skip
    (path,) = (tmp_path / "bench").iterdir()
    rows = [(row["network"], row["mode"], row["dtype"]) for row in csv.DictReader(path.open())]
    assert sorted(rows) == [("IFRNet_tiny", "training", kind) for kind in ("float32", "fp16")]


def test_what_fails_is_told(tmp_path):
    done = check(tmp_path, CLIP=str(tmp_path / "no.mp4"), TESTS="tests/no.py", BENCH="--size no")
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert told == [f"FAILED: {name}" for name in ("tests", "bench", "ifrnet", "tdan", "toflow")]
