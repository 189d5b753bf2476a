import pytest

from common.tables import measurement, reproduce, results_csv
from tests.helpers import table_rows


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, see `table_rows`."""
    for module in (results_csv, measurement, reproduce):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(results_csv, "PAPERS", tuple(table_rows.ROWS))
    table_rows.build(tmp_path)
    return tmp_path
