"""The exported files that several tests of this room look into."""

import pytest

from tests.helpers.exported_qpwcnet import export_both


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with clips, and with both files of one network."""
    pytest.importorskip("onnx", reason="the extra export is not installed")
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    place = tmp_path_factory.mktemp("export")
    export_both(place)
    return place
