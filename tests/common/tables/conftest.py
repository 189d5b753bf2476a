import pytest

from common import papers
from tests.helpers import table_rows


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, see `table_rows`."""
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    monkeypatch.setattr(papers, "PAPERS", tuple(table_rows.ROWS))
    table_rows.build(tmp_path)
    return tmp_path
