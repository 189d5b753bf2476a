"""The pages' tables: what the csv files hold is what they show."""

import pytest

from common import cli, papers
from common.tables import readme_tables, results_csv
from common.tables.__main__ import main
from tests.helpers.table_rows import ROW


def test_the_pages_agree_with_the_csv_files():
    assert cli.run(main, ["check"]) == 0


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """A main page and the pages of two papers."""
    parts = "<!-- tables -->\nold\n<!-- /tables -->\n<!-- layout --><!-- /layout -->"
    (tmp_path / "README.md").write_text(f"before\n{parts}\nafter\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/README.md").write_text("<!-- box --><!-- /box -->")
    for paper in ("one", "two"):
        (tmp_path / paper).mkdir()
        (tmp_path / paper / "README.md").write_text(
            f"# {paper}\n<!-- table:{paper} -->\n<!-- /table:{paper} -->\nend\n"
        )
        (tmp_path / paper / "__init__.py").write_text(f'"""{paper.title()}Net: Some Title, CVPR 2020."""\n')
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    monkeypatch.setattr(papers, "PAPERS", ("one", "two"))
    here = ROW | {"data": "synthetic", "measured": "1.5", "metric": "PSNR"}
    rows = [here | {"checkpoint": kind} for kind in ("none", "none", "trained", "int8")]
    rows += [ROW | {"data": "DVD", "measured": "2.5", "checkpoint": "one.pth", "metric": "PSNR", "clip": "walk"}]
    results_csv.write_rows("one", [*rows, ROW | {"data": "DVD", "checkpoint": "none", "metric": "PSNR"}])
    results_csv.write_rows("two", [ROW | {"published": "31.9", "metric": "PSNR", "data": "nah"}])
    return tmp_path


def test_a_stale_page_is_told_and_written_anew(pages, capsys):
    assert cli.run(main, ["check"]) == 1
    stale = "README.md, results/README.md, one/README.md, two/README.md"
    assert f"{stale}: out of date; run make tables" in capsys.readouterr().err
    assert cli.run(main, ["write"]) == 0
    assert cli.run(main, ["check"]) == 0
    text = (pages / "two/README.md").read_text()
    assert text.startswith("# two\n<!-- table:two -->\n| table |")
    assert text.endswith("| PSNR | 31.9 | — | — |\n<!-- /table:two -->\nend\n")
    results_csv.write_rows("two", [ROW | {"metric": "SSIM"}])
    assert cli.run(main, ["check"]) == 1
    assert "error: two/README.md: out of date" in capsys.readouterr().err


def test_the_main_page_has_a_line_a_paper(pages):
    readme_tables.write()
    lines = (pages / "README.md").read_text().splitlines()
    assert [*lines[:7], lines[-1]] == [
        "before", "<!-- tables -->", "| paper | rows | measured here | how |", "|---|---|---|---|",
        "| [OneNet](one/README.md#table) | 6 | 5 | on clips made here: 2 without weights, 1 trained here, 1 as int8 "
        "files; on the published sets: 1 with published weights |",
        "| [TwoNet](two/README.md#table) | 1 | 0 | — |", "<!-- /tables -->", "after",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "<!-- table:one -->", "<!-- /table:one -->\n<!-- table:one -->"])
def test_a_page_without_markers_is_told(pages, capsys, text):
    (pages / "one/README.md").write_text(text)
    assert cli.run(main, ["write"]) == 1
    assert "one/README.md: no markers <!-- table:one --> ... <!-- /table:one -->" in capsys.readouterr().err


def test_a_misspelt_action_is_told(capsys):
    assert cli.run(main, ["writes"]) == 2
    assert "record" in capsys.readouterr().err
