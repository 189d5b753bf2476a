"""IFRNet's rows of results.csv, and the line that an evaluation prints of them."""

from common.scoring import score_frames
from common.scoring.protocols import INTERPOLATION
from common.tables import results_csv
from ifrnet import sets
from ifrnet.config import PRESETS


def test_rows():
    rows = results_csv.read("ifrnet")
    keys = [tuple(row[key] for key in ("table", "method", "data", "clip", "protocol", "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    for row in rows:
        config = row["configuration"].split(" ")[0]
        data = "vimeo90k" if row["data"] == "synthetic" else row["data"]
        assert data in sets.SETS or data in ("real", "real_x4")
        assert row["metric"] in INTERPOLATION[row["protocol"]].metrics
        assert data in INTERPOLATION[row["protocol"]].sets or data.startswith("real")
        assert config in PRESETS or (config, row["checkpoint"]) in (("blend", "none"), ("dis", "none"), ("", ""))
        assert bool(row["published"]) == bool(row["source"])
        assert row["published"] or not row["tolerance"]
    told = {
        (row["configuration"], row["data"], row["protocol"], row["metric"]): row["published"]
        for row in rows
        if not row["clip"]
    }
    assert told["IFRNet_L_Vimeo90K", "snu_film_hard", "ifrnet_snu_film", "PSNR"] == "30.63"
    assert told["IFRNet_S_Vimeo90K", "middlebury", "ifrnet_middlebury", "IE"] == "1.995"
    assert told["IFRNet_GoPro", "adobe240", "mmediting_x8", "SSIM"] == "0.9057"


def test_published_row_beside_the_means():
    means = {"PSNR": 35.798, "SSIM": 0.97951}
    line = score_frames.published("ifrnet", "IFRNet_Vimeo90K", "vimeo90k", "ifrnet", means)
    assert line == "published: PSNR 35.80 SSIM 0.9794 (paper, table 1), delta -0.00 / +0.0001"
    assert score_frames.published("ifrnet", "IFRNet_Vimeo90K", "gopro", "ifrnet_x8", means) == ""
    assert score_frames.published("ifrnet", "blend", "vimeo90k", "ifrnet", means) == ""
