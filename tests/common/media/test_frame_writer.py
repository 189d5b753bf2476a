"""Frames on their way into files: side by side into a folder, in 8 bits or 16, and what is no frame."""

import threading

import numpy as np
import pytest

from common.media import frame_writer
from common.media.image import read_image
from tests.helpers.clips import moving, write_video
from tests.helpers.deep_clips import read_deep


def test_images_are_written_side_by_side(tmp_path, monkeypatch):
    frames, together, old = moving(9), threading.Barrier(3), frame_writer.write_image

    def write_one(path, image):
        if path.stem in ("00000000", "00000001", "00000002"):
            together.wait(timeout=20)  # fails unless three are here at once
        if path.stem == "00000006":
            raise OSError("the disk is full")
        old(path, image)

    monkeypatch.setattr(frame_writer, "THREADS", 3)
    monkeypatch.setattr(frame_writer, "write_image", write_one)
    with pytest.raises(OSError, match="the disk is full"):
        write_video(f"{tmp_path}/out/", frames)
    for number, frame in enumerate(frames[:6]):
        assert np.array_equal(read_image(tmp_path / f"out/{number:08d}.png"), frame)


def test_sixteen_bits_go_into_a_folder_as_they_are(tmp_path):
    frames = [frame.astype(np.uint16) * 200 + 3 for frame in moving(2)]
    write_video(f"{tmp_path}/out/", frames)
    np.testing.assert_array_equal(read_deep(tmp_path / "out"), frames)


def test_other_types_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a frame of int32 \(48, 64, 3\): expected HxWx3 uint8 or uint16 RGB"):
        write_video(f"{tmp_path}/out/", [moving(1)[0].astype(np.int32)])
