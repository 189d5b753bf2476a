"""Reproducing the tables: what is measured and what is not and why, once and again, and that a broken chain fails."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ifrnet.model
import tdan.evaluate
from common import cli, file_cache
from common.media import image
from common.media.image import read_image, write_image
from common.scoring import score_frames
from common.tables import reproduce, results_csv, run_row, score_lines
from ifrnet.model import IFRNet

ROW = dict.fromkeys(results_csv.COLUMNS, "")
BICUBIC = ROW | {
    "table": "x4", "method": "bicubic", "configuration": "baseline", "data": "vid4_bi", "protocol": "tdan",
    "metric": "PSNR", "checkpoint": "none",
}  # fmt: skip
BLEND = ROW | {
    "table": "Other", "method": "mean", "configuration": "blend", "data": "middlebury", "metric": "PSNR",
    "protocol": "ifrnet_middlebury", "checkpoint": "none",
}  # fmt: skip
WEIGHTS = BLEND | {"method": "IFRNet", "configuration": "IFRNet_tiny", "checkpoint": "tiny.pth"}
ROWS = {
    "tdan": [BICUBIC, BICUBIC | {"metric": "SSIM"}, BICUBIC | {"clip": "city"}, BICUBIC | {"clip": "walk"}],
    "ifrnet": [BLEND, BLEND | {"clip": "Venus"}, WEIGHTS | {"clip": "Venus"}],
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own: two papers with a few rows, pages, weights of a tiny network; a part of two real sets."""
    for module in (results_csv, run_row, reproduce):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(results_csv, "PAPERS", tuple(ROWS))
    generator, marks = np.random.default_rng(0), ""
    for paper, rows in ROWS.items():
        (tmp_path / paper).mkdir()
        results_csv.write_rows(paper, rows)
        mark = f"<!-- table:{paper} -->\n<!-- /table:{paper} -->\n"
        (tmp_path / paper / "README.md").write_text(mark)
        marks += mark
    (tmp_path / "README.md").write_text(marks)
    frames = {f"Vid4/GT/city/{n}.png": (48, 64) for n in range(5)}
    frames |= {f"Middlebury_other/Venus/{name}.png": (32, 48) for name in ("frame10", "frame10i11", "frame11")}
    for name, size in frames.items():
        small = generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
        write_image(tmp_path / "data" / name, small.repeat(8, 0).repeat(8, 1))
    (tmp_path / "ckpt").mkdir()
    torch.manual_seed(0)
    torch.save(IFRNet("IFRNet_tiny").state_dict(), tmp_path / "ckpt/tiny.pth")
    return tmp_path


def run(project: Path, *argv: str) -> int:
    where = ["--data_root", str(project / "data"), "--log_root", str(project / "logs"), "--device", "cpu"]
    return cli.run(reproduce.main, [*where, *argv])


def record(project: Path) -> None:
    """Take what was measured for what is expected."""
    for paper in ROWS:
        rows = results_csv.read(paper)
        results_csv.write_rows(paper, [row | {"published": row["measured"], "tolerance": "0.0001"} for row in rows])


def test_what_is_here_is_measured_and_the_rest_explained(project, capsys):
    assert run(project) == 0
    text = capsys.readouterr().out
    assert "bicubic on vid4_bi: not measured, 5 of 171 frames in" in text
    assert "(`python datasets/prepare_vid4.py`)" in text
    whole, _, city, walk = results_csv.read("tdan")
    assert whole["measured"] == walk["measured"] == ""
    assert (city["frames"], city["precision"]) == ("5", "float32")
    assert 5 < float(city["measured"]) < 40
    assert city["command"] == "python tdan/run.py --baseline --mode baseline --data vid4_bi -ss"
    venus = results_csv.read("ifrnet")[2]
    assert len(venus["sha256"]) == 64
    assert venus["command"].endswith("--config IFRNet_tiny --data middlebury --ckpt_abs_name ckpt/tiny.pth -ss")
    psnr = f"{float(venus['measured']):.2f}"
    card = (project / "ifrnet/README.md").read_text()
    assert f"| Other | IFRNet | middlebury: Venus | ifrnet_middlebury | PSNR | — | {psnr} | — |" in card
    assert "Venus" not in (project / "README.md").read_text()
    assert 'type="range"' in (project / "results/report.html").read_text()
    outcomes = json.loads((project / "results/tables.json").read_text())["papers"]["tdan"]["outcomes"]
    assert outcomes[0]["clips"]["tdan"]["city"]["frames"] == 5


def test_a_finished_row_is_not_measured_again(project, monkeypatch, capsys):
    done = []
    once = run_row.measure
    monkeypatch.setattr(run_row, "measure", lambda what, *rest: done.append(what.method) or once(what, *rest))
    assert run(project) == 0
    assert sorted(done) == ["IFRNet", "bicubic", "mean"]
    first = results_csv.read("tdan")
    assert run(project) == 0
    assert len(done) == 3
    assert results_csv.read("tdan") == first
    assert capsys.readouterr().out.count("finished before") == 3
    (project / "tdan/new.py").write_text("")
    assert run(project) == 0
    assert done[3:] == ["bicubic"]
    assert run(project, "--fresh", "--only", "ifrnet") == 0
    assert done[4:] == ["mean", "IFRNet"]
    state = torch.load(project / "ckpt/tiny.pth")
    torch.save({key: value + 0.01 for key, value in state.items()}, project / "ckpt/tiny.pth")
    assert run(project, "--only", "ifrnet") == 0
    assert done[6:] == ["IFRNet"]


@pytest.mark.parametrize(
    ("owner", "name"), [(score_frames, "psnr"), (tdan.evaluate, "imresize"), (ifrnet.model, "warp")],
    ids=["metric", "resize", "warp"],
)  # fmt: skip
def test_a_broken_chain_fails(project, monkeypatch, capsys, owner, name):
    assert run(project) == 0
    record(project)
    assert run(project, "--fresh") == 0
    right = getattr(owner, name)

    def broken(*values, **named):
        result = right(*values, **named)
        return result + 0.01 if isinstance(result, float) else (np if name == "imresize" else torch).roll(result, 1, -2)

    monkeypatch.setattr(owner, name, broken)
    capsys.readouterr()
    assert run(project, "--fresh") == 1
    assert "measured" in capsys.readouterr().err


def test_an_error_is_told_and_the_rest_goes_on(project, capsys):
    (project / "data/Vid4/GT/city/3.png").write_bytes(b"no picture")
    assert run(project) == 0
    text = capsys.readouterr().out
    assert "not measured: tdan: bicubic on vid4_bi: " in text
    assert "3.png" in text
    assert results_csv.read("tdan")[2]["measured"] == ""
    assert results_csv.read("ifrnet")[2]["measured"]


def test_an_embedded_row_that_cannot_be_measured_fails(project, monkeypatch, capsys):
    row = BICUBIC | {"table": reproduce.QUICK, "data": "synthetic", "configuration": "TDAN_tiny_bi"}
    results_csv.write_rows("tdan", [row, BICUBIC | {"clip": "city"}])
    monkeypatch.setattr(run_row, "execute", lambda *_: (_ for _ in ()).throw(ValueError("the chain broke")))
    assert run(project, "--quick") == 1
    out, error = capsys.readouterr()
    assert "the chain broke" in error
    assert "vid4" not in out.split("report:")[0].split("tdan\n|")[0]


def test_a_dry_run_writes_nothing(project, capsys):
    before = sorted(project.rglob("*"))
    assert run(project, "--dry-run") == 0
    assert sorted(project.rglob("*")) == before
    assert "tdan: bicubic on vid4_bi: would be measured" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_finished(project, monkeypatch):
    once = run_row.measure

    def stopped(what, *rest):
        if what.paper == "tdan":
            raise KeyboardInterrupt
        return once(what, *rest)

    monkeypatch.setattr(run_row, "measure", stopped)
    assert run(project) == 130
    assert results_csv.read("ifrnet")[2]["measured"]
    assert len(json.loads((project / "logs/tables/state.json").read_text())["outcomes"]) == 2


RUNS = {
    run_row.of_row(paper, row): row
    for paper in (path.parent.name for path in sorted(run_row.ROOT.glob("*/results.csv")))
    for row in results_csv.read(paper)
}


def test_every_row_without_data_says_how_to_get_it(tmp_path):
    for what in RUNS:
        text, clips = run_row.lacking(what, str(tmp_path))
        assert clips == set()
        assert (text == "") is (what.data == "synthetic")
        assert not text or "`python " in text or "no weights of it that this project loads" in text
        for command in text.split("`python datasets/")[1:]:
            assert (run_row.ROOT / "datasets" / command.split("`")[0].split(" ")[0]).is_file()


def test_every_embedded_row_has_commands_that_parse(tmp_path):
    options = SimpleNamespace(data_root=str(tmp_path), log_root=str(tmp_path / "logs"), device="cpu")
    embedded = [what for what in RUNS if what.data == "synthetic"]
    assert {what.paper for what in embedded if what.tier == reproduce.QUICK and what.checkpoint == "trained"} == set(
        results_csv.PAPERS
    )
    for what in embedded:
        todo = run_row.steps(what, options)
        assert todo[0][0] == run_row.MAKE
        for script, *words in todo:
            if script != run_row.MAKE:
                importlib.import_module(f"{what.paper}.config").parse([word for word in words if word != "-dl"])
        text = " && ".join(run_row.typed(words, options) for words in todo)
        assert str(tmp_path) not in text
        assert "--log_root" not in text
        assert "--data_root datasets/" in text


def test_rows_on_the_same_data_follow_each_other():
    options = SimpleNamespace(data_root="/nowhere", only=None, quick=False, long=True)
    ready = reproduce.plan({paper: results_csv.read(paper) for paper in results_csv.PAPERS}, options).ready
    tiers = [what.tier for what in ready]
    assert tiers == sorted(tiers, key=[reproduce.QUICK, "embedded", run_row.LONG].index)
    real = [what._replace(data=data) for what in RUNS for data in ("vid4_bi", "vid4_bd") if what.paper == "tdan"]
    turns = sorted((what for what in real if not what.tier), key=reproduce._turn)
    assert [what.data for what in turns] == sorted(what.data for what in turns)


def test_scores_of_clips(tmp_path):
    (tmp_path / "score_a_one.txt").write_text(
        "c/1 PSNR: 1.0\nc/2 PSNR: 3.0\n[MEAN c] PSNR: 2.0 2 frames\n[TOTAL x|a] ...\n"
    )
    (tmp_path / "score_b_one_two.txt").write_text(
        "d frame.png PSNR: inf IE: 0.5\n[TOTAL x|b] PSNR: inf IE: 0.5 1 frames\n"
    )
    found = score_lines.clip_means(tmp_path, ["one", "one_two"])
    assert found["one"] == {"c": {"PSNR": 2.0, "frames": 2}}
    assert found["one_two"] == {"d": {"PSNR": float("inf"), "IE": 0.5, "frames": 1}}
    (tmp_path / "pvd").mkdir()
    line = "[MEAN EVAL m|DVD|IMG_1][1/2] PSNR: 30.5 SSIM: 0.9 (0.1sec)\n"
    (tmp_path / "pvd/score_DVD.txt").write_text(line + "[TOTAL m|DVD] PSNR: 1.0 SSIM: 0.1 (0.1sec)\n")
    assert score_lines.clip_means(tmp_path / "pvd", ["pvdnet_code"])["pvdnet_code"]["IMG_1"]["SSIM"] == 0.9
    (tmp_path / "many").mkdir()
    (tmp_path / "many/score_s_p.txt").write_text("".join(f"{n % 2}/{n} EPE: {n % 2}.0\n" for n in range(100)))
    assert score_lines.clip_means(tmp_path / "many", ["p"])["p"]["1"] == {"EPE": 1.0, "frames": 50}


def test_files_are_read_once_while_they_are_kept(tmp_path, monkeypatch):
    reads = []
    decode = image._decode
    monkeypatch.setattr(image, "_decode", lambda path: reads.append(path.name) or decode(path))
    for name in "abc":
        write_image(tmp_path / f"{name}.png", np.full((8, 8, 3), 50, np.uint8))
    with file_cache.FILES.keeping(2 * 192):
        read_image(tmp_path / "a.png")[:] = 0
        assert (read_image(tmp_path / "a.png") == 50).all()
        assert reads == ["a.png"]
        write_image(tmp_path / "a.png", np.full((8, 9, 3), 7, np.uint8))
        assert read_image(tmp_path / "a.png").shape == (8, 9, 3)
        for name in "bcbc":
            read_image(tmp_path / f"{name}.png")
        assert reads == ["a.png", "a.png", "b.png", "c.png"]
        read_image(tmp_path / "a.png")
        assert reads[4:] == ["a.png"]
    read_image(tmp_path / "c.png")
    assert reads[5:] == ["c.png"]
