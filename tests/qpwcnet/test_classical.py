"""Flow without weights, on sets of clips, and what an evaluation of these prints."""

import cv2
import numpy as np
import pytest

from common import cli
from common.tables import score_lines
from qpwcnet import run


@pytest.fixture
def evaluated(tmp_path, capsys):
    """Evaluates a baseline; gives the exit code, both streams, and the folder of results."""

    def start(*argv, root, baseline="plain"):
        where = ("--data_root", str(root), "--log_root", str(tmp_path), "--mode", "m", "--device", "cpu")
        code = cli.run(run.main, [*argv, *where, "--baseline", baseline])
        return code, *capsys.readouterr(), tmp_path / "QPWCNet/run/m/result"

    return start


def values(out, protocol):
    """{metric: value} of a protocol's last line."""
    found = score_lines.totals(out.splitlines())
    return {metric: float(value) for (name, metric), (value, _) in found.items() if name == protocol}


@pytest.fixture
def clip_sets(tmp_path):
    """A set of a clip that moves by (2, 1) pixels a frame, with its flow and without."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    noise = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    frames = np.stack([noise[8 - t : 56 - t, 16 - 2 * t : 80 - 2 * t] for t in range(5)])
    flows = np.stack([[np.full((48, 64, 2), (2 * n, n)) for n in (-t, 4 - t)] for t in range(5)])
    for name in ("drawn", "clips_mine"):
        (tmp_path / "sets" / name / "test").mkdir(parents=True)
        np.save(tmp_path / "sets" / name / "test/a.npy", frames)
    np.save(tmp_path / "sets/drawn/test/a_flow.npy", flows.astype(np.float16))
    return tmp_path / "sets"


def test_clips_and_flow_without_weights(evaluated, clip_sets):
    code, out, _, folder = evaluated("--data", "drawn", "-ss", root=clip_sets)
    assert code == 0
    assert values(out, "clips")["EPE"] == pytest.approx((4 + 2 + 2) * 5**0.5 / 3, abs=1e-4)
    names = {path.relative_to(folder).as_posix().partition("/flow/")[2] for path in folder.glob("**/*.flo")}
    assert names == {"a/0000_1.flo", "a/0002_0.flo", "a/0002_1.flo"}
    for name in ("dis", "farneback"):
        out = evaluated("--data", "drawn", root=clip_sets, baseline=name)[1]
        assert values(out, "clips")["EPE"] < 4  # zero flow has 6
        assert f"[TOTAL {name}|drawn]" in out


def test_clips_of_unknown_flow_tell_how_well_frames_are_moved_back(evaluated, clip_sets):
    still = values(evaluated("--data", "clips_mine", root=clip_sets)[1], "warp")
    moved = values(evaluated("--data", "clips_mine", "-ss", root=clip_sets, baseline="dis")[1], "warp")
    assert moved["PSNR"] > still["PSNR"] + 6
    assert moved["IE"] < still["IE"] / 2
    code, _, error, _ = evaluated("--data", "clips_mine", "--protocol", "clips", root=clip_sets)
    assert code == 2
    assert "--protocol clips does not score clips_mine: expected warp" in error
