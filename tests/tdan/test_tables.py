"""TDAN's rows of results.csv: what each is measured by, and that the published numbers are there."""

from common.checkpoints.published import entries
from common.tables import results_csv
from tdan import tables
from tdan.config import PRESETS
from tdan.protocols import PROTOCOLS

BI, BD = "tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi", "tdan_x4ft_1xb16-lr5e-5-800k_vimeo90k-bd"


def test_rows():
    rows = results_csv.read("tdan")
    keys = [tuple(row[key] for key in ("table", "method", "data", "clip", "protocol", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    files = {entry.file: entry.config for entry in entries("tdan")}
    for row in rows:
        config = row["configuration"].split(" ")[0]
        data = PRESETS[config].data if row["data"] == "synthetic" else row["data"]
        assert data in PROTOCOLS[row["protocol"]].sets or data in ("real_bi", "real_bd")
        assert row["metric"] in PROTOCOLS[row["protocol"]].metrics
        assert config in PRESETS or config in ("baseline", "baseline_lanczos")
        assert row["checkpoint"] in ("none", "trained", "box") or files[row["checkpoint"]] == config
        assert not row["published"] or row["source"]
        assert row["published"] or not row["tolerance"]
    told = {
        (row["configuration"], row["data"], row["protocol"], row["metric"]): row["published"]
        for row in rows
        if not row["clip"]
    }
    assert told[BI, "vid4_bi", "tdan", "PSNR"] == "26.49"
    assert told[BD, "spmcs_bd", "tdan", "SSIM"] == "0.868"
    assert told["baseline", "vid4_bi", "vid4_bicubic", "PSNR"] == "23.7836"
    assert (
        sum(bool(row["published"]) and row["configuration"] in (BI, BD) for row in rows) == 16
    )  # eight rows of two metrics


def test_what_a_row_is_measured_by():
    assert (tables.folder("vid4_bd"), tables.folder("vimeo_bi")) == ("Vid4", "vimeo_septuplet")
    for preset in PRESETS:
        assert tables.trained(preset) == ["--mode", preset, "--config", preset]
        assert tables.baseline(preset) == ["--baseline", "--mode", "baseline", "--config", preset]
        assert tables.stands_for(preset) == PRESETS[preset].data
    assert tables.baseline("baseline_lanczos") == ["--baseline", "lanczos", "--mode", "baseline_lanczos"]
    assert tables.baseline("baseline") == ["--baseline", "--mode", "baseline"]
    assert set(tables.CLIPS) == {PRESETS[name].data for name in PRESETS if name.startswith("TDAN_tiny")}


def test_what_of_a_set_is_here(clips):
    names, part = tables.found("vimeo_bi", str(clips))
    assert (len(names), part) == (2, "2 of 7824 frames")
