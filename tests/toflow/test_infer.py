"""The user's own clip through TOFlow: what a result is made from, sizes, tiles, times, and what is refused."""

import os
import signal
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from common import cli
from common.checkpoints import checkpoint_file
from common.degrade.matlab_imresize import enlarge, imresize
from common.media.frame_windows import neighbour_indices
from common.media.image import list_frames, to_uint8
from common.media.video_reader import open_clip
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
from tests.helpers.runs import start
from toflow import infer, run
from toflow.infer import restore
from toflow.model import FORMS, TOFlow

TASKS = ("denoise", "deblock", "sr", "interp")


def network(name, **form):
    torch.manual_seed(0)
    made = TOFlow(replace(FORMS[name], **form)).eval()
    for level in made.spynets[0].levels:
        nn.init.normal_(level[-1].weight, std=0.005)  # else there is no motion
    return made


def form_of(task):
    return f"tiny_{'denoise' if task == 'deblock' else task}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights for every task, TASK.pth."""
    folder = tmp_path_factory.mktemp("weights")
    for task in TASKS:
        checkpoint_file.save(network(form_of(task)).state_dict(), folder / f"{task}.pth")
    return folder


@pytest.fixture
def command(tmp_path, weights):
    """The arguments for files of `tmp_path`."""

    def make(task, source, target, *more):
        argv = ["--task", task, "--config", f"TOFlow_{task}_tiny", "--device", "cpu", "--log_root", str(tmp_path)]
        argv += [] if "--baseline" in more else ["--ckpt_abs_name", str(weights / f"{task}.pth")]
        return [*argv, "--input", str(tmp_path / source), "--output", str(tmp_path / target), *more]

    return make


@pytest.fixture
def better(command):
    """Runs the command; returns the exit code."""
    return lambda *arguments: cli.run(run.main, command(*arguments))


def clip(frames):
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None].float() / 255


def image(result):
    return to_uint8(result[0].permute(1, 2, 0).detach().numpy())


def by_network(made, frames):
    """The result of frames (1, T, 3, H, W) that are mirrored at the right and at the bottom up to multiples of 16."""
    height, width = frames.shape[-2:]
    padded = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, -height % 16), (0, -width % 16)), "reflect")
    with torch.no_grad():
        return made(torch.from_numpy(padded))["pred"][..., :height, :width]


def by_hand(task, frames, padding="replicate"):
    """The results from lists of whole clips."""
    made = network(form_of(task))
    frames = [imresize(frame, scale=4) for frame in frames] if task == "sr" else frames
    results = []
    for number in range(len(frames)):
        window = neighbour_indices(number, 7, len(frames), padding=padding)
        results.append(image(by_network(made, clip([frames[k] for k in window]))))
    return results


def close(first, second):
    return all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(first, second, strict=True))


# Sizes, tiles


def test_fixed_pyramids_are_padded_and_others_take_any_size():
    frames = clip(pictures(7, 41, 54))
    fixed, any_size = (network("tiny_denoise", pyramid=pyramid) for pyramid in ("fixed", "by_size"))
    assert torch.equal(restore(fixed, frames), by_network(fixed, frames))
    with torch.no_grad():
        assert torch.equal(restore(any_size, frames), any_size(frames)["pred"])
    for height, width in ((1, 1), (3, 200), (9, 130)):
        assert restore(any_size, frames[..., :1, :1].expand(1, 7, 3, height, width)).shape == (1, 3, height, width)


class Local(nn.Module):
    """A network that looks at single pixels."""

    form = FORMS["official_sr"]

    def forward(self, frames):
        assert frames.shape[-1] % 16 == frames.shape[-2] % 16 == 0
        return {"pred": frames.mean(1) ** 2}


def test_tiles_leave_no_trace_of_a_local_network():
    frames = clip(pictures(7, 90, 150))
    for tile in (20, 64, 100):  # becomes 32, 64, 112
        assert (restore(Local(), frames, tile=tile) - frames.mean(1) ** 2).abs().max() < 1e-6


def test_tiles_and_half_precision_give_nearly_the_same():
    made, frames = network("tiny_interp"), clip(pictures(2, 48, 144))
    whole = restore(made, frames)
    for other in (restore(made, frames, tile=100), restore(made, frames, amp="bf16")):
        assert other.dtype == torch.float32
        assert 0 < (whole - other).abs().mean() < 4e-3


@pytest.mark.parametrize("task", TASKS)
def test_tiles_are_of_the_result(tmp_path, better, monkeypatch, task):
    enlarged = 4 if task == "sr" else 1
    write_folder(tmp_path / "in", pictures(2, 48 // enlarged, 160 // enlarged))
    seen = []
    monkeypatch.setattr(TOFlow, "forward", lambda _, x: [seen.append(x.shape[1:]), {"pred": x[:, x.shape[1] // 2]}][1])
    assert better(task, "in", "out", "--tile", "60") == 0
    assert set(seen) == {(2 if task == "interp" else 7, 3, 48, 64)}
    assert len(read_folder(tmp_path / "out")) == (3 if task == "interp" else 2)


# A result for every frame


@pytest.mark.parametrize(
    ("task", "padding"), [("denoise", "replicate"), ("denoise", "reflection_circle"), ("deblock", "replicate")]
)
def test_folder_to_folder(tmp_path, better, capsys, task, padding):
    frames = pictures(8, 18, 29)
    write_folder(tmp_path / "in", frames)
    assert better(task, "in", "out", "--padding", padding) == 0
    assert capsys.readouterr().out == f"8 frames -> {tmp_path / 'out'}\n"
    assert [path.name for path in list_frames(tmp_path / "out")] == [f"shot_{n}.png" for n in range(8)]
    assert close(read_folder(tmp_path / "out"), by_hand(task, frames, padding))


def test_sr_enlarges_every_frame_once(tmp_path, better, monkeypatch):
    frames = pictures(7, 8, 9)
    write_folder(tmp_path / "in", frames)
    enlarged = []
    monkeypatch.setattr(infer, "enlarge", lambda x, scale: [enlarged.append(x), enlarge(x, scale)][1])
    assert better("sr", "in", "out") == 0
    assert len(enlarged) == 7
    result = read_folder(tmp_path / "out")
    assert result[0].shape == (32, 36, 3)
    assert close(result, by_hand("sr", frames))


def test_video_keeps_rate_times_and_sound(tmp_path, better):
    write_with_sound(tmp_path / "sound.mp4", seconds=0.3)
    assert better("sr", "sound.mp4", "sound_out.mp4", "--baseline") == 0
    assert sound_of(tmp_path / "sound_out.mp4") == sound_of(tmp_path / "sound.mp4")
    height, width = open_clip(tmp_path / "sound.mp4").size
    assert open_clip(tmp_path / "sound_out.mp4").size == (4 * height, 4 * width)
    base = open_clip(write_video(tmp_path / "base.mp4", pictures(2), frame_rate=25))
    times = [Fraction(tick, 600) for tick in (0, 20, 50, 60, 100)]
    write_video(tmp_path / "in.mp4", pictures(5, 32, 48), times, frame_rate=24, like=base)
    assert better("denoise", "in.mp4", "out.mp4") == 0
    assert times_of(tmp_path / "out.mp4") == times
    assert open_clip(tmp_path / "out.mp4").frame_rate == open_clip(tmp_path / "in.mp4").frame_rate


def test_a_short_clip(tmp_path, better, capsys):
    frames = pictures(3, 16, 24)
    write_folder(tmp_path / "in", frames)
    assert better("denoise", "in", "out") == 0
    assert close(read_folder(tmp_path / "out"), by_hand("denoise", frames))
    for padding in ("reflection_circle", "circle", "reflection"):
        assert better("denoise", "in", "none", "--padding", padding) == 2
        error = capsys.readouterr().err
        assert f"--padding {padding} for {tmp_path / 'in'}: a clip of 3 frames is too short" in error
        assert error.endswith(": use 'replicate'\n")
    assert not (tmp_path / "none").exists()


# Frames between frames


def test_interpolation_takes_middles_of_middles(tmp_path, better, capsys):
    frames = pictures(3, 34, 45)
    write_video(tmp_path / "in.mp4", frames)
    frames = list(open_clip(tmp_path / "in.mp4"))
    assert better("interp", "in.mp4", "four", "--multi", "4") == 0
    assert capsys.readouterr().out == f"9 frames -> {tmp_path / 'four'}\n"
    four = read_folder(tmp_path / "four")
    assert all(np.array_equal(a, b) for a, b in zip(four[::4], frames, strict=True))
    made = network("tiny_interp")
    half = by_network(made, clip(frames[:2])).clamp(0, 1)
    quarter = by_network(made, torch.stack((clip(frames[:1])[:, 0], half), 1))
    assert close(four[1:3], [image(quarter), image(half)])
    assert better("interp", "in.mp4", "two") == 0  # --multi 2
    assert all(np.array_equal(a, b) for a, b in zip(read_folder(tmp_path / "two"), four[::2], strict=True))
    assert better("interp", "in.mp4", "out.mp4", "--fps", "48000/1001") == 0
    assert times_of(tmp_path / "out.mp4") == [n / (2 * NTSC) for n in range(5)]


def test_times_that_halving_never_reaches_are_refused_first(tmp_path, better, capsys):
    write_video(tmp_path / "in.mp4", pictures(3, 16, 24))
    for flags in (["--multi", "3"], ["--fps", "60"]):
        assert better("interp", "in.mp4", "out.mp4", *flags) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: TOFlow makes only the middle of two frames, and {' '.join(flags)} ")
        assert not (tmp_path / "out.mp4").exists()
        assert better("interp", "in.mp4", "out.mp4", *flags, "--baseline") == 0
        os.remove(tmp_path / "out.mp4")


# Without a network; what goes wrong


def test_baseline(tmp_path, better):
    frames = pictures(2, 16, 24)
    write_folder(tmp_path / "in", frames)
    for task in TASKS:
        assert better(task, "in", task, "--baseline") == 0
    for task in ("denoise", "deblock"):
        assert all(np.array_equal(a, b) for a, b in zip(read_folder(tmp_path / task), frames, strict=True))
    enlarged = [imresize(frame, scale=4) for frame in frames]
    assert all(np.array_equal(a, b) for a, b in zip(read_folder(tmp_path / "sr"), enlarged, strict=True))
    mean = (frames[0].astype(float) + frames[1]) / 2
    assert np.abs(read_folder(tmp_path / "interp")[1] - mean).max() <= 0.501


def test_the_command_line(tmp_path, command):
    frames = pictures(2, 16, 24)
    write_folder(tmp_path / "in", frames)
    done = start("toflow", command("denoise", "in", "out"))
    assert (done.returncode, done.stdout) == (0, f"2 frames -> {tmp_path / 'out'}\n"), done.stderr
    assert close(read_folder(tmp_path / "out"), by_hand("denoise", frames))


def test_refusals_in_one_line(tmp_path, better, capsys):
    write_folder(tmp_path / "in", pictures(2, 16, 24))
    write_folder(tmp_path / "single", pictures(1, 16, 24))
    (tmp_path / "there.mp4").write_bytes(b"mine")
    for task, source, target, flags, code, line in (
        ("denoise", "in", "out.mp4", [], 1, "frame rate"),
        ("sr", "nothing", "out", [], 1, "does not exist"),
        ("interp", "single", "out", [], 1, "one frame: expected at least two"),
        ("interp", "in", "out", ["--fps", "60"], 2, "expected --multi"),
        ("deblock", "in", "there.mp4", [], 1, "exists"),
    ):
        assert better(task, source, target, *flags) == code, line
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
        assert (tmp_path / target).exists() == (target == "there.mp4")
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("task", ["denoise", "interp"])
def test_a_broken_frame_leaves_what_was_done(tmp_path, better, capsys, task):
    write_folder(tmp_path / "in", pictures(9, 16, 24))
    broken = tmp_path / "in/shot_8.png"
    broken.write_bytes(broken.read_bytes()[:200])
    assert better(task, "in", "out") == 1
    assert "shot_8.png" in capsys.readouterr().err
    assert len(list_frames(tmp_path / "out")) == {"denoise": 5, "interp": 14}[task]


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_signal_leaves_a_playable_file(tmp_path, better, capsys, monkeypatch):
    write_video(tmp_path / "in.mp4", pictures(12, 16, 24))
    called = []
    original = TOFlow.forward

    def forward(self, frames):
        called.append(len(frames))
        if len(called) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, frames)

    monkeypatch.setattr(TOFlow, "forward", forward)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert better("denoise", "in.mp4", "out.mp4") == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "interrupted\n"
    assert times_of(tmp_path / "out.mp4") == [n / NTSC for n in range(4)]
    assert not (tmp_path / "out.part.mp4").exists()
