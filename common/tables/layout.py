"""The README's map: a line for each room of `common/`, made from the docstrings of the packages."""

import ast
import graphlib
from pathlib import Path

from common.papers import ROOT, summary

COMMON = ROOT / "common"


def imports(path: Path) -> set[str]:
    """Modules of `common` that a file imports, such as "media.image"; a name out of a module counts as the module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "common":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common."):
            inside = node.module.removeprefix("common.")
            found |= {f"{inside}.{alias.name}" for alias in node.names} if "." not in inside else {inside}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("common.") for alias in node.names if alias.name.startswith("common.")}
    return found


def rooms() -> list[str]:
    """The rooms of `common/`, each above those that import it.

    Raises:
        ValueError: two rooms import each other, or a module of no room imports one; the line says which.
    """
    names = sorted(path.parent.name for path in COMMON.glob("*/__init__.py"))
    for path in COMMON.glob("*.py"):
        wrong = sorted(module for module in imports(path) if module.split(".")[0] in names)
        if wrong:
            raise ValueError(f"common/{path.name} is for all rooms and must not import common.{wrong[0]}")
    below = {}
    for name in names:
        found = {module.split(".")[0] for path in (COMMON / name).glob("*.py") for module in imports(path)}
        below[name] = found & set(names) - {name}
    sorter, order = graphlib.TopologicalSorter(below), []
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = " imports ".join(f"common/{name}" for name in reversed(error.args[1]))
        raise ValueError(f"imports must go one way: {circle}") from None
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def layout() -> str:
    """The map, in Markdown."""
    lines = ["| folder | what is in it |", "|---|---|", f"| `common/` | {summary(COMMON)} |"]
    lines += [f"| `common/{name}/` | {summary(COMMON / name)} |" for name in rooms()]
    return "\n".join(lines)
