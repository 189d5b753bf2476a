"""The report: three files, a page that is well formed and loads nothing, and marks on what is off or not known."""

import base64
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from common.media.image import write_image
from common.tables import report_figures, report_page, results_csv

ROW = dict.fromkeys(results_csv.COLUMNS, "") | {
    "table": "4",
    "method": "PVDNet",
    "configuration": "config_PVDNet",
    "data": "DVD",
    "protocol": "pvdnet_code",
    "metric": "PSNR",
    "published": "31.89",
    "tolerance": "0.02",
    "checkpoint": "PVDNet_DVD.pytorch",
}
OUTCOME = {
    "paper": "pvdnet", "method": "PVDNet", "configuration": "config_PVDNet", "data": "DVD", "tier": "",
    "seconds": 3.0, "checkpoint": "PVDNet_DVD.pytorch", "command": "python pvdnet/run.py", "clips": {}, "pictures": [],
    "curves": "",
}  # fmt: skip
VOID = ("meta", "img", "input", "br", "path", "circle")


class Page(HTMLParser):
    """Tags with their attributes, the text, and what is wrong with the nesting."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.faults, self.words = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(f"/{tag}")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag, **wanted):
        return [own for name, own in self.tags if name == tag and wanted.items() <= own.items()]

    @property
    def text(self):
        return " ".join(self.words)


def written(folder, rows=(), outcomes=(), missing=None, facts=None):
    """The parsed page of a report about PVDNet."""
    report_page.write(folder, {"pvdnet": list(rows)}, list(outcomes), missing or {}, facts or {"commit": "abc"})
    page = Page((folder / "report.html").read_text())
    assert page.faults == []
    return page


@pytest.fixture
def pictures(tmp_path):
    """One sample: two to compare, the truth, a flow, and one whose file is not there."""
    levels = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    sample = {}
    for label, picture in zip(("input", "result", "truth", "flow"), levels, strict=True):
        sample[label] = str(tmp_path / f"{label}.png")
        write_image(sample[label], picture)
    return sample | {"lost": str(tmp_path / "lost.png")}


def test_nothing_measured_gives_a_page_of_dashes(tmp_path):
    missing = {"pvdnet": [("PVDNet", "no test_DVD (python datasets/prepare_dvd.py tells where), see `make data`")]}
    page = written(tmp_path, [ROW, ROW | {"metric": "SSIM", "published": "", "tolerance": ""}], missing=missing)
    cells = re.findall(r"<td>(.*?)</td>", (tmp_path / "report.html").read_text().partition("<main>")[2])
    assert cells == ["PSNR", "31.89", "—", "—", "±0.02", "—", "SSIM", "—", "—", "—", "—", "—"]
    assert "0  of 2 rows measured" in page.text
    codes = re.findall("<code>(.*?)</code>", (tmp_path / "report.html").read_text())
    assert codes == ["python datasets/prepare_dvd.py", "make data"]
    assert page.all("input") == page.all("svg") == page.all("img") == []


def test_no_rows_at_all_is_a_page_too(tmp_path):
    report_page.write(tmp_path / "new", {}, [], {}, {})
    assert Page((tmp_path / "new/report.html").read_text()).faults == []


def test_status_delta_and_summary(tmp_path):
    rows = [
        ROW | {"measured": "31.907", "delta": "0.017", "commit": "abc1234"},
        ROW | {"measured": "0.9", "metric": "SSIM", "published": "0.92", "delta": "-0.02", "tolerance": "0.0005"},
        ROW | {"measured": "30", "data": "nah", "tolerance": ""},
        ROW | {"data": "other"},
    ]
    page = written(tmp_path, rows)
    lines = [one["class"] for one in page.all("tr") if "class" in one]
    assert lines == ["ok", "off", "no-tolerance", "not-measured"]
    for text in ("+0.02", "−0.0200", "✗ off", "✓ ok", "no tolerance", "abc1234"):
        assert text in page.text
    summary = " ".join(page.text.split())
    assert "3 of 4 rows measured: 1 within tolerance, 1 out, 1 without a tolerance. 1 not measured" in summary
    assert len(page.all("b", **{"class": "bad"})) == 1
    assert [one["rowspan"] for one in page.all("th", scope="rowgroup")] == ["2", "1", "1"]


def test_a_value_that_is_no_number_is_off(tmp_path):
    page = written(tmp_path, [ROW | {"measured": "nan"}])
    assert page.all("tr", **{"class": "off"})


def test_a_trained_row_that_is_better_is_no_fault(tmp_path):
    row = ROW | {"measured": "32.5", "delta": "+0.61", "checkpoint": "trained"}
    page = written(tmp_path, [row, row | {"measured": "31.0"}])
    assert [one["class"] for one in page.all("tr") if "class" in one] == ["better", "off"]
    assert "✓ better" in page.text
    assert "0 within tolerance, 1 better than that, 1 out" in " ".join(page.text.split())


def test_clip_rows_are_folded_behind_the_whole_set(tmp_path):
    page = written(tmp_path, [ROW | {"clip": "walk", "measured": "31.0"}, ROW])
    assert page.text.index("DVD · pvdnet_code") < page.text.index("Single clips: 1 rows, 1 measured,  1 out")
    assert page.text.index("Single clips") < page.text.index("walk")


def test_everything_is_escaped(tmp_path, pictures):
    evil = '<script>alert("x")</script>'
    outcome = OUTCOME | {key: evil for key in ("method", "configuration", "command", "data", "table")}
    outcome |= {"clips": {evil: {evil: {"frames": 1, evil: 1.0}}}, "pictures": [{evil: pictures["input"]} | pictures]}
    row = {key: evil for key in ROW} | {"published": "", "measured": "1.0", "tolerance": "", "delta": ""}
    page = written(tmp_path, [row], [outcome], {evil: [(evil, f"`{evil}` {evil}")]}, {evil: evil})
    assert len(page.all("script")) == 1
    assert page.text.count(evil) > 20


def test_pictures_lie_in_the_page_under_one_slider_a_sample(tmp_path, pictures):
    outcome = OUTCOME | {"pictures": [pictures, pictures, pictures]}
    other = OUTCOME | {"data": "nah", "pictures": [pictures]}
    page = written(tmp_path, [ROW | {"measured": "31.9"}], [outcome, other])
    assert len(page.all("input", type="range")) == 2 + 1
    images = page.all("img")
    assert len(images) == 3 * 4 + 1  # and the wheel of flow colours, once
    assert all(one["alt"] and one["src"].startswith("data:image/") for one in images)
    assert [one["alt"] for one in images[:2]] == ["PVDNet on DVD, sample 1: result", "PVDNet on DVD, sample 1: input"]
    assert (images[0]["width"], images[0]["height"], images[0]["class"]) == ("384", "256", "sharp")
    data = np.frombuffer(base64.b64decode(images[1]["src"].partition(",")[2]), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.imread(pictures["input"]))
    assert page.all("a", href=f"#{page.all('article')[0]['id']}")


def test_the_page_loads_nothing(tmp_path, pictures):
    page = written(tmp_path, [ROW], [OUTCOME | {"pictures": [pictures]}])
    for _, own in page.tags:
        assert own.get("src", "data:").startswith("data:")
        assert own.get("href", "#").startswith("#")
    assert "url(" not in (tmp_path / "report.html").read_text()
    assert page.all("link") == []


def test_without_one_of_the_two_there_is_no_slider(tmp_path, pictures):
    page = written(tmp_path, [], [OUTCOME | {"pictures": [pictures | {"result": pictures["lost"]}]}])
    assert page.all("input") == []
    assert len(page.all("img")) == 3 + 1


def test_large_pictures_are_scaled_down_and_left_out_when_the_page_grows_too_large(tmp_path, monkeypatch):
    sizes = {"input": (300, 800), "result": (300, 800)}
    sample = {label: str(tmp_path / f"{label}.png") for label in sizes}
    for label, size in sizes.items():
        write_image(sample[label], np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8))
    page = written(tmp_path, [], [OUTCOME | {"pictures": [sample]}])
    assert [(one["width"], one["height"]) for one in page.all("img")] == [("480", "180")] * 2
    monkeypatch.setattr(report_page, "MOST_BYTES", 20_000)
    assert written(tmp_path, [], [OUTCOME | {"pictures": [sample]}]).all("img") == []


def test_clips_are_cut_at_64_and_the_best_and_the_worst_are_named(tmp_path):
    scores = {f"clip_{n}": {"frames": n, "PSNR": 20.0 + n, "EPE": 1.0 + n} for n in range(70)}
    scores["clip_5"] = {"frames": 5, "PSNR": float("nan")}
    page = written(tmp_path, [], [OUTCOME | {"clips": {"sintel": scores}}])
    assert len(page.all("th", scope="row")) == 64 + 1  # and the paper's name in the summary
    assert "and 6 more" in page.text
    assert "PSNR: worst clip_0 20.00, best clip_69 89.00" in page.text
    text = (tmp_path / "report.html").read_text()
    assert '20.00 <small class="worst">worst</small></td><td>1.000 <small class="best">' in text


def test_curves_skip_broken_lines_and_are_thinned_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    line = '{{"time": 1, "tag": "{}", "step": {}, "value": {}}}\n'.format
    text = "".join(line("loss/itr_train_total", step, 1 / step) for step in range(1, 1001))
    text += line("loss/itr_valid_psnr", 500, 25) + line("loss/itr_valid_psnr", 1000, 26) * 2 + line("epe", 1, "NaN")
    path.write_text(text + 'null\n{"tag": "epe"}\n{"time": 1, "tag": "lo')
    outcome = OUTCOME | {"curves": str(path)}
    page = written(tmp_path, [], [outcome, outcome, OUTCOME | {"curves": str(tmp_path / "none.jsonl")}])
    assert len(page.all("svg")) == 2  # loss and PSNR, once for the two that share them
    points = [own["d"].count("L") + 1 for own in page.all("path", **{"class": "line"})]
    assert points == [report_figures.MOST_POINTS, 2]
    assert "1 at step 1, 0.001 at step 1000" in page.text
    assert list(report_figures.read_scalars(str(path))) == ["loss/itr_train_total", "loss/itr_valid_psnr"]


@pytest.mark.parametrize("value", [0.0, 25.0, -3.0])
def test_a_curve_of_one_point_is_drawn(tmp_path, value):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"tag": "psnr", "step": 7, "value": value}))
    assert len(written(tmp_path, [], [OUTCOME | {"curves": str(path)}]).all("circle")) == 1


def test_json_and_markdown(tmp_path, pictures):
    clips = {"pvdnet_code": {"walk": {"frames": 3, "PSNR": float("inf")}}}
    outcome = OUTCOME | {"pictures": [pictures], "curves": str(tmp_path / "metrics.jsonl"), "clips": clips}
    rows = [ROW | {"measured": "31.9"}]
    written(tmp_path, rows, [outcome], {"pvdnet": [("what", "why")]})
    text = (tmp_path / "tables.json").read_text()
    assert str(tmp_path) not in text
    found = json.loads(text)
    assert found["facts"] == {"commit": "abc"}
    assert found["papers"]["pvdnet"]["rows"] == rows
    assert found["papers"]["pvdnet"]["missing"] == [["what", "why"]]
    assert found["papers"]["pvdnet"]["outcomes"][0]["clips"]["pvdnet_code"]["walk"] == {"frames": 3, "PSNR": "inf"}
    assert f"## PVDNet\n\n{results_csv.markdown(rows)}\n" in (tmp_path / "tables.md").read_text()


def test_a_report_that_fails_leaves_the_last_one(tmp_path):
    written(tmp_path, [ROW])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["report.html", "tables.json", "tables.md"]
    with pytest.raises(ValueError, match="could not convert"):
        written(tmp_path, [ROW | {"measured": "many"}])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
