"""What stands around a network in own video: the same command with a network that has its result ready.

It is compared with the bare minimum in the same run: PyAV decodes the clip to RGB, and the frames of the result, which
lie in memory, are encoded by x264 with the same settings.

A paper takes part by `own_video() -> {name: (model, flags, scale)}` in its file `bench.py`: what has a method `clip`,
with a network that costs nothing; the flags of `clip`; how many times as large the result is.
"""

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from common.media.containers import CONTAINERS
from common.media.encoders import Encoding
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer

RATE, FRAMES = Fraction(25), 24


def measure(model, flags: dict, scale: int, *, size: tuple[int, int], repeats: int, seed: int = 0) -> dict[str, float]:
    """Seconds of the command and of the bare minimum, the best of both.

    Args:
        model: its `clip` is called.
        flags: of `clip`.
        scale: the input is as many times smaller than the result.
        size: height and width of the result.
        repeats: rounds of both.
        seed: of the clip.

    Returns:
        `seconds` and `bare_seconds` for a frame of the result, and `ratio`, bare / whole: 1 where nothing is lost.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        _write_clip(source, size[0] // scale, size[1] // scale, seed)
        whole = lambda: model.clip(source, target, overwrite=True, **flags)  # noqa: E731
        whole()  # warms up, and makes the result
        made = list(open_clip(target))
        bare = lambda: _bare(source, made, Path(folder, "bare.mp4"))  # noqa: E731
        rounds = [(_seconds(whole), _seconds(bare)) for _ in range(repeats)]
    seconds, bare_seconds = (min(times) / len(made) for times in zip(*rounds, strict=True))
    return {"seconds": seconds, "bare_seconds": bare_seconds, "ratio": bare_seconds / seconds}


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _write_clip(path: Path, height: int, width: int, seed: int) -> None:
    """A texture that moves, with a little noise, as cameras give."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    with open_writer(path, frame_rate=RATE) as writer:
        for number in range(FRAMES):
            noise = random.integers(-3, 4, texture.shape, dtype=np.int16)
            writer.write(np.clip(np.roll(texture, 2 * number, 1) + noise, 0, 255).astype(np.uint8))


def _bare(source: Path, made: list[np.ndarray], target: Path) -> None:
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
    with av.open(str(target), "w") as container:
        height, width = made[0].shape[:2]
        stream = Encoding().add_stream(container, CONTAINERS[target.suffix], RATE, height, width)
        for image in made:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.codec_context.pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
