"""Write procedural clips in the on-disk layouts of the real data sets, so that every reader runs with no download.

python datasets/make_synthetic.py --layout DVD --clips 8 --test_clips 2 --frames 40 --size 320x192
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2
from tqdm import tqdm

from common.atomic import write_bytes
from common.sets.photo_textures import Photographs
from common.sets.synthetic_layouts import LAYOUTS, Clip

VERSION = 1  # raise it whenever the same parameters give other pixels
MARKER = ".synthetic"
ADDED = ("degraded", "BIx4up_direct")  # folders that prepare_vimeo90k.py and prepare_vid4.py put into a set


def clips_of(name: str, splits: tuple[str, ...], options: argparse.Namespace) -> list[Clip]:
    frames = LAYOUTS[name].frames or options.frames or LAYOUTS[name].usual
    counts = {"train": options.clips, "test": options.test_clips}
    numbers = [(split, number) for split in splits for number in range(counts[split])]
    world = (options.height, options.width, options.seed, options.pace, options.photographs, options.blur)
    return [Clip(name, split, number, position, frames, *world) for position, (split, number) in enumerate(numbers)]


def marker_of(clips: list[Clip], splits: tuple[str, ...]) -> dict:
    clip, flow = clips[0], LAYOUTS[clips[0].layout].flow
    return {
        "made_by": "datasets/make_synthetic.py",
        "version": VERSION,
        "layout": clip.layout,
        "clips": {split: sum(c.split == split for c in clips) for split in splits},
        "frames": clip.frames,
        "size": f"{clip.width}x{clip.height}",
        "seed": clip.seed,
        "pace": clip.pace,
        # Only where they say something: sets made before there were these keys stay valid.
        **({"flow": flow} if flow else {}),
        **(
            {"textures": clip.photographs.digest(), "textures_share": clip.photographs.share}
            if clip.photographs
            else {}
        ),
        **({"blur": True} if clip.blur else {}),
    }


def count_files(folder: Path) -> int:
    """But not what other scripts add."""
    walk = os.walk(folder)
    return sum(len(files) for place, _, files in walk if not {*ADDED} & {*Path(place).relative_to(folder).parts})


def is_made(target: Path, marker: dict, force: bool) -> bool:
    """Whether `target` already holds exactly this set.

    Raises:
        ValueError: it holds something else that must not be overwritten.
    """
    if not os.path.lexists(target):
        return False
    try:
        found = json.loads((target / MARKER).read_text())
        files = found.pop("files")
    except (OSError, ValueError, KeyError, AttributeError):
        raise ValueError(f"{target} was not made by this script: move it away or choose another --root") from None
    if found == marker and files == count_files(target):
        return True
    if force:
        return False
    if found == marker:
        raise ValueError(f"{target} has lost some of its {files} files: --force makes it again")
    differing = [f"{key} {found.get(key, 'missing')}" for key in marker | found if found.get(key) != marker.get(key)]
    raise ValueError(f"{target} was made with other parameters ({', '.join(differing)}): --force replaces it")


def start_worker() -> None:
    cv2.setNumThreads(1)  # the processes share the cores already
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle


def write_clip(job: tuple[Path, Clip]) -> None:
    folder, clip = job
    LAYOUTS[clip.layout].write(folder, clip)


def make(name: str, options: argparse.Namespace) -> None:
    """Write the folders of one layout that are missing; each appears under its name only when it is complete."""
    layout, started = LAYOUTS[name], time.perf_counter()
    wanted = {}  # target: (temporary folder, clips, marker)
    for folder, splits in layout.folders.items():
        target, clips = options.root / folder, clips_of(name, splits, options)
        marker = marker_of(clips, splits)
        if is_made(target, marker, options.force):
            print(f"{name}: {target} is there already")
        else:
            wanted[target] = (target.with_name(f".{folder}.{os.getpid()}.tmp"), clips, marker)
    jobs = [(temporary, clip) for temporary, clips, _ in wanted.values() for clip in clips]
    if not jobs:
        return
    try:
        run_jobs(jobs, name, min(options.workers, len(jobs)))
        for target, (temporary, clips, marker) in wanted.items():
            if layout.write_lists:
                layout.write_lists(temporary, clips)
            marker["files"] = count_files(temporary) + 1
            write_bytes(temporary / MARKER, json.dumps(marker, indent=1).encode())
            if target.exists():  # made by this script, and --force was given
                shutil.rmtree(target)
            temporary.rename(target)
    finally:
        for temporary, _, _ in wanted.values():
            shutil.rmtree(temporary, ignore_errors=True)
    seconds = time.perf_counter() - started
    frames = sum(clip.frames for _, clip in jobs)
    where = ", ".join(map(str, wanted))
    print(
        f"{name}: {len(jobs)} clips, {frames} frames in {seconds:.1f} s, {len(jobs) / seconds:.2f} clips/s, in {where}"
    )


def run_jobs(jobs: list[tuple[Path, Clip]], name: str, workers: int) -> None:
    if workers == 1:
        cv2.setNumThreads(1)
        for job in tqdm(jobs, name, unit="clip", disable=None):
            write_clip(job)
        return
    with multiprocessing.get_context("spawn").Pool(workers, start_worker) as pool:
        for _ in tqdm(pool.imap_unordered(write_clip, jobs), name, len(jobs), unit="clip", disable=None):
            pass


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.error = lambda message: parser.exit(2, f"make_synthetic: {message}\n")
    parser.add_argument("--layout", default="DVD", choices=[*LAYOUTS, "all"])
    parser.add_argument("--clips", type=int, default=8, help="clips for training (default 8)")
    parser.add_argument("--test_clips", type=int, default=2, help="clips for testing, never the same (default 2)")
    parser.add_argument(
        "--frames",
        type=int,
        help="frames a clip, where the format leaves it open (default 40; spmcs 31, clips 9, drawn 7)",
    )
    parser.add_argument("--size", default="320x192", metavar="WxH", help="of the frames (default 320x192)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    parser.add_argument("--pace", type=float, default=1.0, help="how fast everything moves, 1 as in the real set")
    parser.add_argument(
        "--textures",
        metavar="FOLDER",
        help="photographs (or .mp4 clips) that surfaces are cut from; without, all are drawn",
    )
    parser.add_argument(
        "--textures_share", type=float, default=0.7, help="of the surfaces: so many are photographs (default 0.7)"
    )
    parser.add_argument("--blur", action="store_true", help="of layout drawn: a blurry twin of every frame too")
    parser.add_argument("--root", type=Path, default=Path("datasets"), help="where the folders go (default ./datasets)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: cores)")
    parser.add_argument("--force", action="store_true", help="replace folders that this script made before")
    options = parser.parse_args(arguments)
    try:
        options.width, options.height = (int(number) for number in options.size.split("x"))
    except ValueError:
        parser.error(f"--size {options.size}: expected WxH, as in 320x192")
    if min(options.width, options.height) < 32 or options.width % 4 or options.height % 4:
        parser.error(f"--size {options.size}: expected multiples of 4 from 32 up")
    for flag, least in (("clips", 1), ("test_clips", 1), ("frames", 1), ("seed", 0), ("workers", 1)):
        if getattr(options, flag) is not None and getattr(options, flag) < least:
            parser.error(f"--{flag} {getattr(options, flag)}: expected {least} or more")
    if not 0 < options.pace < 100:
        parser.error(f"--pace {options.pace}: expected a positive number, such as 0.5 for half as fast")
    if not 0 < options.textures_share <= 1:
        parser.error(f"--textures_share {options.textures_share}: expected a number from above 0 to 1, such as 0.7")
    if options.blur and options.layout != "drawn":
        parser.error(f"--blur: only layout drawn takes it, not {options.layout}, where the format says what is blurry")
    options.photographs = None
    if options.textures is not None:
        try:
            options.photographs = Photographs.of(options.textures, options.textures_share)
        except ValueError as error:
            parser.error(f"--textures: {error}")
    return options


def main() -> int:
    options = parse()
    names = list(LAYOUTS) if options.layout == "all" else [options.layout]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary folders are removed
    try:
        for name in names:  # every refusal comes before the first clip
            for folder, splits in LAYOUTS[name].folders.items():
                clips = clips_of(name, splits, options)
                is_made(options.root / folder, marker_of(clips, splits), options.force)
        for name in names:
            make(name, options)
    except ValueError as error:
        print(f"make_synthetic: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"make_synthetic: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make_synthetic: interrupted, the unfinished set was removed", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
