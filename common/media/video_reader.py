"""A user's clips, read: video files, folders of frames, patterns of frames; the only place that knows of them.

Reader and writer hold a handful of frames, whatever the length of the clip, and work in threads of their own:
decoding and encoding overlap the network. They also make Ctrl-C safe: Python interrupts only the main thread,
so nothing is lost between the encoder and the file.
"""

import glob
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from common.media import deep_color, hdr
from common.media.containers import (
    FILTER,
    THREADS,
    check_size,
    explained,
    main_picture,
    open_input,
    usual_matrix,
)
from common.media.image import IMAGE_SUFFIXES, as_levels, has_alpha, list_frames, read_image
from common.media.packet_times import Clock, PictureFrames, frame_rate
from common.media.read_ahead import ahead, in_order

log = logging.getLogger(__name__)

MATRICES = (1, 4, 5, 6, 7, 9)  # codes of ITU-T H.273 that swscale converts
UNTOLD = (0, 2)  # RGB, and unknown: `usual_matrix` stands for them


def open_clip(
    path: str | os.PathLike, start: Fraction | None = None, end: Fraction | None = None, *, deep: bool = False
) -> "VideoReader | FolderReader":
    """Open a clip for reading.

    Args:
        path: a video file, an image file, a folder of images, or a pattern of images such as "frames/*.png". Images
            come in the order of their names, numbers compared as numbers.
        start: of a video: seconds after its first frame; frames before are left out.
        end: of a video: seconds after its first frame; frames from there on are left out.
        deep: what has more than 8 bits a channel comes in 16, as uint16, white being 65535.

    Returns:
        A reader, which can be iterated again and again: `for image in reader` gives HxWx3 RGB, `for image, time in
        reader.timed()` also the time in seconds as a Fraction (None for images). Attributes: `dtype`, uint8 or uint16;
        `path`; `size` (H, W); `frame_rate`, an exact Fraction in Hz (None for images); `num_frames`, for progress only
        (None where unknown); `names` of the image files (None for videos); `damage`, after reading: what
        of a video had to be guessed or was cut off (None: nothing), and `is_cut_off`. A damaged frame, or one of
        another size, is a ValueError that names it, when it is reached. Images are turned as their EXIF orientation
        tells. What of the input is lost, such as alpha, is told in a line.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: no image in the folder, no video in the file, no frame between `start` and `end`, or a first frame
            that cannot be decoded.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
        return VideoReader(path, start or Fraction(0), end, deep=deep)
    if start is not None or end is not None:
        raise ValueError(f"{path} is no video, --start and --end do not go with it: choose images by a pattern")
    if path.is_file():
        return FolderReader(path, [path], deep=deep)
    if path.is_dir():
        files = list_frames(path)
        if not files:
            raise ValueError(f"no images in {path}: expected frames ({' '.join(IMAGE_SUFFIXES)}), or give a video file")
        return FolderReader(path, files, deep=deep)
    # Brackets and the like in the name of a folder that is there are no pattern.
    pattern = os.path.join(glob.escape(str(path.parent)), path.name) if path.parent.is_dir() else str(path)
    files = [file for file in glob.glob(pattern) if os.path.isfile(file)]
    if not files:
        raise FileNotFoundError(f"{path} does not exist: expected a video file, a folder of frames or a quoted pattern")
    files.sort(key=lambda file: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file)])
    return FolderReader(path, [Path(file) for file in files], deep=deep)


def missing_numbers(names: Sequence[str]) -> int:
    """How many numbers of a sequence such as f_001.png, f_002.png ... are missing; 0 for other names."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\.\w+)", name) for name in names]
    if None in parts or len({(part[1], part[3]) for part in parts}) > 1:
        return 0
    numbers = [int(part[2]) for part in parts]
    steps = {b - a for a, b in pairwise(numbers)}
    return numbers[-1] - numbers[0] + 1 - len(numbers) if 1 in steps else 0  # each second one, say, is a choice


class _Reader:
    damage: str | None = None
    is_cut_off = False
    dtype = np.dtype(np.uint8)  # of the frames

    def __iter__(self) -> Iterator[np.ndarray]:
        return (image for image, _ in self.timed())

    def at_least(self, count: int) -> int:
        """How many frames there are, counted up to `count`."""
        return sum(1 for _ in islice(self, count))

    def timed(self) -> Iterator[tuple[np.ndarray, Fraction | None]]:
        """The frames, HxWx3 RGB of the type `dtype`, each with its time in seconds."""
        return ahead(self._read())


class FolderReader(_Reader):
    """Frames from image files; see `open_clip`."""

    frame_rate = None

    def __init__(self, path: Path, files: Sequence[Path], *, deep: bool = False):
        self.path, self.files = path, files
        self.names = [file.name for file in files]
        self.num_frames = len(files)
        first = read_image(files[0], upright=True, deep=True)
        self.size = first.shape[:2]
        self._is_told = first.dtype == np.uint16  # what bits are lost; later images may have more than the first
        if first.dtype == np.uint16 and deep:
            self.dtype = first.dtype
        elif first.dtype == np.uint16:
            log.warning("%s: its 16 bits a channel become 8", path)
        if has_alpha(files[0]):
            log.warning("%s: its alpha channel is dropped", files[0])
        if missing := missing_numbers(self.names):
            log.warning("%s: between its first and last image %d numbers are missing", path, missing)

    def timed(self) -> Iterator[tuple[np.ndarray, None]]:
        """The frames, HxWx3 RGB of the type `dtype`, without times; read by as many threads as there are cores."""
        images = in_order((partial(self._image, file) for file in self.files), THREADS)
        for file, (image, is_reduced) in zip(self.files, images, strict=True):
            if is_reduced and not self._is_told:
                log.warning("%s: its 16 bits a channel become 8, which the first image has", file)
                self._is_told = True
            yield image, None

    def _image(self, file: Path) -> tuple[np.ndarray, bool]:
        """An image as levels of `dtype`, and whether it has lost bits."""
        image = read_image(file, upright=True, deep=True)
        check_size(file, image.shape, self.size)
        return as_levels(image, self.dtype), image.dtype == np.uint16 != self.dtype


class VideoReader(_Reader):
    """Frames of a video file, upright and in RGB; see `open_clip`.

    Times count from the first frame and are the file's own (variable frame rates included). Where they differ from a
    multiple of 1 / frame_rate by the container's rounding only (Matroska stores milliseconds), they are that multiple.
    Matrix and range of the colours are those that the file tells; where it does not tell, limited BT.709 from 720p
    upwards and BT.601 below, as players do. 10 bits and more become 16 if `deep`, else 8; transfer curves, HDR ones
    too, are left alone. `hdr` is what the first frame tells of its display and light.
    """

    names = None

    def __init__(
        self, path: Path, begin: Fraction = Fraction(0), end: Fraction | None = None, *, deep: bool = False
    ):  # fmt: skip
        self.deep = deep
        self.path, self.is_trimmed = path, bool(begin) or end is not None
        self.start = self.length = None  # first frame, seconds by the file's clock; seconds from there to `end`
        self._said = set()
        with open_input(path) as container:
            stream = self._stream(container)
            self.time_base = stream.time_base  # seconds; the file's times are multiples of it
            self.metadata = dict(container.metadata)  # title and the like
            self.frame_rate = frame_rate(container)
            self.num_frames = stream.frames or round(self.frame_rate * (container.duration or 0) / av.time_base) or None
        with open_input(path) as container:
            stream = self._stream(container)
            with explained(f"the first frame of {path} cannot be decoded; expected a playable video"):
                frame, first = next(self._frames(container, PictureFrames(container, stream)), (None, None))
            if frame is None:
                raise ValueError(f"{path} holds no frame: the recording was cut off? Expected a playable video")
            self.start = first
            self._look(frame, stream)
        if self.is_trimmed:
            near = min(self.time_base, 1 / self.frame_rate / 4)  # the container's rounding moves no frame out or in
            self._trim(first + begin - near, None if end is None else first + end - near)

    def _trim(self, start: Fraction, end: Fraction | None) -> None:
        """Leave frames before `start` and from `end` on out."""
        whole, self.start = self.start, start
        with open_input(self.path) as container:
            frames = self._frames(container, PictureFrames(container, self._stream(container)))
            with explained(f"{self.path} cannot be decoded up to --start; expected a whole file"):
                frame, self.start = next(frames, (None, start))
        if frame is None or (end is not None and end <= self.start):
            raise ValueError(f"{self.path} has no frame between --start and --end: expected times within it")
        self.length = None if end is None else end - self.start
        if self.num_frames:
            rest = self.num_frames - round((self.start - whole) * self.frame_rate)
            self.num_frames = max(1, min(rest, math.ceil(self.length * self.frame_rate) if end is not None else rest))

    def _look(self, frame, stream) -> None:
        """Size and colours, from the first frame; what of it will be lost is told."""
        self.size = _upright(np.empty((frame.height, frame.width, 0)), frame).shape[:2]
        self.matrix = int(frame.colorspace)
        if self.matrix in UNTOLD:
            self.matrix = usual_matrix(frame.height, frame.width)
        if self.matrix not in MATRICES:
            raise ValueError(
                f"{self.path}: colour matrix {self.matrix} cannot be converted; expected one of "
                f"{', '.join(map(str, MATRICES))} (codes of H.273), as ffmpeg -vf zscale=matrix=709 makes"
            )
        self.primaries, self.transfer = int(frame.color_primaries), int(frame.color_trc)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        self.aspect = aspect if self.size == (frame.height, frame.width) else 1 / aspect  # of a pixel, upright
        self.hdr = hdr.told(frame)
        bits = deep_color.bits(frame.format)
        if bits > 8 and self.deep:
            self.dtype = np.dtype(np.uint16)
        elif bits > 8:
            self._say(f"its {bits} bits a channel become 8; curve and colours stay as its tags tell")
        if any(component.is_alpha for component in frame.format.components) and not _is_opaque(frame):
            self._say("its alpha channel is dropped")
        if frame.interlaced_frame:
            self._say("it is interlaced and its combs stay; better give what ffmpeg -i INPUT -vf bwdif makes of it")

    def _stream(self, container):
        stream = main_picture(container)
        if stream is None:
            raise ValueError(f"{self.path} holds no video that can be decoded: expected a video file")
        stream.thread_type = "AUTO"
        return stream

    def _say(self, what: str) -> None:
        """Tell something once, however often the clip is read."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s", self.path, what)

    def times(self) -> Iterator[Fraction]:
        """The times that `timed` will give, from the packets, in a fraction of the time that decoding takes."""
        seconds, last = [], None
        with open_input(self.path) as container:
            for told in PictureFrames(container, self._stream(container)).times():
                last = self._next(last, told)
                seconds.append(last)
        time = None
        for second in sorted(seconds):  # what comes before the start cannot be decoded, or is not asked for
            if second >= self.start and not self._is_over(second):
                time = self._time(second, time)
                yield time

    def _next(self, last: Fraction | None, told: Fraction | None) -> Fraction:
        """The seconds of a frame; where the file tells none, it follows the one before."""
        if told is not None:
            return told
        return Fraction(0) if last is None else last + 1 / self.frame_rate

    def _is_over(self, seconds: Fraction) -> bool:
        return self.length is not None and seconds - self.start >= self.length

    def _frames(self, container, pictures: PictureFrames) -> Iterator[tuple]:
        """The frames as they are decoded, and their seconds by the file's clock."""
        if self.is_trimmed and self.start and container.format.name.startswith(("mov", "matroska")):  # no jumps there
            container.seek(max(0, math.floor(self.start * av.time_base)))  # to the key frame before
        seconds = None
        for frame, told in pictures:
            seconds = self._next(seconds, told)
            if self._is_over(seconds):
                return
            if self.start is None or seconds >= self.start:
                yield frame, seconds

    def _image(self, frame, count: int, converter: VideoReformatter) -> np.ndarray:
        """A frame, the `count`-th, as it is given."""
        matrix = frame.colorspace if frame.colorspace in MATRICES else self.matrix
        if self.dtype == np.uint16:
            rgb = deep_color.to_rgb(frame, matrix, converter)
        else:
            formats = {"format": "rgb24", "src_colorspace": matrix, "interpolation": FILTER}
            rgb = converter.reformat(frame, **formats).to_ndarray()
        image = np.ascontiguousarray(_upright(rgb, frame))
        check_size(f"frame {count} of {self.path}", image.shape, self.size)
        return image

    def _read(self):
        converter = VideoReformatter()
        count, time = 0, None
        with open_input(self.path) as container:
            stream = self._stream(container)
            pictures = PictureFrames(container, stream)  # drains the decoder at the end, so the last frames come too
            frames = self._frames(container, pictures)
            while True:
                # The decoder runs some frames ahead, so an error may belong to one a little later.
                with explained(f"frame {count} of {self.path} or one soon after is damaged; expected a whole file"):
                    frame, seconds = next(frames, (None, None))
                if frame is None:
                    break
                if frame.is_corrupt and not self.damage:  # no error: recordings of broadcasts begin so
                    self.damage = f"frame {count} is damaged, the decoder guessed part of it"
                    self._say(self.damage)
                image = self._image(frame, count, converter)
                time = self._time(seconds, time)
                if pictures.clock.jumped:
                    self._say("its clock jumps; what follows is moved, sound and picture alike")
                yield image, time
                count += 1
            if self.is_trimmed:
                return
            promised = min(stream.frames, len(stream.index_entries) or stream.frames) - pictures.hidden
            if promised <= 0:
                promised = self._told(container, pictures.clock, count)
            self.is_cut_off = count < 0.9 * promised
            if self.is_cut_off:
                self.damage = f"it ends after {count} frames, and is longer by what it tells"
            if self.is_cut_off or (count < promised and stream.frames):
                self._say(f"only {count} of {promised} frames could be read; is it complete?")

    def _told(self, container, clock: Clock, count: int) -> int:
        """How many frames there would be at the pace of those that were read, up to the end that the file tells."""
        end = Fraction((container.start_time or 0) + (container.duration or 0), av.time_base)
        if clock.jumped or clock.latest <= self.start:
            return count
        return round(count * max(1, (end - self.start) / (clock.latest - self.start)))

    def _time(self, seconds: Fraction, previous: Fraction | None) -> Fraction:
        time = seconds - self.start
        exact = round(time * self.frame_rate) / self.frame_rate
        if abs(time - exact) < self.time_base:
            time = exact
        return time if previous is None or time > previous else previous + self.time_base


def _is_opaque(frame) -> bool:
    """Whether alpha is there for form's sake, as in every GIF."""
    return frame.format.name in ("bgra", "rgba") and frame.reformat(format="rgba").to_ndarray()[..., 3].min() == 255


def _upright(image: np.ndarray, frame) -> np.ndarray:
    """Turned and mirrored as the display matrix of a phone's video tells, in quarter turns."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()  # (x, y) goes to (a x + c y, b x + d y)
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
