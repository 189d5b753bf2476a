"""Judge two clips: python -m common.compare A.mp4 B.mp4 [--truth T.mp4] [--output FOLDER] [--split split.mp4].

Without --truth the first clip is the reference. --output gets page.html, with a curve and the worst frames, and
frames.csv; --split a clip of both, the left half of the first and the right half of the second.
"""

import csv
import io
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from common import atomic, cli
from common.compare import page
from common.compare.judge import METRICS, Comparison, compare, moments, worst
from common.media.classical_flow import FLOWS
from common.media.side_by_side import one_picture
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer

WORST = 10  # frames of each clip on the page


def parse(argv: list[str]):
    """The options."""
    parser = cli.Parser(prog="python -m common.compare", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("first", help="a video file, a folder of frames, or a quoted pattern")
    add("second", help="likewise")
    add("--truth", help="likewise; else the first clip is the reference")
    add("--flow", default="dis", choices=FLOWS, help="of the measures along time")
    add("--output", type=Path, help="folder for page.html and frames.csv")
    add("--split", help="video or folder to write: both clips in one picture")
    add("--overwrite", action="store_true", help="replace what is there")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Compare, tell and write."""
    options = parse(argv)
    files = [options.output / name for name in ("page.html", "frames.csv")] if options.output else []
    if there := next((path for path in files if path.exists() and not options.overwrite), None):
        raise cli.UsageError(f"{there} exists: give another --output, or --overwrite")
    with ExitStack() as stack:
        writer = None
        if options.split:
            reader = open_clip(options.first)
            writer = open_writer(options.split, frame_rate=reader.frame_rate, like=reader, overwrite=options.overwrite)
            stack.enter_context(writer)
        show = (lambda frames: writer.write(one_picture(*frames[-2:], "split"))) if writer else (lambda frames: None)
        found = compare(options.first, options.second, options.truth, flow=options.flow, show=show)
    print_table(found)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        atomic.write_text(files[1], table(found))
        page.write(files[0], found, worst_pictures(found, options))
        print(f"page and numbers of every frame -> {options.output}")


def print_table(found: Comparison) -> None:
    """Tell the means."""
    told = f", {found.unmatched} without a partner" if found.unmatched else ""
    print(f"{len(found.rows)} frames{told}; along time by {found.flow} flow")
    for metric in METRICS:
        both = zip(found.names, found.means, strict=True)
        print(f"{metric:12s}", "  ".join(f"{name}: {page.number(means[metric])}" for name, means in both))


def table(found: Comparison) -> str:
    """The numbers of every frame as csv."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["frame", "seconds", *(f"{name} {metric}" for name in found.names for metric in METRICS)])
    for row in found.rows:
        out.writerow([row.number, row.time, *(values[metric] for values in row.values for metric in METRICS)])
    return text.getvalue()


def worst_pictures(found: Comparison, options) -> list:
    """Clip, row and picture of the worst frames; the clips are read once more, so that no frames had to be kept."""
    wanted = {(k, row.number): row for k in range(len(found.names)) for row in worst(found, k, WORST)}
    numbers, pictures = {number for _, number in wanted}, {}
    paths = [path for path in (options.truth, options.first, options.second) if path]
    for number, _, frames in moments(paths):
        if number in numbers:
            clips = enumerate(frames[-len(found.names) :])
            pictures |= {(k, number): np.hstack((frames[0], clip)) for k, clip in clips if (k, number) in wanted}
    return [(k, row, pictures[k, number]) for (k, number), row in wanted.items()]


if __name__ == "__main__":
    sys.exit(cli.run(main))
