"""TOFlow's rows: what results.csv tells of each, and how one is measured."""

from dataclasses import replace

import pytest

from common.checkpoints.published import entries
from common.tables import results_csv as common_tables
from toflow import tables
from toflow.config import PRESETS, parse, preset
from toflow.protocols import PROTOCOLS as TOFLOW
from toflow.sets import SETS


def test_rows():
    rows = common_tables.read("toflow")
    keys = [tuple(row[key] for key in ("table", "method", "data", "clip", "protocol", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    files = {entry.file: entry.config for entry in entries("toflow")}
    for row in rows:
        config = row["configuration"].split(" ")[0]
        data = PRESETS[config].data if row["data"] == "synthetic" else row["data"]
        assert data in TOFLOW[row["protocol"]].sets or data.startswith("real_")
        assert row["metric"] in TOFLOW[row["protocol"]].metrics
        assert config in PRESETS or config.split("_")[0] in ("", "baseline")
        assert row["checkpoint"] in ("", "none", "trained", "box") or files[row["checkpoint"]] == config
        assert not row["published"] or row["source"]
        assert row["published"] or not row["tolerance"]
        assert not row["tolerance"] or "memory" not in row["source"]
    told = {
        (row["configuration"], row["data"], row["protocol"], row["metric"]): row["published"]
        for row in rows
        if not row["clip"]
    }
    assert told["tof_spynet-chair-wobn_1xb1_vimeo90k-triplet", "vimeo90k", "mmagic", "PSNR"] == "33.3294"
    assert told["tof_x4_official_vimeo90k", "vid4", "basicsr_y", "SSIM"] == "0.7626"
    assert told["TOFlow_interp_mask", "ucf101", "toflow", "PSNR"] == "34.58"
    assert told["pytoflow_denoise", "vimeo_pytoflow_mixed", "toflow", "PSNR"] == "34.73"


@pytest.mark.parametrize("name", PRESETS)
def test_a_row_is_measured_by_its_own_command(name):
    data = tables.stands_for(name)
    if data in SETS:
        assert tables.CLIPS[data][1] == tables.folder(data)  # clips of that layout can be made
    options, config = parse([*tables.baseline(name), "--data_root", "nowhere"])
    assert (options.baseline, options.mode, config.config) == ("plain", "baseline", name)
    assert parse([*tables.trained(name), "--is_train", "--set", "spynet="])[1] == replace(preset(name), spynet="")


def test_what_is_here_of_a_set(clips):
    names, missing = tables.found("vimeo90k", str(clips))
    assert (len(names), missing) == (2, "2 of 3782 samples")
    with pytest.raises(ValueError, match="no such folder"):
        tables.found("vid4", str(clips))
