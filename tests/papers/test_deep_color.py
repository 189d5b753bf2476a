"""Every paper keeps more than 8 bits a channel, from the file through the network to the file."""

import numpy as np
import pytest

from common import cli
from tests.helpers.clips import pictures
from tests.helpers.deep_clips import read_deep, write_deep_folder
from tests.helpers.tiny_runs import facts
from tests.helpers.untrained import BETWEEN, CLIPWISE, arguments, save_untrained

COUNT = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Frames of 16 bits, the same in 8, and weights."""
    folder = tmp_path_factory.mktemp("deep")
    low = np.random.default_rng(0).integers(-128, 129, (COUNT, 18, 20, 3))
    frames = [
        np.clip(257 * frame.astype(int) + more, 0, 65535)
        for frame, more in zip(pictures(COUNT, 18, 20), low, strict=True)
    ]
    write_deep_folder(folder / "deep", [frame.astype(np.uint16) for frame in frames])
    write_deep_folder(folder / "rounded", [((frame + 128) // 257 * 257).astype(np.uint16) for frame in frames])
    save_untrained(folder)
    return folder


@pytest.mark.parametrize("name", [*BETWEEN, *CLIPWISE])
def test_own_frames(name, place, tmp_path):
    made = {}
    for kind in ("deep", "rounded"):
        argv = [*arguments(name, place), "--input", str(place / kind), "--device", "cpu", "--amp", "off"]
        argv += ["--multi", "2", "--scene", "1"] * (name in BETWEEN)
        assert cli.run(facts(name.split()[0]).run.main, [*argv, "--output", str(tmp_path / kind)]) == 0
        made[kind] = np.stack(read_deep(tmp_path / kind))
    assert made["deep"].dtype == np.uint16
    if name in BETWEEN:
        np.testing.assert_array_equal(made["deep"][::2], read_deep(place / "deep"))
        made = {kind: frames[1::2] for kind, frames in made.items()}
    assert np.mean(made["deep"] % 257 == 0) < 0.05  # levels of 8 bits by chance only
    assert np.mean(made["deep"] != made["rounded"]) > 0.1  # the network saw the difference
