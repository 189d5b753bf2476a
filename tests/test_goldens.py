"""Every reference case under a folder of cases: `pytest tests/test_goldens.py --goldens DIR`."""

from pathlib import Path

import golden_common
import golden_ifrnet
import golden_ifrnet_metrics
import golden_ifrnet_teacher
import golden_pvdnet
import golden_qpwcnet
import golden_qpwcnet_ops
import golden_qpwcnet_pwcnet
import golden_tdan
import golden_toflow
from golden import Case

HANDLERS = (
    golden_common.HANDLERS
    | golden_ifrnet.HANDLERS
    | golden_ifrnet_metrics.HANDLERS
    | golden_ifrnet_teacher.HANDLERS
    | golden_pvdnet.HANDLERS
    | golden_qpwcnet.HANDLERS
    | golden_qpwcnet_ops.HANDLERS
    | golden_qpwcnet_pwcnet.HANDLERS
    | golden_tdan.HANDLERS
    | golden_toflow.HANDLERS
)


def pytest_generate_tests(metafunc):
    root = Path(metafunc.config.getoption("--goldens"))
    folders = sorted(path.parent for path in root.rglob("case.npz"))
    assert folders, f"no case.npz under {root}"
    metafunc.parametrize("folder", folders, ids=[str(folder.relative_to(root)) for folder in folders])


def test_golden(folder):
    case = Case.load(folder)
    kind = case.meta["kind"]
    assert kind in HANDLERS, f"nothing implements the kind {kind}"
    HANDLERS[kind](case)
    assert not case.unchecked(), f"never compared: {sorted(case.unchecked())}"
