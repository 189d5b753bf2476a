"""Which papers there are: the folders that have a table of results. Nothing else lists them."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAPERS = tuple(path.parent.name for path in sorted(ROOT.glob("*/results.csv")))


def summary(folder: Path) -> str:
    """The first line of the docstring of a package, which is read and not imported; empty if there is none."""
    file = folder / "__init__.py"
    tree = ast.parse(file.read_text(encoding="utf-8") if file.is_file() else "")
    return (ast.get_docstring(tree) or "").partition("\n")[0]
