"""Sources of clips: found, told apart, divided."""

import hashlib

import numpy as np
import pytest

from common.cli import UsageError
from common.media.image import write_image
from common.sets.clip_sources import digest_of, find_sources, splits_of, stem_of


def frames(folder, count):
    for number in range(count):
        write_image(folder / f"{number}.png", np.full((4, 4, 3), number, np.uint8))
    return folder


def file(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_videos_and_folders_of_frames_are_found_at_any_depth(tmp_path):
    expected = [file(tmp_path / "a/1.MP4"), file(tmp_path / "a/deep/er/2.mkv"), frames(tmp_path / "a/shots", 9)]
    frames(tmp_path / "a/few", 8)
    for hidden in ("a/notes.txt", "a/.3.mp4", "a/.cache/4.mp4"):
        file(tmp_path / hidden)
    assert find_sources([tmp_path / "a"]) == sorted(expected)
    odd = file(tmp_path / "b.bin")  # named, and so tried whatever it is called
    assert find_sources([odd, expected[0], expected[0], tmp_path / "a/shots"]) == sorted(
        [odd, expected[0], expected[2]]
    )
    for path in (tmp_path / "none", tmp_path / "a/few"):
        with pytest.raises(UsageError, match=f"--source {path}: "):
            find_sources([path])


def test_digests_are_of_the_bytes_alone(tmp_path):
    video = file(tmp_path / "v.mp4", b"some bytes")
    assert digest_of(video) == hashlib.sha256(b"some bytes").hexdigest()
    one, other = frames(tmp_path / "one", 3), frames(tmp_path / "other", 3)
    assert digest_of(one) == digest_of(other)
    write_image(other / "2.png", np.full((4, 4, 3), 9, np.uint8))
    assert digest_of(one) != digest_of(other)
    assert stem_of(file(tmp_path / "Mein Film (1).mp4"), "0123456789") == "Mein_Film_1_01234567"


def test_the_split_is_drawn_by_the_source_and_none_is_empty():
    digests = [hashlib.sha256(bytes([k])).hexdigest() for k in range(200)]
    splits = splits_of(digests, 0.25)
    assert 30 < list(splits.values()).count("test") < 70
    assert splits_of(digests[:100], 0.25) == {digest: splits[digest] for digest in digests[:100]}
    for share in (0.001, 0.999):
        assert set(splits_of(digests[:2], share).values()) == {"train", "test"}
    assert set(splits_of(digests, 0).values()) == {"train"}
    assert len(splits_of(digests[:1], 0.5)) == 1
