"""What is PVDNet's own in measuring its rows of results.csv; see common/tables/measurement.py."""

from common.sets.clips import is_clip_set
from pvdnet.classical import FILTERS
from pvdnet.sets import find_videos

COMMAND = "pvdnet/run.py"
PLACE = "synthetic"
CLIPS = {"DVD": "--layout DVD --clips 32 --test_clips 4 --frames 27 --size 192x128 --pace 0.5".split()}
VIDEOS = {"DVD": 10, "nah": 11}  # of the published test sets
PICTURED = ()  # it always writes all of them
PICTURES = {"blurry": "png/input/*/*.png", "result": "png/output/*/*.png", "truth": "png/gt/*/*.png"}


def folder(data: str) -> str:
    """Of a set, in the data root."""
    return data if is_clip_set(data) else f"test_{data}"


def found(data: str, data_root: str) -> tuple[list[str], str]:
    """Names of a set's clips that are here, and what of the whole set is not; ValueError if nothing is."""
    names = [video.name for video in find_videos(data_root, data, "test")]
    whole = VIDEOS.get(data, len(names))
    return names, "" if len(names) == whole else f"{len(names)} of {whole} videos"


def stands_for(preset: str) -> str:
    """The set in whose layout a row's clips are made."""
    return "DVD"


def baseline(preset: str) -> list[str]:
    """Arguments of a row without weights."""
    if preset in FILTERS:
        return ["--identity", preset, "--mode", preset, "--config", "config_PVDNet"]
    return ["--identity", "--mode", "identity", "--config", preset]


def trained(preset: str) -> list[str]:
    """Arguments that choose a network trained here."""
    return ["--mode", preset.removeprefix("config_"), "--config", preset, "--data", "DVD"]
