"""Videos and folders of frames that become clips: found, told apart by their bytes, divided into training and test."""

import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from common.checkpoints.download import sha256_of
from common.cli import UsageError
from common.media.image import list_frames
from common.sets.clip_files import SHORTEST

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv .y4m".split()
)


def find_sources(paths: Iterable[Path]) -> list[Path]:
    """Video files and folders of frames, in the order of their paths.

    Args:
        paths: video files; folders, in which, and below which, are videos (by their suffixes) or folders of 9 images
            or more. Hidden ones are passed over.

    Raises:
        UsageError: one is not there, or holds nothing.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_file():
            found.add(path)
            continue
        if not path.is_dir():
            raise UsageError(f"--source {path}: expected a video file, or a folder of videos or frames")
        folders = [path, *(place for place in path.rglob("*") if place.is_dir() and not _is_hidden(place, path))]
        videos = [file for folder in folders for file in folder.iterdir() if _is_video(file)]
        frames = [folder for folder in folders if len(list_frames(folder)) >= SHORTEST]
        if not videos and not frames:
            raise UsageError(
                f"--source {path}: no video in it ({' '.join(sorted(VIDEO_SUFFIXES))}), and no {SHORTEST} frames"
            )
        found |= {*videos, *frames}
    return sorted(found)


def _is_hidden(path, root):
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_video(path):
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def digest_of(source: Path) -> str:
    """sha256 of a video's bytes; of a folder of frames that of the digests of its files, in their order."""
    if source.is_file():
        return sha256_of(source)
    return hashlib.sha256("".join(map(sha256_of, list_frames(source))).encode()).hexdigest()


def stem_of(source: Path, digest: str) -> str:
    """What the names of a source's clips begin with: no other source has it."""
    name = source.stem if source.is_file() else source.name
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')[:40]}_{digest[:8]}"


def splits_of(digests: Collection[str], test_share: float) -> dict[str, str]:
    """The split of each source, drawn by its digest, so that it is the same whatever else there is.

    But of two sources or more at least one is for training and one for the test, if there is to be a test.

    Args:
        digests: sha256 of each source that has clips.
        test_share: expected share of the test, 0 to 1.
    """
    drawn = {digest: int(digest[:13], 16) / 16**13 for digest in sorted(digests, key=lambda digest: int(digest, 16))}
    splits = {digest: "test" if value < test_share else "train" for digest, value in drawn.items()}
    if len(splits) > 1 and test_share > 0:
        splits[min(drawn, key=drawn.get)] = "test"
        splits[max(drawn, key=drawn.get)] = "train"
    return splits
