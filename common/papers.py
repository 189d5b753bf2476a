"""Which papers there are: the folders that have a table of results. Nothing else lists them."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAPERS = tuple(path.parent.name for path in sorted(ROOT.glob("*/results.csv")))


def summary(folder: Path) -> str:
    """The first line of the docstring of a package, which is read and not imported."""
    return (ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or "").split("\n")[0]
