"""Frames of clips in one file have paths of their own."""

import av
import numpy as np
import pytest

from common.media import clip_file
from common.media.image import list_frames, read_clip, read_image


@pytest.fixture
def clip(tmp_path):
    """Three frames, and the file that holds them."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)
    np.save(tmp_path / "a.npy", frames)
    return frames, tmp_path / "a.npy"


def test_frames_of_an_array_are_listed_and_read_like_files(clip):
    frames, path = clip
    paths = list_frames(path)
    assert [p.name for p in paths] == ["00000000", "00000001", "00000002"]
    assert np.array_equal(read_clip(paths), frames)
    with pytest.raises(ValueError, match="read-only"):
        read_image(paths[0])[0] = 0


def test_an_array_that_changes_is_read_anew(clip):
    frames, path = clip
    read_image(list_frames(path)[1])
    np.save(path, frames[::-1][:2])
    assert len(list_frames(path)) == 2
    assert np.array_equal(read_image(path / "00000000"), frames[2])


def test_a_video_is_decoded_once(tmp_path, monkeypatch):
    levels = (20, 90, 160, 230)
    with av.open(tmp_path / "v.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv444p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), level, np.uint8), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    paths = list_frames(tmp_path / "v.mp4")
    assert [round(float(read_image(path).mean())) for path in paths] == pytest.approx(levels, abs=2)
    monkeypatch.setattr("common.media.video_reader.VideoReader", None)
    read_image(paths[3])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "is no whole array .*make it again"),
        (lambda path: path.write_bytes(b""), "is no whole array"),
        (lambda path: np.save(path, np.zeros((2, 4, 4, 3), np.float32)), "float32 .* expected frames, uint8"),
        (lambda path: np.save(path, np.zeros((4, 4, 3), np.uint8)), r"\(4, 4, 3\); expected frames"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: np.save(path, np.zeros((0, 4, 4, 3), np.uint8)), "0 frames, but frame 0 was expected"),
    ],
)
def test_what_is_no_clip_is_told(clip, make, text):
    _, path = clip
    make(path)
    with pytest.raises(ValueError, match=text):
        read_image(path / "00000000")


def test_folders_that_end_like_clips_stay_folders(tmp_path):
    folder = tmp_path / "odd.npy"
    folder.mkdir()
    assert list_frames(folder) == []
    assert not clip_file.is_clip(folder)
    assert not clip_file.is_frame(tmp_path / "a.npy" / "im1.png")
