"""The rows of QPWCNet's table: what they name is there."""

from common.checkpoints.published import entries
from common.scoring.protocols import INTERPOLATION
from common.tables import results_csv
from qpwcnet import tables
from qpwcnet.classical import CLASSICAL
from qpwcnet.config import PRESETS
from qpwcnet.protocols import FLOW


def test_rows():
    rows = results_csv.read("qpwcnet")
    keys = [tuple(row[key] for key in ("table", "method", "data", "clip", "protocol", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    files = {entry.file for entry in entries("qpwcnet")}
    for row in rows:
        config, checkpoint = row["configuration"].split(" ")[0], row["checkpoint"]
        data = row["data"]
        if data == "synthetic":
            data = tables.BASELINES.get(config) or PRESETS[config].data
            assert data in tables.CLIPS
        if row["table"] == "training log":
            assert row["checkpoint"] == row["measured"] == ""
            continue
        protocol = (FLOW | INTERPOLATION)[row["protocol"]]
        assert data in protocol.sets or data in ("real", "real_moving")
        assert row["metric"] in protocol.metrics
        assert (config in tables.BASELINES or config in CLASSICAL) == (checkpoint == "none")
        assert config in PRESETS or checkpoint == "none"
        assert checkpoint in {"none", "trained", "int8", "box"} | files
        assert bool(row["published"]) == bool(row["source"])
        assert row["published"] or not row["tolerance"]
    told = {(row["checkpoint"], row["data"], row["metric"]): row["published"] for row in rows if not row["clip"]}
    assert told["pwc_net.pth.tar", "sintel_final", "EPE"] == "2.31"
    assert told["network-chairs-things.pytorch", "kitti15", "Fl-all"] == "33.67"
