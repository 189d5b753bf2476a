import os
import signal
from pathlib import Path

import pytest
import torch

from common.ops import autocast as precision
from common.ops import complexity
from common.papers import PAPERS
from tests.helpers.web import serve

# Runs are compared bit for bit with runs in other processes, and sums depend on the number of threads: here and in
# every process that a test starts there are as many. One is fastest, since the tests share the cores anyhow.
os.environ["OMP_NUM_THREADS"] = os.environ.get("TEST_THREADS", "1")
os.environ["MKL_DYNAMIC"] = "FALSE"  # or a new process has no more threads than there are cores
os.environ["VIDEOREF_OFFLINE"] = "1"  # no test fetches weights from their addresses
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a script; tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--goldens", default=str(HERE / "goldens"), help="folder of reference cases")


def pytest_configure(config):
    own = "|".join(("common", *PAPERS))
    config.addinivalue_line("filterwarnings", f"error::UserWarning:({own}).*")  # a warning of ours is a fault


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session", autouse=True)
def each_cost_counted_once():
    """Every run writes what its network costs, and counting that of a large frame takes longer than a tiny training."""
    count, known = complexity.macs, {}

    def macs(build, *shapes):
        network = build()  # in any case: it draws its weights
        key = (repr(network), shapes)
        if key not in known:
            known[key] = count(lambda: network, *shapes)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(complexity, "macs", macs)
        yield


@pytest.fixture(autouse=True)
def float32_unless_told(monkeypatch):
    """Results are compared bit for bit, and own video takes bfloat16 where the processor has it."""
    monkeypatch.setattr(precision, "has_bf16", lambda: False)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real clips beside the checkout; tests that need it are skipped where it is not."""
    folder = HERE.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}")
    return folder


@pytest.fixture(scope="module")
def _server():
    """A web server for the tests of a module."""
    with serve() as web:
        yield web


@pytest.fixture
def web(_server):
    """The server, which has been asked nothing yet."""
    _server.answers.clear()
    _server.asked.clear()
    return _server
