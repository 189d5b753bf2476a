"""The README's map: rooms in the order of their imports, and the line where they go both ways."""

import pytest

from common.tables import layout

CIRCLES = [
    ("from common.media import image", "import common.ops.pad"),
    ("from common import media", "from common.ops.pad import tile"),
]


@pytest.mark.parametrize(("first", "second"), CIRCLES)
def test_a_circle_is_told(tmp_path, monkeypatch, first, second):
    for name, line in (("ops", first), ("media", second)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "module.py").write_text(line)
    monkeypatch.setattr(layout, "COMMON", tmp_path)
    with pytest.raises(ValueError, match=r"one way: common/(ops|media) imports common/(ops|media) imports common/"):
        layout.rooms()


def test_the_floor_imports_no_room(tmp_path, monkeypatch):
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/__init__.py").write_text("")
    (tmp_path / "cli.py").write_text("from common.ops import warp")
    monkeypatch.setattr(layout, "COMMON", tmp_path)
    with pytest.raises(ValueError, match=r"common/cli.py is for all rooms and must not import common.ops"):
        layout.rooms()
