"""Test sets of clips, Vid4 and SPMCS-30: what a whole set holds, its low-resolution frames, a check of every frame.

<set>/GT/<clip>/00000000.png               true frames
     /{BIx4,BDx4,BIx4up_direct}/<clip>/    what is made of them, under the same names
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.degrade.by_name import degrade
from common.degrade.low_resolution import Match, difference, identify, make_low
from common.media.image import list_frames, read_image
from common.sets.vimeo90k import MARKER

# Kinds of low-resolution folders: the names of the matches (common/degrade/low_resolution.py) that belong there.
LOWS = {"BIx4": ("bi", "bi_uint8"), "BDx4": ("bd",), "BIx4up_direct": ("BI, rounded once, enlarged by 4",)}


@dataclass(frozen=True)
class Facts:
    """What is known about a clip: frames, width and height, sha256 of the pixels of its first and last frame."""

    frames: int
    size: tuple[int, int]
    digests: tuple[str, str] | None = None  # the first 16 hex digits, of HxWx3 RGB uint8


@dataclass(frozen=True)
class ClipSet:
    """A set as it was published: its clips by name, or, where the names are not known, what is alike."""

    folder: str
    instructions: str
    count: int
    clips: dict[str, Facts]
    alike: Facts | None = None

    def facts(self, clip: str) -> Facts | None:
        return self.clips.get(clip, self.alike)


def contents(folder: Path, published: ClipSet) -> ClipSet:
    """What the set in `folder` should hold; a synthetic one tells by itself.

    Raises:
        ValueError: what it tells is damaged.
    """
    marker = folder / MARKER
    if not marker.is_file():
        return published
    try:
        told = json.loads(marker.read_text())
        width, height = map(int, told["size"].split("x"))
        alike = Facts(int(told["frames"]), (width, height))
        return replace(published, count=sum(told["clips"].values()), clips={}, alike=alike)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{marker}: damaged; make the clips again (datasets/make_synthetic.py --force)") from None


def low_size(kind: str, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the frames of a folder of GT or `LOWS`, given those of the true frames."""
    return (size[0] // 4, size[1] // 4) if kind in ("BIx4", "BDx4") else size


def read_sized(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A frame, HxWx3 RGB uint8.

    Raises:
        ValueError: missing, damaged or of another width and height.
    """
    image = read_image(path)
    height, width, _ = image.shape
    if (width, height) != size:
        raise ValueError(f"{path}: {width}x{height} pixels, expected {size[0]}x{size[1]}; is it of another folder?")
    return image


# Low-resolution frames


def made_low(truth: np.ndarray, kind: str, rounding: str | None = None) -> np.ndarray:
    """The frame of a folder of `LOWS` that is made of a true one; `rounding` is BIx4's, as `imresize` takes it."""
    if kind == "BIx4up_direct":
        return degrade([truth], "bi_x4", np.random.default_rng())[0]  # no random numbers in it
    name = "bd" if kind == "BDx4" else "bi_uint8" if rounding == "per-axis" else "bi"
    return make_low(truth, name)


def match_low(low: np.ndarray, truth: np.ndarray, kind: str) -> Match:
    """What made a frame of a folder of `LOWS`; it belongs there if its name is one of those and it fits.

    Raises:
        ValueError: the frames do not belong together by size.
    """
    if kind != "BIx4up_direct":
        return identify(low, truth, first=LOWS[kind])
    if low.shape != truth.shape:
        raise ValueError(
            f"a frame of {low.shape[1]}x{low.shape[0]} pixels, but {truth.shape[1]}x{truth.shape[0]} is due"
        )
    return difference(low, made_low(truth, kind), LOWS[kind][0])


# Checking


def check(folder: Path, published: ClipSet, workers: int) -> int:
    """Read every frame; print a line a fault, what made the low-resolution frames, a summary. Returns the exit code."""
    if not (folder / "GT").is_dir():
        print(f"{folder / 'GT'}: no such folder; expected the true frames of {published.folder}")
        return 1
    clips = sorted(path.name for path in (folder / "GT").iterdir() if path.is_dir() and not path.name.startswith("."))
    found, makers = list(set_faults(folder, published, clips)), {}
    look = partial(clip_faults, folder, published)
    with ThreadPool(workers) as pool, tqdm(total=len(clips), desc=folder.name, unit="clip", disable=None) as bar:
        for clip, (faults, matches) in zip(clips, pool.imap(look, clips), strict=True):
            bar.update()
            found += faults
            for kind, match in matches.items():
                makers.setdefault((kind, str(match)), []).append(clip)
    for fault in found:
        print(fault)
    for (kind, match), of in sorted(makers.items()):
        print(f"{folder / kind}: {match} ({', '.join(of) if len(of) < 5 else f'{len(of)} clips'})")
    print(
        f"{folder}: " + (f"{len(found)} fault{'s' * (len(found) > 1)}" if found else "complete, every frame readable")
    )
    return 1 if found else 0


def set_faults(folder: Path, published: ClipSet, clips: Sequence[str]) -> Iterator[str]:
    """Clips that are too many or too few, in GT and in the low-resolution folders that are there."""
    for clip in published.clips:
        if clip not in clips:
            yield f"{folder / 'GT' / clip}: missing"
    for clip in clips:
        if published.facts(clip) is None:
            yield f"{folder / 'GT' / clip}: no clip of {published.folder}; move it away, its frames would be scored"
    if not published.clips and len(clips) != published.count:
        yield f"{folder / 'GT'}: {len(clips)} clips, expected {published.count}"
    for kind in LOWS:
        for clip in clips if (folder / kind).is_dir() else ():
            if not (folder / kind / clip).is_dir():
                yield f"{folder / kind / clip}: missing; prepare the set with --make {kind.replace('x4', '')}"


def clip_faults(folder: Path, published: ClipSet, clip: str) -> tuple[list[str], dict[str, Match]]:
    """What is wrong with the frames of one clip, and what made its low-resolution ones, by kind."""
    facts = published.facts(clip)
    if facts is None:
        return [], {}
    faults, matches = [], {}
    kinds = ["GT", *(kind for kind in LOWS if (folder / kind / clip).is_dir())]
    frames = {kind: list_frames(folder / kind / clip) for kind in kinds}
    for kind in kinds:
        if len(frames[kind]) != facts.frames:
            faults.append(f"{folder / kind / clip}: {len(frames[kind])} frames, expected {facts.frames}")
    wrong = {kind for kind in kinds if len(frames[kind]) != len(frames["GT"])}  # whose frames have no partner
    for number in range(max(map(len, frames.values()))):
        images = {}
        for kind in kinds:
            if number < len(frames[kind]):
                try:
                    images[kind] = read_sized(frames[kind][number], low_size(kind, facts.size))
                except ValueError as error:
                    faults.append(str(error))
        if "GT" in images and facts.digests and len(frames["GT"]) == facts.frames and number in (0, facts.frames - 1):
            faults += digest_faults(frames["GT"][number], images["GT"], facts.digests[number > 0])
        for kind in sorted(images.keys() - wrong - {"GT"}) if "GT" in images else ():
            match = match_low(images[kind], images["GT"], kind)
            if not (match.fits and match.name in LOWS[kind]):
                faults.append(f"{folder / kind / clip}: {match}; in {frames[kind][number].name}, expected {kind}")
                wrong.add(kind)  # one line is enough
                matches.pop(kind, None)
            elif kind not in matches or match.share > matches[kind].share:
                matches[kind] = match
    return faults, matches


def digest_faults(path: Path, image: np.ndarray, expected: str) -> Iterator[str]:
    found = hashlib.sha256(image.tobytes()).hexdigest()[:16]
    if found != expected:
        yield f"{path}: not the published pixels (sha256 {found}, expected {expected}): another frame, or compressed"
