"""Files of clips: written, described, given blurry twins, checked."""

import cv2
import numpy as np
import pytest

from common.degrade.motion_blur import blur_clip
from common.sets import clip_files
from common.stop_request import StopRequest
from tests.helpers.sharp_clips import shot


def soft(frames):
    return [cv2.GaussianBlur(frame, (0, 0), 3) for frame in frames]


@pytest.fixture
def made(tmp_path):
    """A set of two clips, one of them soft; its root and rows."""
    rows = []
    for clip, split, frames in (("b", "train", shot(1, 9)), ("a", "test", soft(shot(2, 10)))):
        told = {"split": split, "source": f"{clip}.mp4", "sha256": clip * 64, "licence": "CC0"}
        rows.append(clip_files.row_of(clip, frames, range(5, 5 + len(frames)), **told))
        clip_files.write_array(clip_files.path_of(tmp_path, rows[-1]), frames)
    clip_files.write_manifest(tmp_path, rows[::-1])
    return tmp_path, rows


def blurred(root, rows, workers=2):
    with StopRequest() as stop:
        assert clip_files.add_blur(root, rows, workers=workers, stop=stop) == 0


def test_the_manifest_tells_what_is_there(made):
    root, rows = made
    assert clip_files.read_manifest(root) == rows
    one = rows[0]
    assert (one["frames"], one["first_frame"], one["last_frame"]) == ("9", "5", "13")
    assert (one["width"], one["height"], one["blur"]) == ("128", "96", "")
    array = np.load(root / "train/b.npy", mmap_mode="r")
    assert array.shape == (9, 96, 128, 3)
    assert array.flags.c_contiguous
    assert np.array_equal(array, shot(1, 9))
    assert clip_files.faults(root) == []


def test_sharpness_is_of_detail_and_not_of_contrast():
    frames = shot(1, 9)
    sharp, pale, blurry = (
        clip_files.sharpness(clip) for clip in (frames, [frame // 2 + 64 for frame in frames], soft(frames))
    )
    assert blurry < clip_files.SHARP < sharp
    assert abs(pale / sharp - 1) < 0.05


def test_sharp_clips_get_a_blurry_twin(made):
    root, rows = made
    blurred(root, rows)
    exposure = clip_files.exposure_of("b")
    assert {row["clip"]: row["blur"] for row in clip_files.read_manifest(root)} == {"b": f"{exposure:.2f}", "a": "soft"}
    assert np.array_equal(np.load(root / "train/b_blur.npy"), blur_clip(shot(1, 9), exposure))
    assert not (root / "test/a_blur.npy").exists()
    assert clip_files.faults(root) == []
    before = (root / "train/b_blur.npy").stat().st_mtime_ns
    blurred(root, rows)
    assert (root / "train/b_blur.npy").stat().st_mtime_ns == before
    drawn = [clip_files.exposure_of(str(k)) for k in range(300)]
    assert 0.5 <= min(drawn) < 0.55 < 1.45 < max(drawn) <= 1.5


def test_every_fault_is_named(made):
    root, rows = made
    blurred(root, rows)
    path = root / "train/b.npy"
    whole = path.read_bytes()
    assert clip_files.faults(root / "none") == [f"{root}/none/clips.csv: missing"]
    for damage, told in (
        (lambda: path.unlink(), "missing"),
        (lambda: path.write_bytes(whole[:-1]), "damaged or cut off"),
        (lambda: path.write_bytes(b""), "damaged or cut off"),
        (lambda: clip_files.write_array(path, shot(1, 10)), "expected uint8"),
        (lambda: clip_files.write_array(path, soft(shot(1, 9))), "not the frames of clips.csv"),
    ):
        damage()
        (fault,) = clip_files.faults(root)
        assert fault.startswith(f"{path}: ")
        assert told in fault
    path.write_bytes(whole)
    (root / "train/b_blur.npy").rename(root / "train/c.npy")
    assert [fault.split(": ", 1)[1] for fault in clip_files.faults(root)] == ["missing", "not in clips.csv"]


def test_a_source_in_both_splits_and_a_clip_named_twice_are_faults(made):
    root, rows = made
    clip_files.write_manifest(root, [rows[0], rows[0], rows[1] | {"sha256": rows[0]["sha256"]}])
    assert sorted(fault.split(": ", 1)[1] for fault in clip_files.faults(root)) == [
        "a.mp4 has clips in both splits",
        "b is there twice",
    ]
    (root / "clips.csv").write_text("clip,split\nb,train\n")
    with pytest.raises(ValueError, match=r"clips\.csv: expected the columns clip, split, source"):
        clip_files.read_manifest(root)
