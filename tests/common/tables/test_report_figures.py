"""Parts of the report: a sample's pictures, scores of clips, curves."""

import json

import numpy as np
import pytest

from common.media.image import write_image
from common.tables import report_figures, results_csv


@pytest.mark.parametrize(("metric", "best"), [("PSNR", "b"), ("SSIM", "b"), ("EPE", "a"), ("IE", "a"), ("MAE", "a")])
def test_the_best_clip_depends_on_the_metric(metric, best):
    html = report_figures.clips("p", {"a": {"frames": 1, metric: 1.0}, "b": {"frames": 1, metric: 2.0}})
    worst = {"a": "b", "b": "a"}[best]
    assert f"worst {worst} " in html
    assert f"best {best} " in html
    assert metric in (results_csv.HIGHER if best == "b" else results_csv.LOWER)


def test_clips_with_one_score_have_no_best():
    assert "best" not in report_figures.clips("p", {name: {"frames": 1, "PSNR": 30.0} for name in "ab"})


def test_points_are_thinned_out_evenly():
    points = report_figures.thin_out(list(range(1001)))
    assert (len(points), points[0], points[-1]) == (report_figures.MOST_POINTS, 0, 1000)
    assert set(np.diff(points)) == {2, 3}
    assert report_figures.thin_out([1, 2]) == [1, 2]


def test_of_a_repeated_step_the_last_counts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"tag": "loss", "step": step, "value": value} for step, value in ((2, 0.2), (1, 0.1), (2, 0.3))]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert report_figures.read_scalars(str(path)) == {"loss": [(1, 0.1), (2, 0.3)]}
    assert report_figures.read_scalars(str(tmp_path / "none")) == {}
    assert "Training loss" in report_figures.curves(str(path))
    assert "Validation" not in report_figures.curves(str(path))


def test_a_sample_without_pictures_is_nothing(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert report_figures.sample({"input": str(tmp_path / "a.png")}, "title", 0) == ""
    assert report_figures.sample({"input": str(tmp_path / "lost.png")}, "title", 480) == ""
    two = dict.fromkeys(("input", "result"), str(tmp_path / "a.png"))
    assert report_figures.sample(two, "title", 480).count("data:image/png") == 2
