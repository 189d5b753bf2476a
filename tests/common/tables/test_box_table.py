"""The table of the networks in the box: against what, over which clips."""

import pytest

from common import papers
from common.checkpoints.box import Boxed
from common.tables import box_table, results_csv
from tests.helpers.table_rows import ROW

BOXED = Boxed("one", "One_free.safetensors", "config_One_free", "", "", "one.pth")


@pytest.fixture
def line(monkeypatch, tmp_path):
    """The cells of the only line that rows give."""
    monkeypatch.setattr(papers, "ROOT", tmp_path)
    monkeypatch.setattr(papers, "PAPERS", ("one",))
    monkeypatch.setattr(box_table, "boxed", lambda paper: [BOXED])
    (tmp_path / "one").mkdir()

    def cells(metric, *rows):
        shared = ROW | {"metric": metric, "data": "real", "protocol": "code", "frames": "10", "seconds": "20"}
        results_csv.write_rows("one", [shared | row for row in rows])
        *_, last = box_table.box_table().splitlines()
        return [cell.strip() for cell in last.strip("|").split("|")]

    return cells


def row(method, measured, clip="", checkpoint="none", **more):
    own = {"configuration": "One_free"} if checkpoint == "box" else {}
    return {"method": method, "measured": measured, "clip": clip, "checkpoint": checkpoint} | own | more


def test_the_best_is_the_highest_psnr(line):
    rows = row("poor", "20"), row("good", "30.5"), row("ours", "29", checkpoint="box"), row("other", "40", data="else")
    theirs = row("theirs", "", checkpoint="one.pth", published="37.50")
    assert line("PSNR", *rows, theirs) == [
        "One_free", "`real`", "code, PSNR in dB", "good 30.50", "**29.00**", "37.50 (the whole set)", "2.00",
    ]  # fmt: skip


def test_the_best_is_the_lowest_error(line):
    rows = row("poor", "2"), row("good", "1"), row("ours", "1.5", checkpoint="box")
    assert line("EPE", *rows)[3:6] == ["good 1.000", "**1.500**", "—"]


def test_a_part_of_a_set_is_held_against_the_same_part(line):
    ours = [row("ours", "30", "a", "box"), row("ours", "20", "b", "box"), row("ours", "", "c", "box")]
    theirs = [row("known", value, clip) for value, clip in (("10", "a"), ("12", "b"), ("90", "c"))]
    assert line("PSNR", *ours, *theirs, row("not all", "50", "a"))[1:5] == [
        "`real`, 2 clips of it", "code, PSNR in dB", "known 11.00", "**25.00**",
    ]  # fmt: skip


def test_without_rows_the_head_alone(line):
    assert line("SSIM", row("ours", "1", checkpoint="box"))[0] == "---"
