"""What the report of an exported file says."""

import json

import pytest


def test_report(made):
    report = json.loads((made / "out.onnx.json").read_text())
    assert (report["task"], report["network"], report["size"], report["format"]) == ("flow", "QPWCNet", "32x64", "int8")
    sizes = report["megabytes"]
    assert sizes["int8"] == (made / "out.onnx").stat().st_size / 1e6
    assert report["megabytes_ratio"] == sizes["int8"] / sizes["float32"] < 1
    difference = report["difference_to_float32"]
    assert 0 < difference["percent"] < 40
    assert difference["percent"] == pytest.approx(100 * difference["epe"] / difference["mean_flow"])
    assert (report["held_out_samples"], report["ranges"]) == (2, "of 2 calibrating samples")
    times = report["latency"]["milliseconds"]
    assert report["latency"]["ratio"] == times["int8"] / times["float32"]
    assert report["stays_in_float"]["Conv"]["count"] == 5 + 2 + 2 + 1
    assert all(row["why"] for row in report["stays_in_float"].values())
    assert set(report["versions"]) == {"torch", "onnx", "onnxruntime"}
    assert {path.name for path in made.iterdir()} == {"clips", "float.onnx", "out.onnx", "out.onnx.json"}
