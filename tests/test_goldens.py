"""Every reference case under a folder of cases: `pytest tests/test_goldens.py --goldens DIR`."""

import importlib
from pathlib import Path

from tests.helpers.golden import Case

MODULES = sorted((Path(__file__).parent / "golden_cases").glob("*.py"))
HANDLERS = {}  # kind of a case -> what computes and compares it
for module in MODULES:
    HANDLERS |= importlib.import_module(f"tests.golden_cases.{module.stem}").HANDLERS


def pytest_generate_tests(metafunc):
    root = Path(metafunc.config.getoption("--goldens"))
    folders = sorted(path.parent for path in root.rglob("case.npz"))
    assert folders, f"no case.npz under {root}"
    metafunc.parametrize("folder", folders, ids=[str(folder.relative_to(root)) for folder in folders])


def test_golden(folder):
    case = Case.load(folder)
    kind = case.meta["kind"]
    assert kind in HANDLERS, f"no module of tests/golden_cases implements the kind {kind}"
    HANDLERS[kind](case)
    assert not case.unchecked(), f"never compared: {sorted(case.unchecked())}"
