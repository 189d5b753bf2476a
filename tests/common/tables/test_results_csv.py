"""Tables: what the csv files hold is what the pages show, and a number that leaves its tolerance is told."""

import numpy as np
import pytest

from common import cli
from common.tables import readme_pictures, results_csv

ROW = dict.fromkeys(results_csv.COLUMNS, "") | {
    "table": "4",
    "method": "PVDNet",
    "data": "DVD",
    "protocol": "pvdnet_code",
    "metric": "PSNR",
    "published": "31.89",
    "tolerance": "0.02",
}


def test_the_pages_agree_with_the_csv_files():
    assert cli.run(results_csv.main, ["check"]) == 0


def test_a_number_that_nobody_measured_is_a_dash():
    row = results_csv.markdown([ROW]).splitlines()[-1]
    assert row == "| 4 | PVDNet | DVD | pvdnet_code | PSNR | 31.89 | — | — |"
    row = results_csv.markdown([ROW | {"published": "", "measured": "30.5"}]).splitlines()[-1]
    assert row.endswith("| — | 30.50 | — |")


def test_measured_numbers_come_with_their_difference():
    pair = [ROW | {"measured": "31.93", "delta": "+0.04000"}]
    pair += [ROW | {"metric": "SSIM", "published": "0.92", "measured": "0.9190", "delta": "-0.00100"}]
    assert results_csv.markdown(pair).splitlines()[-1].endswith("| 31.89 / 0.92 | 31.93 / 0.9190 | +0.04 / -0.0010 |")


@pytest.mark.parametrize(
    ("measured", "is_off"), [("31.90", False), ("31.87", False), ("31.92", True), ("nan", True), ("", False)]
)
def test_tolerance(measured, is_off):
    assert results_csv.off(ROW | {"measured": measured}) is is_off


def test_a_stale_page_is_told(monkeypatch, tmp_path, capsys):
    (tmp_path / "paper").mkdir()
    for page in ("README.md", "paper/README.md"):
        (tmp_path / page).write_text("before\n<!-- table:paper -->\nold\n<!-- /table:paper -->\nafter\n")
    monkeypatch.setattr(results_csv, "ROOT", tmp_path)
    monkeypatch.setattr(results_csv, "PAPERS", ("paper",))
    results_csv.write_rows("paper", [ROW])
    assert cli.run(results_csv.main, ["check"]) == 1
    assert "make tables" in capsys.readouterr().err
    assert cli.run(results_csv.main, ["write"]) == 0
    assert cli.run(results_csv.main, ["check"]) == 0
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- table:paper -->\n| table |")
    assert text.endswith("after\n")


def test_a_curve_goes_up_where_the_values_do():
    picture = readme_pictures.curve(np.array([0, 10]), np.array([0.0, 1.0]), label="x", baseline=0.5)
    rows, columns = np.nonzero((picture == readme_pictures.LINE).all(-1))
    assert rows[columns.argmin()] > rows[columns.argmax()] + 200


def test_a_sheet_shows_the_frames_side_by_side():
    frames = {"a": np.full((8, 10, 3), 200, np.uint8), "b": np.full((8, 10, 3), 90, np.uint8)}
    picture = readme_pictures.sheet(frames, zoom=2)
    assert picture.shape == (24 + 16, 20 + 6 + 20, 3)
    assert (picture[24:, :20] == 200).all()
    assert (picture[24:, 26:] == 90).all()
