"""Recording: what was measured here goes into the csv files and the pages, and only then."""

import pytest

from common import cli
from common.tables import measurement, results_csv
from common.tables.__main__ import main
from common.tables.record import fill
from tests.helpers.table_rows import BICUBIC, BLEND, ROWS, measure


def record(project) -> int:
    return cli.run(main, ["record", "--log_root", str(project / "logs")])


def test_what_was_measured_is_recorded_once_it_is_asked_for(project, capsys):
    tracked = [*project.glob("*.md"), *project.glob("*/*.md"), *project.glob("*/*.csv")]
    before = [path.read_bytes() for path in tracked]
    assert measure(project) == 0
    assert [path.read_bytes() for path in tracked] == before
    assert record(project) == 0
    out = capsys.readouterr().out
    assert "tdan: 1 rows recorded in tdan/results.csv" in out
    assert "ifrnet: 2 rows recorded in ifrnet/results.csv" in out
    whole, _, city, walk = results_csv.read("tdan")
    assert whole["measured"] == walk["measured"] == ""
    assert (city["frames"], city["precision"]) == ("5", "float32")
    assert 5 < float(city["measured"]) < 40
    venus = results_csv.read("ifrnet")[2]
    psnr = f"{float(venus['measured']):.2f}"
    card = (project / "ifrnet/README.md").read_text()
    assert f"| Other | IFRNet | middlebury: Venus | ifrnet_middlebury | PSNR | — | {psnr} | — |" in card
    main_page = (project / "README.md").read_text()
    assert "| [ifrnet](ifrnet/README.md#table) | 3 | 2 | on the published sets: " in main_page
    assert "Venus" not in main_page
    assert cli.run(main, ["check"]) == 0

    recorded = [path.read_bytes() for path in tracked]
    assert record(project) == 0
    assert [path.read_bytes() for path in tracked] == recorded

    results_csv.write_rows("tdan", ROWS["tdan"])
    results_csv.write_rows("ifrnet", ROWS["ifrnet"])
    (project / "tdan/new.py").write_text("")
    capsys.readouterr()
    assert record(project) == 0
    assert "tdan: bicubic on vid4_bi: not recorded, other code, versions or weights gave it" in capsys.readouterr().out
    assert results_csv.read("tdan")[2]["measured"] == ""
    assert results_csv.read("ifrnet")[2] == venus


def test_nothing_to_record_is_told(project, capsys):
    assert record(project) == 1
    assert "logs/tables/state.json: nothing was measured yet; run make reproduce-tables" in capsys.readouterr().err


def test_a_number_that_did_not_come_out_is_told():
    what = measurement.of_row("tdan", BICUBIC)
    outcome = {"part": None, "values": {"tdan SSIM": ["0.9", "5"]}, "clips": {}, "facts": {}}
    with pytest.raises(ValueError, match="tdan: bicubic on vid4_bi: no PSNR by protocol tdan came out"):
        fill([BICUBIC.copy()], what, outcome)


def test_only_rows_of_the_measurement_are_filled():
    rows = [row.copy() for row in (BICUBIC, BICUBIC | {"clip": "city"}, BLEND, BICUBIC | {"published": "30.1"})]
    clips = {"tdan": {"city": {"PSNR": 31.0, "frames": 5}}}
    outcome = {"part": None, "values": {"tdan PSNR": ["30.0", "9"]}, "clips": clips, "facts": {"date": "today"}}
    done = fill(rows, measurement.of_row("tdan", BICUBIC), outcome)
    assert done == [rows[0], rows[1], rows[3]]
    assert [row["measured"] for row in rows] == ["30.0", "31.0", "", "30.0"]
    assert [row["frames"] for row in rows] == ["9", "5", "", "9"]
    assert [row["delta"] for row in rows] == ["", "", "", "-0.10000"]
    only_city = [row | {"measured": ""} for row in rows]
    fill(only_city, measurement.of_row("tdan", BICUBIC), outcome | {"part": ["city"]})
    assert [row["measured"] for row in only_city] == ["", "31.0", "", ""]
