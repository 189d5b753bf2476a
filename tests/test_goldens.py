"""Every reference case under a folder of cases: `pytest tests/test_goldens.py --goldens DIR`."""

from pathlib import Path

from tests.golden_cases import common as golden_common
from tests.golden_cases import ifrnet as golden_ifrnet
from tests.golden_cases import ifrnet_metrics as golden_ifrnet_metrics
from tests.golden_cases import ifrnet_teacher as golden_ifrnet_teacher
from tests.golden_cases import pvdnet as golden_pvdnet
from tests.golden_cases import qpwcnet as golden_qpwcnet
from tests.golden_cases import qpwcnet_ops as golden_qpwcnet_ops
from tests.golden_cases import qpwcnet_pwcnet as golden_qpwcnet_pwcnet
from tests.golden_cases import tdan as golden_tdan
from tests.golden_cases import toflow as golden_toflow
from tests.helpers.golden import Case

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
