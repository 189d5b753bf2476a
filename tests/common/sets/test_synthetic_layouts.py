"""Procedural clips as files: the folders of the real sets, and what is in them."""

import json

import numpy as np
import pytest

from common.degrade.low_resolution import make_low
from common.media.flow_file import read_flow
from common.media.image import read_image
from common.sets.synthetic_layouts import LAYOUTS, Clip
from tests.helpers.folders import tree
from tests.helpers.pictures import read_at
from tests.helpers.runs import make_clips


@pytest.fixture(scope="module")
def all_layouts(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "datasets"
    make_clips(root, "all", "--clips", 2, "--test_clips", 1, "--frames", 3)
    return root


def test_layouts_are_those_of_the_real_sets(all_layouts):
    expected = set()
    for split, clips in (("train", 2), ("test", 1)):
        for clip in range(clips):
            for t in range(3):
                expected |= {f"{split}_DVD/video_{clip:04d}/{kind}/{t:05d}.jpg" for kind in ("input", "GT")}
                expected |= {f"{split}_nah/video_{clip:04d}/{kind}/{t:06d}.png" for kind in ("blur_gamma", "sharp")}
                expected |= {f"clips/{split}/video_{clip:04d}/{t:08d}.png"}
                expected |= {f"drawn/{split}/video_{clip:04d}{kind}.npy" for kind in ("", "_flow")}
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
    expected |= {"drawn/clips.csv"}
    expected |= {f"{path.split('/')[0]}/.synthetic" for path in expected}
    assert set(tree(all_layouts)) == expected
    assert (all_layouts / "vimeo_triplet/tri_trainlist.txt").read_text() == "00001/0001\n00001/0002\n"
    assert (all_layouts / "vimeo_triplet/tri_testlist.txt").read_text() == "00001/0003\n"
    assert (all_layouts / "drawn/clips.csv").read_text() == (
        "clip,split,frames,width,height\nvideo_0000,train,3,64,48\nvideo_0001,train,3,64,48\nvideo_0000,test,3,64,48\n"
    )
    assert (all_layouts / "Vid4/meta_info_Vid4_GT.txt").read_text() == "video_0000 3 (48,64,3)\n"
    assert (all_layouts / "FlyingChairs/chairs_split.txt").read_text() == "1\n1\n2\n"


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


def test_sets_with_exact_labels_have_the_marker_of_flow(all_layouts):
    marked = {path.parent.name for path in all_layouts.glob("*/.synthetic") if "flow" in json.loads(path.read_text())}
    assert marked == {"vimeo_triplet", "drawn"}


def test_training_and_test_clips_differ(all_layouts):
    first = [(all_layouts / f"{split}_nah/video_0000/sharp/000000.png").read_bytes() for split in ("train", "test")]
    assert first[0] != first[1]


# Clips in KITTI's layout


def test_kitti_clips_hold_sparse_exact_flow(tmp_path):
    clip = Clip("kitti15", "train", 1, 1, 2, 48, 64, 0, 1.0)
    LAYOUTS["kitti15"].write(tmp_path, clip)
    names = {str(path.relative_to(tmp_path / "training")) for path in tmp_path.rglob("*.png")}
    assert names == {"image_2/000001_10.png", "image_2/000001_11.png", "flow_occ/000001_10.png"}
    scene, _ = clip.scene()
    first, second = (read_image(tmp_path / f"training/image_2/000001_{t}.png") for t in (10, 11))
    assert np.abs(first / 255 - scene.render(0)).max() < 0.01
    assert np.abs(second / 255 - scene.render(1)).max() < 0.01
    flow, valid = read_flow(tmp_path / "training/flow_occ/000001_10.png")
    assert 0.1 < valid.mean() < 0.3
    assert not valid[:16].any()
    error = np.abs(flow - scene.flow(0, 1)[0])
    assert error[valid].max() <= 1 / 64
    assert error[~valid].max() > 1


# Clips as memory maps, with flow to their first and last frame


def test_drawn_clips_hold_frames_blur_and_the_flow_to_both_ends(tmp_path):
    clip = Clip("drawn", "test", 0, 0, 5, 48, 64, 0, 1.0, blur=True)
    LAYOUTS["drawn"].write(tmp_path, clip)
    stem = str(tmp_path / "test/video_0000")
    frames, flow, blurry = (np.load(f"{stem}{kind}.npy", mmap_mode="r") for kind in ("", "_flow", "_blur"))
    assert (frames.dtype, frames.shape) == (np.uint8, (5, 48, 64, 3))
    assert (flow.dtype, flow.shape) == (np.float16, (5, 2, 48, 64, 2))
    assert (blurry.dtype, blurry.shape) == (np.uint8, (5, 48, 64, 3))
    assert frames.flags.c_contiguous
    assert not flow[0, 0].any()
    assert not flow[4, 1].any()
    for t in range(5):
        for end, other in ((0, 0), (1, 4)):
            if t != other:
                moved = np.median(
                    np.abs(read_at(frames[other], flow[t, end].astype(np.float32)).astype(float) - frames[t])
                )
                assert moved < 0.5 * np.median(np.abs(frames[other].astype(float) - frames[t]))
    sharpness = [np.abs(np.diff(array.astype(float), axis=2)).mean() for array in (frames, blurry)]
    assert sharpness[0] > sharpness[1]


def test_drawn_clips_are_slow_and_fast(tmp_path):
    for number in range(8):
        LAYOUTS["drawn"].write(tmp_path, Clip("drawn", "train", number, number, 5, 32, 32, 0, 1.0))
    flows = [np.load(path)[0, 1].astype(np.float32) for path in sorted(tmp_path.rglob("*_flow.npy"))]
    typical = [np.median(np.linalg.norm(flow, axis=-1)) for flow in flows]
    assert min(typical) < 5
    assert max(typical) > 15


def test_layouts_keep_their_positions():
    """The position is part of the seed: another one would change the bytes of sets that were made before."""
    assert list(LAYOUTS) == [
        "DVD", "nah", "vimeo_triplet", "vimeo_septuplet", "vid4", "gopro240", "sintel", "chairs", "spmcs", "clips",
        "kitti15", "drawn",
    ]  # fmt: skip
