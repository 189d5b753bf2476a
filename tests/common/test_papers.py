"""Which papers there are, and what their packages say they are."""

import importlib

import pytest

from common.papers import PAPERS, ROOT, summary


def test_papers_are_the_folders_with_a_table_of_results():
    assert list(PAPERS) == sorted(PAPERS)
    assert {"ifrnet", "pvdnet", "qpwcnet", "tdan", "toflow"} <= set(PAPERS)
    for paper in PAPERS:
        assert (ROOT / paper / "run.py").is_file()
        assert summary(ROOT / paper) == importlib.import_module(paper).__doc__.split("\n")[0]


@pytest.mark.parametrize(("text", "line"), [('"""One.\n\nMore."""\nx = 1 / 0', "One."), ("x = 1", ""), ("", "")])
def test_a_summary_is_read_and_nothing_run(tmp_path, text, line):
    (tmp_path / "__init__.py").write_text(text)
    assert summary(tmp_path) == line
