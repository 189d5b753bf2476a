"""The script for SPMCS-30 as a program."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_as_a_script_from_another_folder(tmp_path):
    command = [sys.executable, str(ROOT / "datasets/prepare_spmcs.py"), "--check"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == "datasets/SPMCS/GT: no such folder; expected the true frames of SPMCS\n"
