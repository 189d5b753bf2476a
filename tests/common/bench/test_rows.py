"""The bench's command: a table, a csv, in which other rows stay."""

import csv

import pytest
import torch

from common.bench import rows


def test_quick_run_writes_the_table(tmp_path, capsys):
    arguments = ["--paper", "pvdnet", "--quick", "--network", "PVDNet_small", "--modes", "inference"]
    rows.main([*arguments, "--layouts", "NCHW", "--device", "cpu", "--types", "float32", "--output", str(tmp_path)])
    (path,) = tmp_path.iterdir()
    assert path.name == f"cpu-torch{torch.__version__}.csv"
    found = list(csv.DictReader(path.open()))
    assert [row["layout"] for row in found] == ["NCHW"]
    for row in found:
        assert all(row.values())
        assert row["conv_calls"] == "23"
        assert row["size"] == "64x64"
        assert float(row["ratio"]) > 0
    assert "PVDNet_small" in capsys.readouterr().out


def test_a_row_that_fails_does_not_stop_the_others(tmp_path, capsys):
    arguments = ["--paper", "qpwcnet", "--network", "QPWCNet mish", "--size", "60x60", "--modes", "inference"]
    arguments += ["--layouts", "NCHW", "--types", "float32", "--device", "cpu", "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match="1"):
        rows.main(["--repeats", "1", *arguments])  # no multiple of 64
    assert "failed: qpwcnet QPWCNet mish inference NCHW float32: " in capsys.readouterr().out


@pytest.mark.parametrize("paper", ["ifrnet", "toflow", "pvdnet", "qpwcnet"])
def test_around_the_network(paper, tmp_path, capsys):
    names = list(rows._own_video(paper))
    arguments = ["--paper", paper, "--quick", "--network", names[-1], "--modes", "around", "--output", str(tmp_path)]
    rows.main([*arguments, "--device", "cpu"])
    (path,) = tmp_path.iterdir()
    assert path.name == f"around-cpu-torch{torch.__version__}.csv"
    (row,) = csv.DictReader(path.open())
    assert (row["network"], row["size"]) == (names[-1], "64x64")
    assert float(row["bare_seconds"]) > 0
    assert float(row["ratio"]) == pytest.approx(float(row["bare_seconds"]) / float(row["seconds"]), rel=1e-4)
    assert f"{names[-1]} around the network: " in capsys.readouterr().out


def test_a_bad_size_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        rows.main(["--size", "256"])
    assert "WIDTHxHEIGHT" in capsys.readouterr().err


def test_other_rows_of_the_file_stay(tmp_path):
    def row(**values):
        return {"paper": "a", "network": "n", "size": "64x64", "seconds": "1"} | values

    path = tmp_path / "bench/cpu.csv"
    for one in (row(), row(size="32x32"), row(paper="b"), row(seconds=2.0), row(network="m")):
        rows.write(path, one)
    found = list(csv.DictReader(path.open()))
    assert found == [row(size="32x32"), row(seconds="2"), row(network="m"), row(paper="b")]
