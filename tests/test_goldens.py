"""Every reference case under a folder of cases: `pytest tests/test_goldens.py --goldens DIR`."""

from pathlib import Path

import golden_common
import golden_ifrnet
import golden_ifrnet_metrics
import golden_ifrnet_teacher
import golden_pvdnet
import golden_tdan
import golden_toflow
import pytest
from golden import Case

HANDLERS = (
    golden_common.HANDLERS
    | golden_ifrnet.HANDLERS
    | golden_ifrnet_metrics.HANDLERS
    | golden_ifrnet_teacher.HANDLERS
    | golden_pvdnet.HANDLERS
    | golden_tdan.HANDLERS
    | golden_toflow.HANDLERS
)

# Papers that have no folder here yet: delete a name when its paper comes.
NOT_BUILT = ("qpwcnet",)


def pytest_generate_tests(metafunc):
    root = Path(metafunc.config.getoption("--goldens"))
    folders = sorted(path.parent for path in root.rglob("case.npz"))
    assert folders, f"no case.npz under {root}"
    metafunc.parametrize("folder", folders, ids=[str(folder.relative_to(root)) for folder in folders])


def test_golden(folder):
    case = Case.load(folder)
    kind = case.meta["kind"]
    if kind.startswith(NOT_BUILT):
        pytest.skip(f"{kind}: this paper is not in the repository yet")
    assert kind in HANDLERS, f"nothing implements the kind {kind}"
    HANDLERS[kind](case)
    assert not case.unchecked(), f"never compared: {sorted(case.unchecked())}"
