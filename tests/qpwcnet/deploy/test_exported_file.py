"""Exported files in place of networks: what they refuse."""

import pytest

from qpwcnet.deploy.exported_file import open_exported
from tests.helpers.exported_qpwcnet import frames


def test_exported_file_refuses_what_it_cannot_do(made, tmp_path):
    file = open_exported(made / "out.onnx")
    with pytest.raises(ValueError, match="was exported for --task flow"):
        file.between(*frames())
    with pytest.raises(ValueError, match="takes frames of 32x64 pixels only"):
        file.flow(*frames((64, 64)))
    (tmp_path / "bad.onnx").write_bytes(b"none")
    for name, line in (("bad.onnx", "cannot read it"), ("none.onnx", "no such file"), ("none.tflite", "no such file")):
        with pytest.raises(ValueError, match=line):
            open_exported(tmp_path / name)
