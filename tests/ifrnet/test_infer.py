"""The user's own clip through IFRNet; what any network that puts frames between has in common is tested in common."""

import logging
import os
import signal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.image import list_frames, read_image, to_uint8
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from ifrnet import run
from ifrnet.infer import Interpolator
from ifrnet.model import IFRNet, Pair
from tests.helpers.clips import NTSC, pictures, read_folder, times_of, write_folder, write_video
from tests.helpers.runs import start

ROOT = Path(__file__).parents[2]
HALF = Fraction(1, 2)


def network(knows_time=True):
    torch.manual_seed(0)
    network = IFRNet("IFRNet_tiny").eval()
    if not knows_time:
        network.decoder4.convblock[0][0].weight.data[:, -1] = 0
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of weights: `any.pth` knows every time, `half.pth` the middle only."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint_file.save(network().state_dict(), folder / "any.pth")
    checkpoint_file.save(network(knows_time=False).state_dict(), folder / "half.pth")
    return folder


@pytest.fixture
def interpolate(tmp_path, weights):
    """Runs the command on files of `tmp_path`; returns the exit code."""

    def call(source, target, *more, weights=weights / "any.pth"):
        argv = ["--input", str(tmp_path / source), "--output", str(tmp_path / target), "--device", "cpu"]
        argv += ["--ckpt_abs_name", str(weights), "--log_root", str(tmp_path / "logs")]
        return cli.run(run.main, [*argv, *more])

    return call


def tensors(*frames):
    return [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]


def test_folder_to_folder(tmp_path, interpolate, capsys):
    frames = pictures()
    write_folder(tmp_path / "in", frames)
    assert interpolate("in", "out", "--multi", "4") == 0
    assert capsys.readouterr().out == f"17 frames -> {tmp_path / 'out'}\n"
    assert [path.name for path in list_frames(tmp_path / "out")] == [f"{n:08d}.png" for n in range(17)]
    result = read_folder(tmp_path / "out")
    assert all(np.array_equal(a, b) for a, b in zip(result[::4], frames, strict=True))
    padded = [np.pad(frame, ((7, 7), (5, 5), (0, 0)), "edge") for frame in frames]  # 64x80
    for number in (1, 10):
        t = torch.tensor([number % 4 / 4])
        with torch.no_grad():
            whole = network()(*tensors(*padded[number // 4 :][:2]), t)["pred"]
        expected = to_uint8(whole[0, :, 7:57, 5:75].permute(1, 2, 0).numpy())
        assert np.abs(result[number].astype(int) - expected).max() <= 1


def test_a_pair_is_encoded_once_for_all_its_times(tmp_path, interpolate, monkeypatch):
    calls = []
    for part in ("encode", "decode"):
        original = getattr(IFRNet, part)
        monkeypatch.setattr(IFRNet, part, lambda *a, part=part, to=original: [calls.append(part), to(*a)][1])
    frames = pictures(3)
    write_folder(tmp_path / "in", [*frames, frames[-1]])  # nothing is computed between two equal frames
    assert interpolate("in", "out", "--multi", "8") == 0
    assert calls == ["encode", "decode"] * 2
    result = read_folder(tmp_path / "out")
    assert all(np.array_equal(frame, frames[-1]) for frame in result[16:])
    calls.clear()
    monkeypatch.setattr("ifrnet.infer.TOGETHER", 3 * 64 * 80)  # frames so large that three fit in memory
    assert interpolate("in", "parts", "--multi", "8") == 0
    assert calls == (["encode"] + 3 * ["decode"]) * 2
    for together, apart in zip(result, read_folder(tmp_path / "parts"), strict=True):
        assert np.abs(together.astype(int) - apart).max() <= 1


def test_blend(tmp_path, interpolate):
    a, b = pictures(2)
    write_folder(tmp_path / "in", [a, b])
    assert interpolate("in", "out", "--multi", "4", "--blend") == 0
    for part, frame in enumerate(read_folder(tmp_path / "out")):
        assert np.abs(frame - (a * (1 - part / 4) + b * (part / 4))).max() <= 0.501


def test_flags_of_time_and_cuts_reach_the_clip(tmp_path, interpolate, capsys):
    write_video(tmp_path / "in.mp4", pictures(2, 96, 128, seed=1) + pictures(1, 96, 128, seed=2))
    assert interpolate("in.mp4", "out.mp4", "--multi", "4", "--slow") == 0
    assert "9 frames -> " in (told := capsys.readouterr().out)
    assert told.endswith(", 1 cut not blended\n")
    assert open_clip(tmp_path / "out.mp4").frame_rate == NTSC
    assert interpolate("in.mp4", "out.mp4", "--multi", "2", "--scene", "1", "--overwrite") == 0
    assert "blended" not in capsys.readouterr().out
    assert interpolate("in.mp4", "out.mp4", "--multi", "2") == 1
    assert "exists" in capsys.readouterr().err


def test_scale_and_half_precision(tmp_path, interpolate, capsys):
    write_folder(tmp_path / "in", pictures(2))
    for name, *flags in (("full",), ("scale", "--scale", "0.5"), ("amp", "--amp", "bf16")):
        assert interpolate("in", name, "--multi", "2", *flags) == 0
    full, scale, amp = (read_image(tmp_path / name / "00000001.png").astype(int) for name in ("full", "scale", "amp"))
    assert 0 < np.abs(scale - full).mean() < 20
    assert np.abs(amp - full).mean() < 2
    assert interpolate("in", "bad", "--multi", "2", "--scale", "0.3") == 2
    assert "0.8, 0.5" in capsys.readouterr().err


class Local(torch.nn.Module):
    """A network that looks at single pixels."""

    ignores_time = False

    def encode(self, img0, img1, scale):
        return Pair(img0, img1, None, [], [])

    def decode(self, pair, t, scale):
        return {"pred": torch.lerp(pair.img0**2, pair.img1**2, t.view(-1, 1, 1, 1))}


def test_tiles_leave_no_trace_of_a_local_network():
    pair = tensors(*pictures(2, 90, 150))
    times = [Fraction(1, 4), HALF]
    whole = list(Interpolator(Local()).predict(*pair, times))
    for tile in (20, 64, 100):  # becomes 32, 64, 112
        tiles = Interpolator(Local(), tile=tile).predict(*pair, times)
        for a, b in zip(whole, tiles, strict=True):
            assert (a - b).abs().max() < 1e-6


def test_tiles_give_nearly_the_same(tmp_path, interpolate):
    write_folder(tmp_path / "in", pictures(2, 96, 256))
    assert interpolate("in", "whole", "--multi", "2") == 0
    assert interpolate("in", "tiled", "--multi", "2", "--tile", "150") == 0
    whole, tiles = (read_image(tmp_path / name / "00000001.png").astype(int) for name in ("whole", "tiled"))
    assert whole.shape == tiles.shape
    assert 0 < np.abs(whole - tiles).mean() < 2


# Weights that do not know the time


def test_halving_is_doubling_again_and_again(tmp_path, weights, interpolate, caplog):
    a, b = tensors(*pictures(2))
    inner = Interpolator(network(knows_time=False))

    def double(frames):
        pairs = [[first, *inner.predict(first, second, [HALF])] for first, second in pairwise(frames)]
        return [frame for pair in pairs for frame in pair] + frames[-1:]

    expected = double(double(double([a, b])))[1:-1]
    got = list(inner.predict(a, b, [Fraction(n, 8) for n in range(1, 8)]))
    assert all(torch.equal(x, y) for x, y in zip(got, expected, strict=True))
    write_folder(tmp_path / "in", pictures(3))
    with caplog.at_level(logging.WARNING):
        assert interpolate("in", "x2", "--multi", "2", weights=weights / "half.pth") == 0
        assert not caplog.records
        assert interpolate("in", "x8", "--multi", "8", weights=weights / "half.pth") == 0
    assert len(caplog.records) == 1
    assert "middles of middles" in caplog.text
    assert "IFRNet_GoPro" in caplog.text
    result = read_folder(tmp_path / "x8")
    assert np.array_equal(result[3], to_uint8(got[2][0].permute(1, 2, 0).numpy()))
    assert np.array_equal(result[4], read_image(tmp_path / "x2/00000001.png"))


def test_times_that_halving_never_reaches_are_refused_first(tmp_path, weights, interpolate, capsys):
    frames = pictures()
    write_video(tmp_path / "in.mp4", frames, frame_rate=24)
    times = [Fraction(n, 24) for n in (0, 1, 2, 5, 6)]  # three frames are missing
    write_video(tmp_path / "gap.mp4", frames, times, frame_rate=24)
    assert times_of(tmp_path / "gap.mp4") == times
    refused = [("in.mp4", "--multi", "3"), ("in.mp4", "--fps", "60"), ("gap.mp4", "--fps", "48")]
    for source, *flags in refused:
        for weight, code in (("half.pth", 2), ("any.pth", 0)):
            assert interpolate(source, "out.mp4", *flags, weights=weights / weight) == code
            error = capsys.readouterr().err
            assert (tmp_path / "out.mp4").exists() == ("middle of two frames" not in error) == (code == 0)
            assert ("IFRNet_GoPro" in error) == (code == 2)
        os.remove(tmp_path / "out.mp4")
    for flags in (["--fps", "48"], ["--fps", "12"], ["--fps", "60", "--blend"]):
        assert interpolate("in.mp4", "out.mp4", *flags, "--overwrite", weights=weights / "half.pth") == 0
    assert interpolate("gap.mp4", "out.mp4", "--multi", "4", "--overwrite", weights=weights / "half.pth") == 0


# What goes wrong


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_playable_file(tmp_path, weights, number):
    write_video(tmp_path / "in.mp4", pictures(3, 32, 48))
    command = ["--input", tmp_path / "in.mp4", "--output", tmp_path / "out.mp4", "--multi", "20"]
    command += ["--ckpt_abs_name", weights / "any.pth", "--log_root", tmp_path, "--device", "cpu"]
    code = (
        "import os\nfrom ifrnet.model import IFRNet\nold, calls = IFRNet.decode, []\n"
        "def decode(*a, **k):\n    calls.append(1)\n"
        f"    if len(calls) == 2: os.kill(os.getpid(), {number})\n    return old(*a, **k)\n"
        "IFRNet.decode = decode"
    )
    stopped = start("ifrnet", map(str, command), code)
    assert stopped.returncode == 130
    goes_on = f"{tmp_path / 'out.mp4'} is not whole: the same command with --resume goes on"
    assert stopped.stderr == f"{goes_on}\ninterrupted\n"
    assert times_of(tmp_path / "out.mp4") == [n / (20 * NTSC) for n in range(21)]  # two frames and all between
    assert not (tmp_path / "out.part.mp4").exists()


def test_a_real_video(tmp_path, interpolate, real_data):
    clip = open_clip(real_data / "video/car-turn.mp4")
    with open_writer(tmp_path / "in.mp4", frame_rate=clip.frame_rate) as writer:
        for number, frame in enumerate(clip):
            if number < 6:
                writer.write(np.ascontiguousarray(frame[::4, ::4]))
    assert interpolate("in.mp4", "out.mkv", "--fps", "60") == 0
    again = open_clip(tmp_path / "out.mkv")
    assert (again.size, again.frame_rate) == ((90, 160), 60)
    assert times_of(tmp_path / "out.mkv") == [Fraction(n, 60) for n in range(13)]
