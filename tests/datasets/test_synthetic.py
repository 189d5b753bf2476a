"""Procedural clips: what they are (synthetic_scene.py), and how they are written (datasets/make_synthetic.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.degrade.low_resolution import make_low
from common.media.flow_file import read_flow
from common.media.image import read_image
from common.sets.synthetic_scene import Scene
from tests.helpers.runs import dataset_script

SCRIPT = Path(__file__).parents[2] / "datasets" / "make_synthetic.py"
HEIGHT, WIDTH = 96, 160


script = dataset_script("make_synthetic")


def make(root, *options):
    command = [sys.executable, str(SCRIPT), "--root", str(root), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, cwd=root.parent)


def tree(root):
    """Every file under `root` with its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def scenes():
    return [Scene(seed, HEIGHT, WIDTH) for seed in range(8)]


@pytest.fixture(scope="module")
def all_layouts(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "datasets"
    result = make(
        root, "--layout", "all", "--clips", 2, "--test_clips", 1, "--frames", 3, "--size", "64x48", "--workers", 1
    )
    assert result.returncode == 0, result.stderr
    return root


def read_at(image, flow):
    rows, columns = np.indices(flow.shape[:2]).astype(np.float32)
    return cv2.remap(
        image, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def away_from_edges(scene, start, end, flow):
    """Pixels with one layer, and only one, within 3 pixels at both times."""

    def calm(time):
        labels, window = scene._labels(time).astype(np.uint8), np.ones((7, 7))
        return (cv2.dilate(labels, window) == cv2.erode(labels, window)).astype(np.float32)

    return (calm(start) == 1) & (read_at(calm(end), flow) > 0.999)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5.25, 7), (20, 18), (700, 701)])
def test_flow_is_what_the_frames_do(scenes, start, end):
    errors, static = [], []
    for scene in scenes:
        first, second = scene.render(start), scene.render(end)
        flow, hidden = scene.flow(start, end)
        use = ~hidden & away_from_edges(scene, start, end, flow)
        assert use.mean() > 0.2
        errors.append(np.mean((read_at(second, flow) - first)[use] ** 2))
        static.append(np.mean((second - first)[use] ** 2))
    psnr = -10 * np.log10(errors)
    assert psnr.min() > 30
    assert psnr.mean() > 35
    assert psnr.mean() > -10 * np.log10(np.mean(static)) + 10  # and it is not that nothing moved


def test_flow_and_its_inverse_cancel(scenes):
    for scene in scenes:
        forward, hidden = scene.flow(3, 5)
        backward, _ = scene.flow(5, 3)
        use = ~hidden & away_from_edges(scene, 3, 5, forward)
        loop = np.linalg.norm(forward + read_at(backward, forward), axis=-1)[use]
        assert np.percentile(loop, 99) < 1e-2


def test_flow_to_the_same_time_is_zero_and_hides_nothing(scenes):
    flow, hidden = scenes[0].flow(2.5, 2.5)
    assert np.abs(flow).max() < 1e-4
    assert not hidden.any()


def test_hidden_pixels_are_those_that_the_frames_contradict(scenes):
    """Reading the second frame at hidden points shows something else, so the error there must be far above the rest."""
    seen, unseen = [], []
    for scene in scenes:
        flow, hidden = scene.flow(0, 4)
        error = ((read_at(scene.render(4), flow) - scene.render(0)) ** 2).mean(-1)
        seen.append(error[~hidden].mean())
        unseen.append(error[hidden].mean())
    assert np.mean(unseen) > 10 * np.mean(seen)


def test_layers_come_back_without_being_seen_to_jump():
    """A layer that left the frame returns on the other side; at the moment of that jump nothing of it is visible."""
    jumps = 0
    for seed in range(2):
        scene = Scene(seed, 48, 64, pace=4)
        for layer in scene.layers[1:]:

            def shift(time, scene=scene, layer=layer):
                return scene._jump(layer, scene._free_matrix(layer, time))[:2, 2]

            times = np.arange(0, 100, 0.5)
            shifts = np.stack([shift(time) for time in times])
            for index in np.flatnonzero((shifts[1:, 0] != shifts[:-1, 0]) | (shifts[1:, 1] != shifts[:-1, 1])):
                low, high = times[index], times[index + 1]
                while high - low > 1e-6:  # to the very moment
                    middle = (low + high) / 2
                    same = np.allclose(shift(middle), shift(low))
                    low, high = (middle, high) if same else (low, middle)
                for time in (low, high):
                    seen = scene._warp(layer, time, layer.alpha)
                    assert seen is None or seen[1].max() == 0
                jumps += 1
    assert jumps > 5


def test_blur_is_the_mean_in_linear_light(scenes):
    scene = scenes[1]
    times = 4 + 0.8 * np.array([-2, -1, 0, 1, 2]) / 5
    mean = np.mean([scene.render(time).astype(np.float64) ** 2.2 for time in times], 0) ** (1 / 2.2)
    assert np.abs(scene.blurred(4, 0.8, 5) - mean).max() < 1e-4
    assert np.abs(scene.blurred(4, 0.8, 1) - scene.render(4)).max() < 1e-6  # the middle one is the sharp frame
    with pytest.raises(ValueError, match="odd"):
        scene.blurred(4, 0.8, 6)


def test_samples_follow_the_motion():
    scene = Scene(0, HEIGHT, WIDTH, pace=4)
    assert scene.samples(0, 0.01) == 7
    assert scene.samples(0, 4.0) > scene.samples(0, 0.5)
    assert all(scene.samples(time, 1) % 2 for time in range(5))


def test_scene_is_a_function_of_its_seed():
    again, other = Scene(5, 48, 64).render(1.5), Scene(6, 48, 64).render(1.5)
    assert np.array_equal(Scene(5, 48, 64).render(1.5), again)
    assert not np.array_equal(again, other)
    assert again.dtype == np.float32
    assert again.shape == (48, 64, 3)
    assert again.min() >= 0
    assert again.max() <= 1


def spectrum_slope(gray):
    size = min(gray.shape)
    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.abs(np.fft.fftshift(np.fft.fft2((gray[:size, :size] - gray[:size, :size].mean()) * window))) ** 2
    radius = np.hypot(*(np.indices((size, size)) - size // 2)).astype(int)
    mean = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
    band = slice(4, size // 3)
    return np.polyfit(np.log(np.arange(len(mean))[band]), np.log(mean[band]), 1)[0]


def test_statistics_are_those_of_photographs():
    """Bounds around real frames (Middlebury, Vid4, DAVIS): slope -2.6, mean 0.43, contrast 0.20, median step 3."""
    frames = np.stack([Scene(seed, 128, 160).render(0) for seed in range(100, 116)])
    gray = frames @ np.array([0.299, 0.587, 0.114], np.float32)
    steps = np.abs(np.diff(gray, axis=2)) * 255
    assert -3.4 < np.mean([spectrum_slope(image) for image in gray]) < -2.2
    assert 0.3 < gray.mean() < 0.6
    assert 0.12 < gray.std((1, 2)).mean() < 0.28
    assert 1 < np.median(steps) < 6
    assert 25 < np.percentile(steps, 99) < 90  # edges, but not harsh ones
    assert 0.04 < np.ptp(frames, axis=-1).mean() < 0.25  # saturation
    assert (frames > 0.996).mean() < 0.08


def test_speeds_are_small_with_a_long_tail():
    scenes = [Scene(seed, 48, 64) for seed in range(40)]
    speed = np.concatenate([np.linalg.norm(scene.flow(0, 1)[0], axis=-1).ravel() for scene in scenes])
    assert 1.2 < np.median(speed) < 4
    assert 7 < np.percentile(speed, 99) < 25
    slow = Scene(0, 48, 64, pace=0.125).flow(0, 8)[0]
    assert np.allclose(slow, Scene(0, 48, 64).flow(0, 1)[0], atol=1e-4)


def test_layouts_are_those_of_the_real_sets(all_layouts):
    expected = set()
    for split, clips in (("train", 2), ("test", 1)):
        for clip in range(clips):
            for t in range(3):
                expected |= {f"{split}_DVD/video_{clip:04d}/{kind}/{t:05d}.jpg" for kind in ("input", "GT")}
                expected |= {f"{split}_nah/video_{clip:04d}/{kind}/{t:06d}.png" for kind in ("blur_gamma", "sharp")}
                expected |= {f"clips/{split}/video_{clip:04d}/{t:08d}.png"}
                expected |= {f"GOPRO_Large_all/{split}/GOPR{clip:04d}_11_00/{t + 1:06d}.png"}
    for position in range(1, 4):
        expected |= {f"vimeo_triplet/sequences/00001/{position:04d}/im{t}.png" for t in range(1, 4)}
        expected |= {f"vimeo_triplet/flow/00001/{position:04d}/flow_{t}.flo" for t in ("t0", "t1")}
        expected |= {f"vimeo_septuplet/sequences/00001/{position:04d}/im{t}.png" for t in range(1, 8)}
        expected |= {f"FlyingChairs/data/{position:05d}_{kind}" for kind in ("img1.ppm", "img2.ppm", "flow.flo")}
    for t in range(3):
        for folder in ("Vid4", "SPMCS"):
            expected |= {f"{folder}/{kind}/video_0000/{t:08d}.png" for kind in ("GT", "BIx4", "BDx4")}
        for scene in range(2):
            frame = f"scene_{scene:04d}/frame_{t + 1:04d}"
            expected |= {f"MPI-Sintel/training/{kind}/{frame}.png" for kind in ("clean", "final")}
            expected |= {f"KITTI/training/image_2/{scene:06d}_{number}.png" for number in (10, 11)}
            expected |= {f"KITTI/training/flow_occ/{scene:06d}_10.png"}
            if t < 2:
                expected |= {f"MPI-Sintel/training/flow/{frame}.flo", f"MPI-Sintel/training/occlusions/{frame}.png"}
    for prefix, folder in (("tri", "vimeo_triplet"), ("sep", "vimeo_septuplet")):
        expected |= {f"{folder}/{prefix}_{split}list.txt" for split in ("train", "test")}
    expected |= {f"{name}/meta_info_{name}_GT.txt" for name in ("Vid4", "SPMCS")} | {"FlyingChairs/chairs_split.txt"}
    expected |= {f"{path.split('/')[0]}/.synthetic" for path in expected}
    assert set(tree(all_layouts)) == expected
    assert (all_layouts / "vimeo_triplet/tri_trainlist.txt").read_text() == "00001/0001\n00001/0002\n"
    assert (all_layouts / "vimeo_triplet/tri_testlist.txt").read_text() == "00001/0003\n"
    assert (all_layouts / "Vid4/meta_info_Vid4_GT.txt").read_text() == "video_0000 3 (48,64,3)\n"
    assert (all_layouts / "FlyingChairs/chairs_split.txt").read_text() == "1\n1\n2\n"


def test_sets_of_whole_clips_have_about_as_many_frames_as_the_real_ones(monkeypatch):
    """SPMCS has 31, Vid4 from 34 on; clips of one's own are long enough for two windows of five."""
    for layout, frames in (("spmcs", 31), ("clips", 9), ("vid4", 40)):
        monkeypatch.setattr(sys, "argv", ["make_synthetic", "--layout", layout])
        options = script.parse()
        assert [clip.frames for clip in script.clips_of(layout, ("test",), options)] == [frames] * 2
        monkeypatch.setattr(sys, "argv", ["make_synthetic", "--layout", layout, "--frames", "6"])
        assert script.clips_of(layout, ("test",), script.parse())[0].frames == 6


def test_low_resolution_frames_of_the_layouts(all_layouts):
    for folder in ("Vid4", "SPMCS"):
        truth = read_image(all_layouts / folder / "GT/video_0000/00000001.png")
        for kind, name in (("BIx4", "bi"), ("BDx4", "bd")):
            low = read_image(all_layouts / folder / kind / "video_0000/00000001.png")
            assert np.array_equal(low, make_low(truth, name))
    scenes = {
        (all_layouts / name / "video_0000/00000000.png").read_bytes()
        for name in ("Vid4/GT", "SPMCS/GT", "clips/test", "clips/train")
    }
    assert len(scenes) == 4  # different worlds


def test_contents_of_the_layouts(all_layouts):
    for path in all_layouts.rglob("*.*"):
        if path.suffix in (".png", ".jpg", ".ppm"):
            assert read_image(path).shape == ((12, 16, 3) if "x4" in str(path) else (48, 64, 3))
    clean = [read_image(all_layouts / f"MPI-Sintel/training/clean/scene_0000/frame_000{t}.png") for t in (1, 2)]
    flow, valid = read_flow(all_layouts / "MPI-Sintel/training/flow/scene_0000/frame_0001.flo")
    hidden = read_image(all_layouts / "MPI-Sintel/training/occlusions/scene_0000/frame_0001.png")[..., 0] > 0
    assert valid.all()
    error = np.abs(read_at(clean[1], flow).astype(float) - clean[0])[~hidden].mean()
    assert error < 0.5 * np.abs(clean[1].astype(float) - clean[0])[~hidden].mean()
    blurry, sharp = (
        read_image(all_layouts / f"train_nah/video_0000/{kind}/000001.png") for kind in ("blur_gamma", "sharp")
    )
    assert np.abs(np.diff(blurry.astype(float), axis=1)).mean() < np.abs(np.diff(sharp.astype(float), axis=1)).mean()


def test_triplets_carry_the_flow_from_the_middle_frame(all_layouts):
    for position in (1, 2, 3):
        first, middle, last = (
            read_image(all_layouts / f"vimeo_triplet/sequences/00001/{position:04d}/im{t}.png").astype(float)
            for t in (1, 2, 3)
        )
        for name, other in (("flow_t0", first), ("flow_t1", last)):
            flow, valid = read_flow(all_layouts / f"vimeo_triplet/flow/00001/{position:04d}/{name}.flo")
            assert valid.all()
            assert flow.shape == (48, 64, 2)
            moved = np.median(np.abs(read_at(other, flow) - middle))
            assert moved < 0.5 * np.median(np.abs(other - middle))


def test_triplets_made_before_they_had_flow_are_not_taken_for_complete(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "vimeo_triplet", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    assert make(root, *options).returncode == 0
    before, marker = tree(root), root / "vimeo_triplet/.synthetic"
    old = json.loads(marker.read_text())
    assert old.pop("flow") == "exact"
    for path in root.rglob("*.flo"):
        path.unlink()
        old["files"] -= 1
    marker.write_text(json.dumps(old))
    refused = make(root, *options)
    assert refused.returncode == 2
    assert "made with other parameters (flow missing): --force replaces it" in refused.stderr
    assert make(root, *options, "--force").returncode == 0
    assert tree(root) == before


def test_only_triplets_have_the_marker_of_flow(all_layouts):
    marked = {path.parent.name for path in all_layouts.glob("*/.synthetic") if "flow" in json.loads(path.read_text())}
    assert marked == {"vimeo_triplet"}


def test_training_and_test_clips_differ(all_layouts):
    first = [(all_layouts / f"{split}_nah/video_0000/sharp/000000.png").read_bytes() for split in ("train", "test")]
    assert first[0] != first[1]


def test_same_bytes_for_any_number_of_workers(all_layouts, tmp_path):
    root = tmp_path / "datasets"
    result = make(
        root, "--layout", "DVD", "--clips", 2, "--test_clips", 1, "--frames", 3, "--size", "64x48", "--workers", 2
    )
    assert result.returncode == 0, result.stderr
    assert "clips/s" in result.stdout
    made = tree(root)
    assert made == {path: data for path, data in tree(all_layouts).items() if path.split("/")[0] in os.listdir(root)}
    assert len(made) == 20
    assert sorted(os.listdir(root)) == ["test_DVD", "train_DVD"]  # nothing temporary is left


def test_never_overwrites_what_it_did_not_make(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "chairs", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    (root / "FlyingChairs").mkdir(parents=True)
    (root / "FlyingChairs" / "real.ppm").write_bytes(b"real")
    for force in ((), ("--force",)):
        result = make(root, *options, *force)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert "was not made by this script" in result.stderr
    assert tree(root) == {"FlyingChairs/real.ppm": b"real"}


def test_repeats_nothing_and_replaces_only_when_forced(tmp_path):
    root = tmp_path / "datasets"
    options = ("--layout", "chairs", "--clips", 1, "--test_clips", 1, "--size", "32x32", "--workers", 1)
    assert make(root, *options).returncode == 0
    before = tree(root)
    again = make(root, *options)
    assert again.returncode == 0
    assert "is there already" in again.stdout

    other = make(root, *options, "--seed", 1)
    assert other.returncode == 2
    assert "made with other parameters (seed 0)" in other.stderr
    assert other.stderr.count("\n") == 1
    assert tree(root) == before

    (root / "FlyingChairs/data/00001_flow.flo").unlink()
    broken = make(root, *options)
    assert broken.returncode == 2
    assert "lost some" in broken.stderr
    assert make(root, *options, "--force").returncode == 0
    assert tree(root) == before

    assert make(root, *options, "--seed", 1, "--force").returncode == 0
    after = tree(root)
    assert json.loads(after["FlyingChairs/.synthetic"])["seed"] == 1
    assert after["FlyingChairs/data/00001_img1.ppm"] != before["FlyingChairs/data/00001_img1.ppm"]


@pytest.mark.parametrize(
    "options",
    [
        ("--size", "big"),
        ("--size", "63x48"),
        ("--clips", "0"),
        ("--frames", "0"),
        ("--layout", "none"),
        ("--sise", "64x48"),
    ],
)
def test_usage_errors_are_one_line(tmp_path, options):
    result = make(tmp_path / "datasets", *options)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "datasets").exists()
