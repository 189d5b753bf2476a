"""The user's own clip: a video or frames in, a video or frames out."""

import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import cli
from common.checkpoints import checkpoint_file
from common.media.image import list_frames, read_image, to_uint8, write_image
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from common.sets.synthetic_scene import Scene
from pvdnet import run
from pvdnet.infer import recurrence, with_neighbours
from pvdnet.models.deblurnet import DeblurNet
from tests.helpers.clips import write_with_sound
from tests.helpers.killed import convert

RATE = Fraction(24000, 1001)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pytorch"
    checkpoint_file.save(DeblurNet("PVDNet_small").state_dict(), path)
    return path


@pytest.fixture
def frames(tmp_path):
    """Five frames of 50x70 in a folder, and a video of them."""
    scene = Scene(7, 50, 70)
    pictures = [to_uint8(scene.render(float(time))) for time in range(5)]
    for number, picture in enumerate(pictures):
        write_image(tmp_path / f"frames/shot_{number}.png", picture)
    with open_writer(tmp_path / "clip.mp4", frame_rate=RATE) as writer:
        for picture in pictures:
            writer.write(picture)
    return pictures


def deblur(tmp_path, weights, source, target, *more):
    argv = ["--mode", "x", "--config", "config_PVDNet", "--network", "PVDNet_small", "--device", "cpu"]
    argv += ["--ckpt_abs_name", str(weights)]
    return cli.run(run.main, [*argv, "--input", str(tmp_path / source), "--output", str(tmp_path / target), *more])


def test_neighbours_repeat_the_ends():
    assert list(with_neighbours([1, 2, 3])) == [(1, 1, 2), (1, 2, 3), (2, 3, 3)]
    assert list(with_neighbours([1])) == [(1, 1, 1)]
    assert list(with_neighbours([])) == []


def test_the_recurrence_gets_the_first_blurry_frame_then_its_own_results():
    seen = []

    def step(window, memory):
        seen.append(memory)
        return window[1] + 100

    assert list(recurrence(step, [1, 2, 3])) == [101, 102, 103]
    assert seen == [1, 101, 102]


def test_the_recurrence_goes_on_from_a_result():
    def step(window, memory):
        return sum(window) + 10 * memory

    whole = list(recurrence(step, range(9)))
    assert list(recurrence(step, range(4, 9), whole[4])) == whole[4:]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and kills what it forked")
@pytest.mark.parametrize("target", ["out.mp4", "out/"])
def test_killed_and_gone_on_with_keeps_what_came_before(tmp_path, target):
    source = write_with_sound(tmp_path / "in.mp4", seconds=10)
    code = """
    from pvdnet.infer import Deblurrer
    def network(before, blurry, after, memory):
        made_one()
        return {"result": memory * 0.9 + blurry * 0.06 + before * 0.03 + after * 0.01}
    make = Deblurrer(network).run
"""
    convert(code, source, f"{tmp_path}/whole_{target}")
    assert convert(code, source, f"{tmp_path}/{target}", kills=4, seed=5) >= 1
    whole, gone_on = (open_clip(tmp_path / name) for name in (f"whole_{target}", target))
    assert all(np.array_equal(a, b) for a, b in zip(whole, gone_on, strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["in.mp4", target.rstrip("/"), f"whole_{target}".rstrip("/")]
    )


def test_video_keeps_frames_rate_and_size(tmp_path, frames, weights):
    assert deblur(tmp_path, weights, "clip.mp4", "sharp.mp4") == 0
    clip = open_clip(tmp_path / "sharp.mp4")
    assert clip.frame_rate == RATE
    assert clip.size == (50, 70)
    assert len(list(clip)) == 5


def test_folder_to_folder_equals_the_network_on_padded_frames(tmp_path, frames, weights):
    assert deblur(tmp_path, weights, "frames", "sharp") == 0
    assert [path.name for path in list_frames(tmp_path / "sharp")] == [f"shot_{n}.png" for n in range(5)]
    network = DeblurNet("PVDNet_small")
    network.load_state_dict(checkpoint_file.load(weights))
    padded = np.stack([np.pad(frame, ((0, 14), (0, 26), (0, 0)), "edge") for frame in frames])  # to 64x96
    clip = torch.from_numpy(padded).permute(0, 3, 1, 2).float() / 255
    memory = clip[:1]
    with torch.no_grad():
        for n in range(5):
            memory = network(clip[max(n - 1, 0)][None], clip[n][None], clip[min(n + 1, 4)][None], memory)["result"]
            # The result is cut back before it is padded again for the next step.
            memory = torch.nn.functional.pad(memory[..., :50, :70], (0, 26, 0, 14), mode="replicate")
            expected = to_uint8(memory[0, :, :50, :70].permute(1, 2, 0).numpy())
            got = read_image(tmp_path / f"sharp/shot_{n}.png")
            assert np.abs(got.astype(int) - expected).max() <= 1


def test_parity_crops_to_multiples_of_four(tmp_path, frames, weights):
    assert deblur(tmp_path, weights, "frames", "sharp", "--parity") == 0
    assert read_image(tmp_path / "sharp/shot_0.png").shape == (48, 68, 3)


def test_tiles_give_nearly_the_same(tmp_path, weights):
    picture = to_uint8(Scene(3, 96, 256).render(0.0))
    for n in range(2):
        write_image(tmp_path / f"frames/{n}.png", picture)
    assert deblur(tmp_path, weights, "frames", "whole") == 0
    assert deblur(tmp_path, weights, "frames", "tiled", "--tile", "160") == 0
    whole, tiles = (read_image(tmp_path / name / "1.png").astype(int) for name in ("whole", "tiled"))
    assert np.abs(whole - tiles).mean() < 0.5


def test_a_folder_needs_a_frame_rate_for_a_video(tmp_path, frames, weights, capsys):
    assert deblur(tmp_path, weights, "frames", "sharp.mp4") == 1
    assert "frame rate" in capsys.readouterr().err
    assert deblur(tmp_path, weights, "frames", "sharp.mp4", "--fps", "24000/1001") == 0
    assert open_clip(tmp_path / "sharp.mp4").frame_rate == RATE


def test_an_output_is_never_replaced_unasked(tmp_path, frames, weights, capsys):
    (tmp_path / "sharp.mp4").write_bytes(b"mine")
    assert deblur(tmp_path, weights, "clip.mp4", "sharp.mp4") == 1
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "sharp.mp4").read_bytes() == b"mine"
    assert deblur(tmp_path, weights, "clip.mp4", "sharp.mp4", "--overwrite") == 0
    assert len(list(open_clip(tmp_path / "sharp.mp4"))) == 5


def test_identity_copies_the_clip(tmp_path, frames, weights):
    assert deblur(tmp_path, weights, "frames", "same", "--identity") == 0
    assert np.array_equal(read_image(tmp_path / "same/shot_2.png"), frames[2])


def test_a_real_video(tmp_path, weights, real_data):
    clip = open_clip(real_data / "video/car-turn.mp4")
    for number, frame in enumerate(clip):
        if number < 3:
            write_image(tmp_path / f"frames/{number}.png", frame[::4, ::4])
    assert deblur(tmp_path, weights, "frames", "sharp.mkv", "--fps", str(clip.frame_rate)) == 0
    assert open_clip(tmp_path / "sharp.mkv").size == (90, 160)
