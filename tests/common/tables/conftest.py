import pytest

from common import papers
from common.sets import clips  # noqa: F401  where the real clips are is asked once, not while ROOT is another
from tests.helpers import table_rows


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, see `table_rows`."""
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    monkeypatch.setattr(papers, "PAPERS", tuple(table_rows.ROWS))
    table_rows.build(tmp_path)
    return tmp_path
