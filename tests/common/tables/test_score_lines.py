"""Printed scores, read back: totals by protocol, the folder of the score files, means of single clips."""

from pathlib import Path

import pytest

from common.tables import score_lines


def test_totals_and_folder():
    lines = [
        "[TOTAL IFRNet|vimeo90k] PSNR: 35.80123 SSIM: 0.97940 3782 frames, protocol ifrnet",
        "published: PSNR 35.80 SSIM 0.9794 (paper, table 1), delta +0.00 / +0.0000",
        "[TOTAL flow|kitti15] EPE: 10.35000 Fl-all: 33.67000 200 frames, protocol kitti15",
        "[TOTAL equal|x] PSNR: inf 2 frames, protocol ifrnet_x8, 2 of them equal to the truth",
        "pictures and scores (of each frame): logs/some/result",
    ]
    assert score_lines.totals(lines) == {
        ("ifrnet", "PSNR"): ("35.80123", "3782"), ("ifrnet", "SSIM"): ("0.97940", "3782"),
        ("kitti15", "EPE"): ("10.35000", "200"), ("kitti15", "Fl-all"): ("33.67000", "200"),
        ("ifrnet_x8", "PSNR"): ("inf", "2"),
    }  # fmt: skip
    assert score_lines.result_folder(lines) == Path("logs/some/result")
    with pytest.raises(ValueError, match="wrote no scores"):
        score_lines.result_folder(lines[:-1])


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
