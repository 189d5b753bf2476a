"""What reading and writing video files share: odd names, cover pictures, the matrix that is assumed, the errors."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from common.media.containers import BT601, BT709, check_size, explained, open_input, picture_streams, usual_matrix
from common.media.video_reader import open_clip
from tests.helpers.clips import moving, write_video, write_with_sound


def test_odd_names(tmp_path):
    name = "take:2 100%d ünï [x] 'q'.MP4"
    assert len(list(open_clip(write_video(tmp_path / name, moving(4), frame_rate=Fraction(25))))) == 4


def test_the_cover_of_a_song_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("mp3", rate=48000)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(cover.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
        tone.sample_rate = 48000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    with open_input(path) as container:
        assert len(container.streams.video) == 1
        assert picture_streams(container) == []
    with pytest.raises(ValueError, match=r"song\.mp3 holds no video"):
        open_clip(path)
    with open_input(write_with_sound(tmp_path / "in.mp4", seconds=0.2)) as container:
        assert picture_streams(container) == list(container.streams.video)


@pytest.mark.parametrize(
    ("height", "width", "matrix"),
    [(576, 720, BT601), (577, 720, BT709), (480, 1279, BT601), (480, 1280, BT709), (1080, 1920, BT709)],
)
def test_the_matrix_of_a_file_that_tells_none(height, width, matrix):
    assert usual_matrix(height, width) == matrix


def test_frames_of_another_size_are_told():
    check_size("frame 3", (48, 64, 3), (48, 64))
    with pytest.raises(ValueError, match=r"^frame 3 is 64x48: expected 48x64 as the first; resize or crop it, or"):
        check_size("frame 3", (48, 64, 3), (64, 48))


def test_errors_of_ffmpeg_are_one_line_and_others_pass(tmp_path):
    with pytest.raises(ValueError, match=r"^.*none\.mp4 cannot be opened; .* \(No such file or directory\)$"):
        open_input(tmp_path / "none.mp4")
    with pytest.raises(KeyError), explained("it is broken"):
        raise KeyError
