"""PVDNet's command as a program of its own."""

import subprocess
import sys

import pytest

from pvdnet.config import HERE


def program(command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("start", [[str(HERE / "run.py")], ["-m", "pvdnet.run"]], ids=["script", "module"])
def test_started_from_another_folder(tmp_path, start):
    result = program([sys.executable, *start, "--help"], tmp_path)
    assert result.returncode == 0, result.stderr
    for flag in ("-LRS", "--ckpt_abs_name", "--ckpt_sc", "--data_root", "--set"):
        assert flag in result.stdout
    result = program([sys.executable, *start, "--ckpt_abs_nam", "x"], tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: unknown argument --ckpt_abs_nam; did you mean --ckpt_abs_name?\n"
    assert list(tmp_path.iterdir()) == []


def test_script_needs_no_installed_package(tmp_path):
    """The clone wins over whatever else is called `common` or lies beside the script."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    result = program([sys.executable, str(HERE / "run.py"), "--help"], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
