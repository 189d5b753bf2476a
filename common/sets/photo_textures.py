"""Photographs as the surfaces of drawn layers, in place of those of `synthetic_textures.py`.

Files are photographs, or video clips whose every eighth frame counts as one. A surface is a random part of a random
one at a random scale, in linear light, at `DENSITY` texels a pixel like every other texture.

Shapes: h w texture size in texels.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from scipy import fft

from common.media.image import file_defect, list_frames
from common.media.video_reader import open_clip
from common.sets import synthetic_textures
from common.sets.synthetic_textures import DENSITY, GAMMA, defocused, lens_sigma

LONGEST = 2000  # pixels of a photograph's long side; larger ones are reduced as they are read
VIDEO_SUFFIX, VIDEO_STEP, VIDEO_MOST = ".mp4", 8, 32  # of a video: how far apart frames are taken, and how many
KEPT = 64  # files in memory, some 6 MB each
# Photograph pixels a texel. At the lower end a frame is as sharp as the photograph; above the upper end a small object
# would show a whole landscape.
SCALES = 0.5, 2.0
REACH = 1.6  # size of a photograph behind the scene over that of the frame, so that its mirror images are seldom seen
LINEAR = (np.arange(256) / 255).astype(np.float32) ** GAMMA


@dataclass(frozen=True)
class Photographs:
    """Where surfaces are taken from: `share` of them are photographs, the others are drawn."""

    files: tuple[Path, ...]
    share: float

    @classmethod
    def of(cls, folder: str | os.PathLike, share: float) -> "Photographs":
        """The photographs and .mp4 clips directly in a folder, in the order of their names.

        Raises:
            ValueError: there is no such folder, nothing in it, or a file that is damaged: each is read once, so that it
                is named here and not in the middle of the work.
        """
        images = list_frames(folder)
        videos = sorted(path for path in Path(folder).glob(f"*{VIDEO_SUFFIX}") if not path.name.startswith("."))
        if not images and not videos:
            raise ValueError(f"no photographs in {folder}: expected image files or {VIDEO_SUFFIX} clips")
        for path in (*images, *videos):
            _read(path)
        return cls((*images, *videos), share)

    def digest(self) -> str:
        """What tells these files, in this order, from all others: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    def surface(self, rng: np.random.Generator, h: int, w: int, mean: np.ndarray, spread: float) -> np.ndarray:
        """Like `synthetic_textures.surface`, but a photograph has its own colours and is not periodic."""
        if rng.random() >= self.share:
            return synthetic_textures.surface(rng, h, w, mean, spread)
        return self._part(rng, h, w)

    def backdrop(self, rng: np.random.Generator, height: int, width: int, mood: np.ndarray) -> np.ndarray:
        """Like `synthetic_textures.backdrop`, but larger: a photograph is made periodic by its mirror images.

        The photograph itself lies in the middle, where the camera starts.
        """
        if rng.random() >= self.share:
            return synthetic_textures.backdrop(rng, height, width, mood)
        h, w = (fft.next_fast_len(int(REACH * DENSITY * size), real=True) for size in (height, width))
        colour = defocused(self._part(rng, h, w), lens_sigma(rng), cv2.BORDER_REFLECT)
        rgba = np.dstack((colour, np.ones((h, w), np.float32)))
        top, left = h // 2, w // 2
        return cv2.copyMakeBorder(rgba, top, h - top, left, w - left, cv2.BORDER_REFLECT)

    def _part(self, rng: np.random.Generator, h: int, w: int) -> np.ndarray:
        """(h, w, 3) float32 in linear light."""
        pictures = _kept(self.files[rng.integers(len(self.files))])
        picture = pictures[rng.integers(len(pictures))]
        if rng.random() < 0.25:
            picture = np.rot90(picture, rng.choice((1, 3)))
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        largest = min(picture.shape[0] / h, picture.shape[1] / w)  # scale at which it just suffices
        low, high = min(SCALES[0], largest), min(SCALES[1], largest)
        scale = np.exp(rng.uniform(np.log(low), np.log(high)))
        size = [max(1, int(scale * n)) for n in (h, w)]
        top, left = (rng.integers(n - part + 1) for n, part in zip(picture.shape[:2], size, strict=True))
        part = LINEAR[picture[top : top + size[0], left : left + size[1]]]
        return cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)


def _read(path: Path) -> tuple[np.ndarray, ...]:
    """The photograph of an image file, upright, or frames of a video: HxWx3 uint8 RGB, at most `LONGEST` long."""
    if path.suffix.lower() == VIDEO_SUFFIX:
        return tuple(map(_reduced, islice(open_clip(path), 0, VIDEO_STEP * VIDEO_MOST, VIDEO_STEP)))
    data = path.read_bytes()
    defect = file_defect(data)
    image = None if defect else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # turns by EXIF
    if image is None:
        raise ValueError(f"{path} {defect or 'is not a readable image'}; expected a complete photograph")
    return (_reduced(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)),)


_kept = lru_cache(KEPT)(_read)


def _reduced(picture: np.ndarray) -> np.ndarray:
    factor = LONGEST / max(picture.shape[:2])
    return picture if factor >= 1 else cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
