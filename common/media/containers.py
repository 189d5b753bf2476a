"""What reading and writing video files share: containers, colour codes, opening, the checks of both."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from typing import NamedTuple

import av
from av.stream import Disposition
from av.video.reformatter import Interpolation as Sws


class Kind(NamedTuple):
    """A kind of video file: FFmpeg's name of the container, the usual codec, FFmpeg's encoder of sound."""

    format: str
    codec: str  # a key of `encoders.ENCODERS`
    sound: str  # for sound that the container does not take as it is


CONTAINERS = {
    ".mp4": Kind("mp4", "h264", "aac"),
    ".mov": Kind("mov", "h264", "aac"),
    ".mkv": Kind("matroska", "h264", "flac"),
    ".avi": Kind("avi", "h264", "pcm_s16le"),
    ".webm": Kind("webm", "vp9", "libopus"),
}
STILL = 8  # times the usual gap between two frames: a longer one is a still, not motion
QUEUE = 4  # frames between two threads
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux tells ours
THREADS = min(16, CORES)  # that read or write the images of a folder
# How chroma is halved and doubled. RGB of a real clip to yuv420p and back keeps 53 dB; swscale's default, which repeats
# the nearest chroma sample and rounds coarsely, keeps 46 dB.
FILTER = int(Sws.BICUBIC | Sws.ACCURATE_RND | Sws.FULL_CHR_H_INT | Sws.FULL_CHR_H_INP)
BT709, BT601, UNKNOWN = 1, 6, 2  # codes of ITU-T H.273


@contextmanager
def explained(what: str):
    """Turn an error of FFmpeg into a ValueError that begins with `what`."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise ValueError(f"{what} ({error.strerror})") from None


def open_input(path: str | os.PathLike):
    """Open a video or sound file; use it in a `with` block."""
    with explained(f"{path} cannot be opened; expected a complete video or sound file"):
        # Without "file:" a name such as take:2.mp4 is read as a protocol; texts may be in any encoding.
        return av.open(f"file:{path}", metadata_errors="replace")


def picture_streams(container) -> list:
    """Video streams, without the cover picture of a sound file."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def main_picture(container):
    """The video stream to take: the default one, else the largest; None where none can be decoded."""
    streams = [stream for stream in picture_streams(container) if stream.codec_context is not None]
    rank = lambda stream: (bool(stream.disposition & Disposition.default), stream.width * stream.height)  # noqa: E731
    return max(streams, key=rank, default=None)


def usual_matrix(height: int, width: int) -> int:
    """The colour matrix that players assume where a file does not tell."""
    return BT709 if height > 576 or width >= 1280 else BT601


def check_size(what, shape: Sequence[int], expected: Sequence[int]) -> None:
    """Refuse a frame `what` whose height and width are not those of the first."""
    if tuple(shape[:2]) != tuple(expected[:2]):
        (height, width), (h, w) = shape[:2], expected[:2]
        raise ValueError(
            f"{what} is {width}x{height}: expected {w}x{h} as the first; resize or crop it, or leave it out"
        )
