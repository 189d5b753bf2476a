"""The user's own video: flow in colours, with arrows, as .flo files, and frames put between its frames."""

import os
import signal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.flow_color import flow_to_image
from common.media.flow_file import read_flow
from common.media.image import list_frames, read_image, to_uint8
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from qpwcnet import run
from qpwcnet.infer import FlowEstimator, Painter, run_network
from qpwcnet.model import Flower, Interpolator
from tests.helpers.clips import (
    NTSC,
    pictures,
    read_folder,
    sound_of,
    times_of,
    write_folder,
    write_video,
    write_with_sound,
)

FILTERS = (4, 4, 8, 8, 8)
SIZE = (50, 70)


def network(kind=Flower, **options):
    """A tiny network whose weights are so large that its flows are of pixels."""
    torch.manual_seed(0)
    made = kind(FILTERS, activation="leaky_relu", **{"scale_size": (64, 96)} | options).eval()
    for name, weight in made.named_parameters():
        if weight.dim() == 4:
            weight.data *= 15 if name.endswith("flow.weight") else 1.5
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of weights: `flow.pth`, `interp.pth`."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint_file.save(network().state_dict(), folder / "flow.pth")
    checkpoint_file.save(network(Interpolator).state_dict(), folder / "interp.pth")
    return folder


@pytest.fixture
def command(tmp_path, weights):
    """Runs the command on `source` of `tmp_path`; returns the exit code."""
    before = signal.getsignal(signal.SIGTERM)

    def call(source, *more, task="flow", weights=weights):
        weights = weights / f"{task}.pth" if weights.is_dir() else weights
        argv = ["--input", str(tmp_path / source), "--task", task, "--ckpt_abs_name", str(weights), "--device", "cpu"]
        argv += ["--log_root", str(tmp_path / "logs")]
        for flag, word in pairwise(("", *more)):
            argv.append(str(tmp_path / word) if flag in ("--output", "--flo") else word)
        return cli.run(run.main, argv)

    yield call
    signal.signal(signal.SIGTERM, before)


def squares(count=4, height=SIZE[0], width=SIZE[1], step=3):
    """A bright square that moves to the right."""
    frames = [np.full((height, width, 3), 40, np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[15:35, 10 + number * step : 30 + number * step] = (220, 180, 60)
    return frames


def tensors(*frames):
    return [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]


def flows_of(net, frames):
    """HxWx2 from each frame to the next."""
    with torch.no_grad():
        flows = [net.estimate(*tensors(*pair)) for pair in pairwise(frames)]
    return [flow[0].permute(1, 2, 0).numpy() for flow in flows]


def near(first, second, levels=2):
    """Equal but for rounding, and for the seam of the wheel."""
    return (np.abs(first.astype(int) - second) > levels).mean() < 0.01


# Flow


def test_a_video_becomes_a_video_that_is_one_frame_shorter(tmp_path, command, capsys):
    times = [n / NTSC for n in (0, 1, 2, 5, 6)]
    write_with_sound(tmp_path / "in.mp4", seconds=0.2)
    write_video(tmp_path / "gap.mp4", squares(5), times)
    assert command("gap.mp4", "--output", "out.mp4") == 0
    assert capsys.readouterr().out.startswith(f"4 flows -> {tmp_path / 'out.mp4'}, full colour at last from ")
    again = open_clip(tmp_path / "out.mp4")
    assert (again.size, again.frame_rate) == (SIZE, open_clip(tmp_path / "gap.mp4").frame_rate)
    assert times_of(tmp_path / "out.mp4") == times[:-1]
    assert command("in.mp4", "--output", "sound.mp4") == 0
    assert len(sound_of(tmp_path / "sound.mp4")) == len(sound_of(tmp_path / "in.mp4")) > 0
    assert times_of(tmp_path / "sound.mp4") == times_of(tmp_path / "in.mp4")[:-1]


def test_a_folder_becomes_pictures_and_flo_files_with_its_names(tmp_path, command, capsys):
    frames = squares(4)
    write_folder(tmp_path / "in", frames)
    assert command("in/*.png", "--output", "out", "--flo", "flo") == 0
    assert "3 flows -> " in capsys.readouterr().out
    assert [path.name for path in list_frames(tmp_path / "out")] == ["shot_0.png", "shot_1.png", "shot_2.png"]
    assert sorted(os.listdir(tmp_path / "flo")) == ["shot_0.flo", "shot_1.flo", "shot_2.flo"]
    longest = 1
    for number, flow in enumerate(flows_of(network(), frames)):
        assert np.array_equal(read_flow(tmp_path / f"flo/shot_{number}.flo")[0], flow)
        longest = max(longest, np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 99))
        expected = flow_to_image(flow, scale=longest, clip=0.999 * longest)
        assert near(read_image(tmp_path / f"out/shot_{number}.png"), expected)
    assert command("in", "--output", "out.mp4", "--fps", "30") == 0
    assert open_clip(tmp_path / "out.mp4").frame_rate == 30


def test_flo_files_alone_are_numbered_as_the_frames_of_a_video(tmp_path, command, capsys):
    write_video(tmp_path / "in.mp4", squares(3))
    assert command("in.mp4", "--flo", "a/flo") == 0
    assert capsys.readouterr().out == f"2 flows -> {tmp_path / 'a/flo'}\n"
    assert sorted(os.listdir(tmp_path / "a/flo")) == ["00000000.flo", "00000001.flo"]
    first = flows_of(network(), list(open_clip(tmp_path / "in.mp4")))[0]
    assert np.array_equal(read_flow(tmp_path / "a/flo/00000000.flo")[0], first)


def test_an_interpolator_gives_its_flow(tmp_path, command, weights):
    frames = squares(2)
    write_folder(tmp_path / "in", frames)
    assert command("in", "--flo", "flo", weights=weights / "interp.pth") == 0
    flow = flows_of(network(Interpolator), frames)[0]
    assert np.abs(flow).max() > 1
    assert np.array_equal(read_flow(tmp_path / "flo/shot_0.flo")[0], flow)


def test_half_precision_gives_nearly_the_same(tmp_path, command):
    frames = squares(2)
    write_folder(tmp_path / "in", frames)
    assert command("in", "--flo", "flo", "--amp", "bf16") == 0
    flow, half = flows_of(network(), frames)[0], read_flow(tmp_path / "flo/shot_0.flo")[0]
    assert 0 < np.abs(flow - half).mean() < 0.1 * np.abs(flow).mean()


def test_flow_across_a_cut_has_no_say_in_the_colours(tmp_path, command, monkeypatch, capsys):
    flows = []
    monkeypatch.setattr(
        Flower, "estimate", lambda *_: torch.tensor([flows.pop(0), 0.0])[None, :, None, None].expand(1, 2, *SIZE)
    )
    write_folder(tmp_path / "in", pictures(1, seed=2) + pictures(2, seed=1))
    for name, *flags in (("cut",), ("all", "--scene", "1")):
        flows[:] = 20.0, 4.0
        assert command("in", "--output", name, *flags) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("full colour at last from 4.0 pixels, 1 across cuts")
    assert told[1].endswith("full colour at last from 20.0 pixels")
    full, pale = (read_image(tmp_path / name / "shot_1.png").astype(int) for name in ("cut", "all"))
    assert np.abs(full - [255, 0, 0]).max() < 60  # to the right is red
    assert np.abs(pale - [255, 204, 204]).max() < 20


# Colours and arrows


def uniform(u, v, height=60, width=90):
    return np.broadcast_to(np.float32((u, v)), (height, width, 2))


def test_the_scale_of_the_colours_grows_and_never_shrinks():
    painter = Painter((60, 90))
    assert painter.longest == 1  # what moves less than a pixel stays pale
    lengths = []
    for u in (0.2, 8, 2, 12):
        painter.grow(uniform(u, 0))
        lengths.append(painter.longest)
    assert lengths == [1, 8, 8, 12]
    flow = np.random.default_rng(0).normal(0, 5, (60, 90, 2)).astype(np.float32)  # some of it longer than 12
    assert near(painter.draw(flow), flow_to_image(flow, scale=12, clip=11.99))
    assert near(painter.draw(uniform(40, 0)), painter.draw(uniform(12, 0)))
    assert Painter((1080, 1920)).longest == 9.6


@pytest.mark.parametrize("flow", [(6, 0), (-6, 0), (0, 6), (0, -6)])
def test_arrows_point_where_things_move(flow):
    with_arrows, without = Painter((60, 90), arrows=True), Painter((60, 90))
    with_arrows.longest = without.longest = 6
    step = 8  # of the grid
    ink = np.abs(with_arrows.draw(uniform(*flow)).astype(int) - without.draw(uniform(*flow))).sum(-1)
    cell = ink[3 * step : 4 * step + 1, 3 * step : 4 * step + 1].astype(float)  # its arrow runs through the middle
    assert cell.any()
    dark = with_arrows.draw(uniform(*flow)).max(-1)[24:33, 24:33] < 128
    y, x = np.nonzero(dark)
    head = np.array([x.mean() - 4, y.mean() - 4]) @ flow  # most of an arrow's ink is in its head
    assert head > 0
    assert np.array_equal(with_arrows.draw(uniform(0, 0)), without.draw(uniform(0, 0)))


def test_arrows_on_a_video_come_with_a_legend(tmp_path, command):
    write_folder(tmp_path / "in", squares(2, 200, 256))
    for name, *flags in (("plain",), ("arrows", "--arrows")):
        assert command("in", "--output", name, *flags) == 0
    plain, arrows = (read_image(tmp_path / name / "shot_0.png").astype(int) for name in ("plain", "arrows"))
    changed = (np.abs(plain - arrows).max(-1) > 60)[:160].mean()  # above the legend
    assert 0.02 < changed < 0.9
    wheel = arrows[-40:, -40:]
    assert near(wheel[20, -2:], np.array([[255, 0, 0]]), 60)  # to the right is red
    assert len(np.unique(wheel.reshape(-1, 3), axis=0)) > 500


# Tiles


def test_tiles_leave_no_trace_of_a_local_network():
    pair = tensors(*pictures(2, 90, 150))
    local = lambda prv, nxt: (nxt - prv**2)[:, :2]  # noqa: E731
    for tile in (20, 64, 100):  # becomes 64, 64, 128
        assert (run_network(local, *pair, tile=tile) - local(*pair)).abs().max() < 1e-6


def test_weights_without_a_size_take_that_of_their_training(tmp_path, command):
    frames = pictures(2, 60, 180)
    write_folder(tmp_path / "in", frames)
    checkpoint_file.save(network(scale_size=None).state_dict(), tmp_path / "own.pth")
    for name, more in (("whole", ()), ("tiles", ("--tile", "120"))):
        more = (*more, "--set", "input_shape=32,64")
        assert command("in", "--flo", name, *more, weights=tmp_path / "own.pth") == 0
    whole, tiles = (read_flow(tmp_path / name / "shot_0.flo")[0] for name in ("whole", "tiles"))
    assert np.array_equal(whole, flows_of(network(scale_size=(32, 64)), frames)[0])
    assert np.abs(whole).mean() > 0.1
    assert 0 < np.abs(whole - tiles).mean() < 0.3 * np.abs(whole).mean()


# Frames between


def test_interpolation_makes_middles(tmp_path, command):
    frames = squares(2)
    write_folder(tmp_path / "in", frames)
    assert command("in", "--output", "x2", "--multi", "2", task="interp") == 0
    assert command("in", "--output", "x4", "--multi", "4", task="interp") == 0
    double, fourfold = read_folder(tmp_path / "x2"), read_folder(tmp_path / "x4")
    assert (len(double), len(fourfold)) == (3, 5)
    assert all(np.array_equal(a, b) for a, b in zip(double[::2], frames, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(fourfold[::2], double, strict=True))
    made, (a, b) = network(Interpolator), tensors(*frames)
    with torch.no_grad():
        middle = made.between(a, b)
        quarter = made.between(a, middle)
    assert np.array_equal(double[1], to_uint8(middle[0].permute(1, 2, 0).numpy()))
    assert np.array_equal(fourfold[1], to_uint8(quarter[0].permute(1, 2, 0).numpy()))


def test_interpolation_of_a_video_and_its_times(tmp_path, command, capsys):
    write_video(tmp_path / "in.mp4", squares(3), frame_rate=24)
    assert command("in.mp4", "--output", "out.mp4", "--fps", "48", task="interp") == 0
    assert times_of(tmp_path / "out.mp4") == [Fraction(n, 48) for n in range(5)]
    assert command("in.mp4", "--output", "slow.mp4", "--multi", "2", "--slow", task="interp") == 0
    assert open_clip(tmp_path / "slow.mp4").frame_rate == 24
    assert command("in.mp4", "--output", "bad.mp4", "--fps", "60", task="interp") == 2
    assert "QPWCNet makes only the middle of two frames" in capsys.readouterr().err
    assert not (tmp_path / "bad.mp4").exists()


# What goes wrong


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--output", "there.mp4"), 1, "there.mp4 exists"),
        (("--flo", "full", "--output", "out.mp4"), 1, "full exists and is not empty"),
        (("--flo", "there.mp4"), 1, "is a file"),
        (("--output", "out.mp4", "--fps", "30"), 2, "keeps its own frame rate"),
        (("--flo", "flo", "--arrows"), 2, "--arrows goes with --output"),
        (("--output", "out.mp4", "--multi", "2"), 2, "--multi does not go with --task flow"),
        ((), 2, "--input needs --output, --flo, or both"),
    ],
)
def test_refused_before_any_work(tmp_path, command, capsys, flags, code, message):
    write_video(tmp_path / "in.mp4", squares(2))
    (tmp_path / "there.mp4").write_bytes(b"mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/00000000.flo").write_bytes(b"mine")
    assert command("in.mp4", *flags) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "there.mp4", "full"}
    assert (tmp_path / "there.mp4").read_bytes() == (tmp_path / "full/00000000.flo").read_bytes() == b"mine"


def test_overwrite_replaces_what_is_there(tmp_path, command):
    write_video(tmp_path / "in.mp4", squares(2))
    (tmp_path / "out.mp4").write_bytes(b"old")
    (tmp_path / "flo").mkdir()
    (tmp_path / "flo/00000000.flo").write_bytes(b"old")
    assert command("in.mp4", "--output", "out.mp4", "--flo", "flo", "--overwrite") == 0
    assert len(times_of(tmp_path / "out.mp4")) == 1
    assert read_flow(tmp_path / "flo/00000000.flo")[0].shape == (*SIZE, 2)


def test_folders_that_cannot_be(tmp_path, command, capsys):
    write_folder(tmp_path / "one", squares(1))
    for name in ("a", "b"):
        write_folder(tmp_path / "many" / name, squares(1))
    for source, flags, message in (
        ("one", ("--output", "out.mp4", "--fps", "24"), "holds one frame: expected at least two"),
        ("many/*/*.png", ("--flo", "flo"), "unique names"),
        ("many/*/*.png", ("--flo", "many/a", "--overwrite"), "is the folder of the input"),
        ("many/*/*.png", ("--output", "out.mp4"), "--fps"),
    ):
        assert command(source, *flags) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
    assert not (tmp_path / "flo").exists()


def test_interpolation_needs_an_interpolator_and_has_no_flow(tmp_path, command, weights, capsys):
    write_folder(tmp_path / "in", squares(2))
    assert command("in", "--output", "out", "--multi", "2", task="interp", weights=weights / "flow.pth") == 1
    assert "makes no frames" in capsys.readouterr().err
    assert command("in", "--output", "out", "--multi", "2", "--flo", "flo", task="interp") == 2
    assert "--flo does not go with --task interp" in capsys.readouterr().err


def test_a_flow_that_is_not_finite_is_an_error(tmp_path, command, capsys):
    broken = network()
    broken.flower[-1].flow.weight.data.fill_(torch.nan)
    checkpoint_file.save(broken.state_dict(), tmp_path / "nan.pth")
    write_folder(tmp_path / "in", squares(2))
    assert command("in", "--flo", "flo", weights=tmp_path / "nan.pth") == 1
    assert "flow 1 of " in capsys.readouterr().err
    assert not (tmp_path / "flo").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_signal_leaves_a_playable_file(tmp_path, command, monkeypatch, capsys):
    write_video(tmp_path / "in.mp4", squares(6), frame_rate=24)
    calls, estimate = [], Flower.estimate

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return estimate(*arguments)

    monkeypatch.setattr(Flower, "estimate", stopped)
    assert command("in.mp4", "--output", "out.mp4", "--flo", "flo") == 130
    assert "interrupted" in capsys.readouterr().err
    assert times_of(tmp_path / "out.mp4") == [Fraction(n, 24) for n in range(3)]
    assert len(os.listdir(tmp_path / "flo")) == 3
    assert not (tmp_path / "out.part.mp4").exists()


def test_a_real_video(tmp_path, command, real_data):
    clip = open_clip(real_data / "video/car-turn.mp4")
    with open_writer(tmp_path / "in.mp4", frame_rate=clip.frame_rate) as writer:
        for _, frame in zip(range(3), clip, strict=False):
            writer.write(np.ascontiguousarray(frame[::4, ::4]))
    assert command("in.mp4", "--output", "out.mkv", "--arrows") == 0
    again = open_clip(tmp_path / "out.mkv")
    assert (again.size, again.frame_rate, len(list(again))) == ((90, 160), clip.frame_rate, 2)


@pytest.mark.parametrize(("amp", "remedy"), [("off", "with other weights"), ("fp16", "with --amp off")])
def test_a_flow_that_is_not_finite_is_told_with_a_remedy(amp, remedy):
    network = torch.nn.Module()
    network.estimate = lambda prv, nxt: torch.full_like(prv[:, :2], float("nan"))
    frame = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match=f"the flow is not finite: try it {remedy}"):
        FlowEstimator(network, amp=amp)(frame, frame)
