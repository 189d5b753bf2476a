"""Reproducing the tables: what is measured and what is not and why, once and again, and that a broken chain fails."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ifrnet.model
import tdan.classical
from common import cli, papers
from common.scoring import score_frames
from common.tables import measurement, reproduce, results_csv
from common.tables.__main__ import main
from tests.helpers.table_rows import BICUBIC, ROWS, measure

ROOT = Path(__file__).parents[3]


def reported(project: Path, paper: str) -> list[dict]:
    """The rows of a paper in the report."""
    return json.loads((project / "results/tables.json").read_text())["papers"][paper]["rows"]


def expect(project: Path) -> None:
    """Take what was measured for what is expected."""
    for paper in ROWS:
        rows = reported(project, paper)
        results_csv.write_rows(paper, [row | {"published": row["measured"], "tolerance": "0.0001"} for row in rows])


def test_what_is_here_is_measured_and_the_rest_explained(project, capsys):
    assert measure(project) == 0
    text = capsys.readouterr().out
    assert "bicubic on vid4_bi: not measured, 5 of 171 frames in" in text
    assert "(`python datasets/prepare_vid4.py`)" in text
    whole, _, city, walk = reported(project, "tdan")
    assert whole["measured"] == walk["measured"] == ""
    assert (city["frames"], city["precision"]) == ("5", "float32")
    assert 5 < float(city["measured"]) < 40
    assert city["command"] == "python tdan/run.py --baseline --mode baseline --data vid4_bi -ss"
    venus = reported(project, "ifrnet")[2]
    assert len(venus["sha256"]) == 64
    assert venus["command"].endswith("--config IFRNet_tiny --data middlebury --ckpt_abs_name ckpt/tiny.pth -ss")
    psnr = f"{float(venus['measured']):.2f}"
    line = f"| Other | IFRNet | middlebury: Venus | ifrnet_middlebury | PSNR | — | {psnr} | — |"
    assert line in text
    assert line in (project / "results/tables.md").read_text()
    assert 'type="range"' in (project / "results/report.html").read_text()
    outcomes = json.loads((project / "results/tables.json").read_text())["papers"]["tdan"]["outcomes"]
    assert outcomes[0]["clips"]["tdan"]["city"]["frames"] == 5


def test_a_clone_is_clean_afterwards(project):
    """All that a run leaves is ignored by git, and no tracked file is changed."""
    shutil.copy(ROOT / ".gitignore", project)

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=project, capture_output=True, text=True, check=True).stdout

    git("init", "--quiet")
    git("add", "--all")
    before = git("status", "--porcelain", "--untracked-files=all")
    assert len(before.splitlines()) == 1 + 2 + 2 * len(ROWS)  # .gitignore, pages, csv files; neither data nor weights
    assert measure(project) == 0
    assert git("status", "--porcelain", "--untracked-files=all") == before


def test_what_users_make_in_a_clone_is_ignored():
    made = ("logs/tables/state.json", "results/report.html", "results/tables.md", "results/tables.json", ".venv",
            "datasets/Vid4/GT/city/1.png", "ckpt/tiny.pth", "results/.0123.tmp", "tdan/.0123.tmp")  # fmt: skip
    done = subprocess.run(["git", "check-ignore", "--no-index", *made], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == list(made)


@pytest.mark.parametrize(
    ("checkpoint", "value", "code", "line"),
    [
        ("trained", "30.4", 0, ""), ("trained", "30.6", 0, "better: "), ("trained", "29.4", 1, "off: "),
        ("int8", "30.6", 0, "better: "), ("none", "30.6", 1, "off: "), ("tiny.pth", "30.6", 1, "off: "),
    ],
)  # fmt: skip
def test_what_is_trained_here_may_be_better(project, monkeypatch, capsys, checkpoint, value, code, line):
    row = BICUBIC | {"table": reproduce.QUICK, "data": "synthetic", "published": "30", "tolerance": "0.5"}
    results_csv.write_rows("tdan", [row | {"checkpoint": checkpoint}])
    outcome = {"values": {"tdan PSNR": [value, "5"]}, "clips": {}, "pictures": [], "curves": "", "command": "python x"}
    monkeypatch.setattr(measurement, "lacking", lambda *_: ("", set()))
    monkeypatch.setattr(measurement, "measure", lambda *_: outcome)
    assert measure(project, "--quick", "--only", "tdan") == code
    told = f"{line}bicubic on synthetic, tdan PSNR: measured {value}, expected 30 within 0.5"
    out, error = capsys.readouterr()
    assert (told in (error if code else out)) is bool(line)
    assert (told in (out if code else error)) is False


def test_a_finished_row_is_not_measured_again(project, monkeypatch, capsys):
    done = []
    once = measurement.measure
    monkeypatch.setattr(measurement, "measure", lambda what, *rest: done.append(what.method) or once(what, *rest))
    assert measure(project) == 0
    assert sorted(done) == ["IFRNet", "bicubic", "mean"]
    first = reported(project, "tdan")
    assert measure(project) == 0
    assert len(done) == 3
    assert reported(project, "tdan") == first
    assert capsys.readouterr().out.count("finished before") == 3
    (project / "tdan/new.py").write_text("")
    assert measure(project) == 0
    assert done[3:] == ["bicubic"]
    assert measure(project, "--fresh", "--only", "ifrnet") == 0
    assert done[4:] == ["mean", "IFRNet"]
    state = torch.load(project / "ckpt/tiny.pth")
    torch.save({key: value + 0.01 for key, value in state.items()}, project / "ckpt/tiny.pth")
    assert measure(project, "--only", "ifrnet") == 0
    assert done[6:] == ["IFRNet"]


@pytest.mark.parametrize(
    ("owner", "name"), [(score_frames, "psnr"), (tdan.classical, "imresize"), (ifrnet.model, "warp")],
    ids=["metric", "resize", "warp"],
)  # fmt: skip
def test_a_broken_chain_fails(project, monkeypatch, capsys, owner, name):
    assert measure(project) == 0
    expect(project)
    assert measure(project, "--fresh") == 0
    right = getattr(owner, name)

    def broken(*values, **named):
        result = right(*values, **named)
        return result + 0.01 if isinstance(result, float) else (np if name == "imresize" else torch).roll(result, 1, -2)

    monkeypatch.setattr(owner, name, broken)
    capsys.readouterr()
    assert measure(project, "--fresh") == 1
    assert "measured" in capsys.readouterr().err


def test_an_error_is_told_and_the_rest_goes_on(project, capsys):
    (project / "datasets/Vid4/GT/city/3.png").write_bytes(b"no picture")
    assert measure(project) == 0
    text = capsys.readouterr().out
    assert "not measured: tdan: bicubic on vid4_bi: " in text
    assert "3.png" in text
    assert reported(project, "tdan")[2]["measured"] == ""
    assert reported(project, "ifrnet")[2]["measured"]


def test_an_embedded_row_that_cannot_be_measured_fails(project, monkeypatch, capsys):
    row = BICUBIC | {"table": reproduce.QUICK, "data": "synthetic", "configuration": "TDAN_tiny_bi"}
    results_csv.write_rows("tdan", [row, BICUBIC | {"clip": "city"}])
    monkeypatch.setattr(measurement, "execute", lambda *_: (_ for _ in ()).throw(ValueError("the chain broke")))
    assert measure(project, "--quick") == 1
    out, error = capsys.readouterr()
    assert "the chain broke" in error
    assert "vid4" not in out.split("report:")[0].split("tdan\n|")[0]


def test_a_dry_run_writes_nothing(project, capsys):
    before = sorted(project.rglob("*"))
    assert measure(project, "--dry-run") == 0
    assert sorted(project.rglob("*")) == before
    assert "tdan: bicubic on vid4_bi: would be measured" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_finished(project, monkeypatch):
    once = measurement.measure

    def stopped(what, *rest):
        if what.paper == "tdan":
            raise KeyboardInterrupt
        return once(what, *rest)

    monkeypatch.setattr(measurement, "measure", stopped)
    assert measure(project) == 130
    assert results_csv.read("ifrnet")[2]["measured"] == ""
    assert cli.run(main, ["record", "--log_root", str(project / "logs")]) == 0
    assert results_csv.read("ifrnet")[2]["measured"]
    assert len(json.loads((project / "logs/tables/state.json").read_text())["outcomes"]) == 2


def test_rows_on_the_same_data_follow_each_other():
    options = SimpleNamespace(data_root="/nowhere", only=None, quick=False, long=True)
    ready = reproduce.measurable({paper: results_csv.read(paper) for paper in papers.PAPERS}, options).ready
    tiers = [what.tier for what in ready if what.data == "synthetic"]
    assert [measurement.is_real(what.data) for what in ready[len(tiers) :]] == [True] * (len(ready) - len(tiers))
    assert tiers == sorted(tiers, key=[reproduce.QUICK, "embedded", measurement.LONG].index)
    rows = dict.fromkeys(measurement.of_row("tdan", row) for row in results_csv.read("tdan"))
    vid4 = [what._replace(data=data) for what in rows for data in ("vid4_bi", "vid4_bd")]
    turns = sorted((what for what in vid4 if not what.tier), key=reproduce._turn)
    assert [what.data for what in turns] == sorted(what.data for what in turns)
