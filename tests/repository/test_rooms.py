"""The rooms of common/: imports go one way, no room is lonely, and the README's map is what the docstrings say."""

from common.papers import ROOT, summary
from common.tables import layout


def test_imports_go_one_way_and_the_map_is_in_their_order():
    order = layout.rooms()  # which raises where two rooms import each other
    lines = layout.layout().splitlines()
    assert [line.split("`")[1] for line in lines[3:]] == [f"common/{name}/" for name in order]
    for name in order:
        for path in (ROOT / "common" / name).glob("*.py"):
            for module in layout.imports(path):
                room = module.split(".")[0]
                if room in order:
                    assert order.index(room) <= order.index(name), f"{path} imports common.{module}, a room below it"


def test_no_room_has_one_file_and_each_says_what_is_in_it():
    for folder in (ROOT / "common").glob("*/__init__.py"):
        modules = [path for path in folder.parent.glob("*.py") if not path.name.startswith("__")]
        assert len(modules) > 1, f"{folder.parent}: a room with one file"
        assert summary(folder.parent), f"{folder}: no docstring, which the README's map shows"
