"""A small project to measure: two papers with a few rows, their pages, and the data of some of the rows."""

from pathlib import Path

import numpy as np
import torch

from common import cli
from common.media.image import write_image
from common.tables import reproduce, results_csv
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


def build(folder: Path) -> None:
    """Write the project: a part of two real sets and the weights of a tiny network; its ROOT has to be `folder`."""
    generator = np.random.default_rng(0)
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results/README.md").write_text("<!-- box --><!-- /box -->\n")
    (folder / "README.md").write_text(
        "before\n<!-- tables -->\n<!-- /tables -->\n<!-- layout -->\n<!-- /layout -->\nafter\n"
    )
    for paper, rows in ROWS.items():
        (folder / paper).mkdir()
        results_csv.write_rows(paper, rows)
        (folder / paper / "README.md").write_text(f"<!-- table:{paper} -->\n<!-- /table:{paper} -->\n")
    frames = {f"Vid4/GT/city/{n}.png": (48, 64) for n in range(5)}
    frames |= {f"Middlebury_other/Venus/{name}.png": (32, 48) for name in ("frame10", "frame10i11", "frame11")}
    for name, size in frames.items():
        small = generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
        write_image(folder / "datasets" / name, small.repeat(8, 0).repeat(8, 1))
    (folder / "ckpt").mkdir()
    torch.manual_seed(0)
    torch.save(IFRNet("IFRNet_tiny").state_dict(), folder / "ckpt/tiny.pth")


def measure(project: Path, *argv: str) -> int:
    """Measure the project's rows as a user would; returns the exit code."""
    where = ["--data_root", str(project / "datasets"), "--log_root", str(project / "logs"), "--device", "cpu"]
    return cli.run(reproduce.main, [*where, *argv])
