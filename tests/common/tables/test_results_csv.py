"""Rows: read and written, judged by their tolerance, shown as a table; titles from the papers' docstrings."""

import pytest

from common import papers
from common.tables import results_csv
from common.tables.results_csv import status

ROW = dict.fromkeys(results_csv.COLUMNS, "") | {
    "table": "4",
    "method": "PVDNet",
    "data": "DVD",
    "protocol": "pvdnet_code",
    "metric": "PSNR",
    "published": "31.89",
    "tolerance": "0.02",
}


def test_a_number_that_nobody_measured_is_a_dash():
    row = results_csv.markdown([ROW]).splitlines()[-1]
    assert row == "| 4 | PVDNet | DVD | pvdnet_code | PSNR | 31.89 | — | — |"
    row = results_csv.markdown([ROW | {"published": "", "measured": "30.5"}]).splitlines()[-1]
    assert row.endswith("| — | 30.50 | — |")


def test_measured_numbers_come_with_their_difference():
    pair = [ROW | {"measured": "31.93", "delta": "+0.04000"}]
    pair += [ROW | {"metric": "SSIM", "published": "0.92", "measured": "0.9190", "delta": "-0.00100"}]
    assert results_csv.markdown(pair).splitlines()[-1].endswith("| 31.89 / 0.92 | 31.93 / 0.9190 | +0.04 / -0.0010 |")


@pytest.mark.parametrize("checkpoint", ["none", "PVDNet_DVD.pytorch", "trained", "int8"])
@pytest.mark.parametrize(
    ("metric", "measured", "is_off", "is_better"),
    [
        ("PSNR", "31.90", False, False), ("PSNR", "31.87", False, False), ("PSNR", "31.92", True, True),
        ("PSNR", "31.86", True, False), ("PSNR", "nan", True, False), ("PSNR", "", False, False),
        ("PSNR", "inf", True, True), ("EPE", "31.80", True, True), ("EPE", "31.88", False, False),
        ("EPE", "31.92", True, False), ("EPE", "nan", True, False), ("SSIM", "31.92", True, True),
        ("Fl-all", "31.80", True, True), ("of tomorrow", "31.92", True, False), ("of tomorrow", "31.80", True, False),
    ],
)  # fmt: skip
def test_tolerance(metric, measured, is_off, is_better, checkpoint):
    made = checkpoint in ("trained", "int8")
    expected = "better" if is_better and made else "off" if is_off else "ok" if measured else "not measured"
    assert status(ROW | {"metric": metric, "measured": measured, "checkpoint": checkpoint}) == expected


def test_without_an_expected_value_or_a_tolerance_nothing_is_off():
    assert status(ROW | {"measured": "1", "tolerance": ""}) == "no tolerance"
    assert status(ROW | {"measured": "1", "published": ""}) == "no tolerance"


def test_every_row_is_one_that_the_code_knows():
    """A metric has a direction, a checkpoint is a file or one of the words, and a measured value tells its origin."""
    rows = [row for paper in papers.PAPERS for row in results_csv.read(paper)]
    assert {row["metric"] for row in rows} <= {*results_csv.HIGHER, *results_csv.LOWER}
    words = {"", "none", results_csv.BOX, *results_csv.MADE}
    assert {row["checkpoint"] for row in rows if "." not in row["checkpoint"]} <= words
    for row in rows:
        assert status(row) in ("ok", "not measured", "no tolerance")
        assert not row["measured"] or (row["frames"] and row["command"] and row["commit"] and row["date"])


def test_a_file_is_written_as_it_was_read(monkeypatch, tmp_path):
    texts = {paper: (papers.ROOT / paper / "results.csv").read_bytes() for paper in papers.PAPERS}
    rows = {paper: results_csv.read(paper) for paper in papers.PAPERS}
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    for paper, text in texts.items():
        results_csv.write_rows(paper, rows[paper])
        assert (tmp_path / paper / "results.csv").read_bytes() == text
        assert results_csv.read(paper) == rows[paper]


def test_other_columns_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper/results.csv").write_text("table,method\n4,PVDNet\n")
    with pytest.raises(ValueError, match=r"paper/results.csv: expected the columns table, method, configuration"):
        results_csv.read("paper")


def test_titles_are_the_docstrings(monkeypatch, tmp_path):
    for paper in papers.PAPERS:
        name, what = results_csv.title(paper)
        assert name.lower() == paper, f"{paper}/__init__.py: expected a docstring `Name: title, venue.`"
        assert what, f"{paper}/__init__.py: expected a docstring `Name: title, venue.`"
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    assert results_csv.title("paper") == ("paper", "")
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper/__init__.py").write_text(
        '"""Paper: What It Is: a Study, CVPR 2020.\n\nMore."""\nimport paper.x\n'
    )
    assert results_csv.title("paper") == ("Paper", "What It Is: a Study, CVPR 2020")
