"""What an export refuses before and after its work."""

import dataclasses
import sys
from pathlib import Path

import pytest

from qpwcnet.deploy import export
from tests.helpers.exported_qpwcnet import CONFIG, options, small

pytest.importorskip("onnx", reason="the extra export is not installed")
pytest.importorskip("onnxruntime", reason="the extra export is not installed")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"calibrate": None}, "--export int8 needs --calibrate DIR"),
        ({"calibrate": "none"}, "--calibrate none: no such folder"),
        ({"calibrate": "."}, "it holds none"),
        ({"export_size": "64x48"}, "--export_size 64x48: expected multiples of 32"),
        ({"output": "out.pth"}, "expected a file ending in .onnx"),
        ({"output": "old.onnx"}, "old.onnx.json exists: give another output, or --overwrite"),
    ],
)
def test_refusals(tmp_path, monkeypatch, more, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "load", lambda *_: (small(), Path("weights.pth")))
    Path("old.onnx.json").write_text("mine")
    with pytest.raises(Exception, match=line) as error:
        export.export(options(**more), CONFIG)
    assert len(str(error.value).splitlines()) == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="--export needs onnxruntime"):
        export.export(options(), dataclasses.replace(CONFIG))
