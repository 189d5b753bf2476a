"""Every paper keeps more than 8 bits a channel, from the file through the network to the file."""

import numpy as np
import pytest

from common import cli
from common.media.flow_file import read_flow
from tests.helpers.clips import pictures
from tests.helpers.deep_clips import first_frame, read_deep, write_deep_folder, write_ramp
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


def test_flow_is_of_all_bits_and_its_pictures_are_not_on_the_curve_of_the_input(place, tmp_path):
    argv = [*arguments("qpwcnet flow", place), "--device", "cpu", "--amp", "off"]
    for kind in ("deep", "rounded"):
        flags = ["--input", str(place / kind), "--flo", str(tmp_path / kind)]
        assert cli.run(facts("qpwcnet").run.main, [*argv, *flags]) == 0
    flows = [read_flow(tmp_path / f"{kind}/0.flo") for kind in ("deep", "rounded")]
    assert not np.array_equal(*flows)
    ramp = write_ramp(tmp_path / "ramp.mkv")
    assert cli.run(facts("qpwcnet").run.main, [*argv, "--input", str(ramp), "--output", str(tmp_path / "out.mkv")]) == 0
    frame = first_frame(tmp_path / "out.mkv")
    assert (frame.format.name, frame.color_primaries, frame.color_trc) == ("yuv420p", 2, 2)
