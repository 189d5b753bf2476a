"""Small pictures for READMEs: a curve from metrics.jsonl, frames side by side with their names.

python -m common.tables.readme_pictures ...

curve RUN_FOLDER TAG OUTPUT.png [--baseline 26.15] [--label "PSNR, dB"]
sheet OUTPUT.png NAME=FRAME.png "NAME=results/*/1.png" ... [--crop X,Y,W,H] [--zoom 3]
"""

import glob
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from common import cli
from common.media.image import read_image, write_image

INK, GRID, LINE, BASE = (30, 30, 30), (225, 225, 225), (31, 90, 180), (180, 60, 40)  # RGB
SIZE = (360, 640)  # of a curve, rows and columns


def read_scalar(run_folder: str | Path, tag: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a scalar in a run folder's metrics.jsonl; what a resumed run repeats counts once.

    Raises:
        ValueError: no such scalar.
    """
    path = Path(run_folder) / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    values = {line["step"]: line["value"] for line in lines if line["tag"] == tag}
    if not values:
        raise ValueError(f"{path}: no scalar {tag}; there are {', '.join(sorted({line['tag'] for line in lines}))}")
    steps = np.array(sorted(values))
    return steps, np.array([values[step] for step in steps])


def curve(steps: np.ndarray, values: np.ndarray, *, label: str, baseline: float | None = None) -> np.ndarray:
    """Draw values over steps as a uint8 RGB picture; `baseline` is a second, level line."""
    height, width = SIZE
    left, right, top, bottom = 60, 20, 30, 40
    picture = np.full((height, width, 3), 255, np.uint8)
    everything = np.append(values, [] if baseline is None else [baseline])
    low, high = everything.min(), everything.max()
    low, high = low - 0.05 * (high - low or 1), high + 0.05 * (high - low or 1)

    def at(step: float, value: float) -> tuple[int, int]:
        x = left + (width - left - right) * (step - steps[0]) / max(steps[-1] - steps[0], 1)
        return round(x), round(height - bottom - (height - top - bottom) * (value - low) / (high - low))

    for fraction in (0, 0.25, 0.5, 0.75, 1):
        value, step = low + fraction * (high - low), steps[0] + fraction * (steps[-1] - steps[0])
        cv2.line(picture, at(steps[0], value), at(steps[-1], value), GRID, 1)
        _text(picture, f"{value:.2f}", (8, at(steps[0], value)[1] + 4))
        _text(picture, f"{step:.0f}", (at(step, low)[0] - 14, height - 18))
    if baseline is not None:
        cv2.line(picture, at(steps[0], baseline), at(steps[-1], baseline), BASE, 2, cv2.LINE_AA)
    points = np.array([at(*point) for point in zip(steps, values, strict=True)], np.int32)
    cv2.polylines(picture, [points], False, LINE, 2, cv2.LINE_AA)
    _text(picture, label, (left, 18))
    _text(picture, "iterations", (width - 90, height - 4))
    return picture


def sheet(frames: dict[str, np.ndarray], *, zoom: int = 1) -> np.ndarray:
    """Frames of one size side by side, each under its name, enlarged without smoothing."""
    parts = []
    for name, frame in frames.items():
        frame = frame.repeat(zoom, 0).repeat(zoom, 1)
        head = np.full((24, frame.shape[1], 3), 255, np.uint8)
        _text(head, name, (4, 16))
        parts += [np.concatenate((head, frame)), np.full((len(frame) + 24, 6, 3), 255, np.uint8)]
    return np.concatenate(parts[:-1], 1)


def _text(picture: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)


def _last(path: str) -> str:
    """The file itself, or of those that a pattern matches the last by name, as of dated folders."""
    return max(glob.glob(path), default=path)


def main(argv: list[str]) -> int:
    """Draw what the first word says."""
    parser = cli.Parser(prog="python -m common.tables.readme_pictures", description="Curves and side-by-side pictures.")
    kinds = parser.add_subparsers(dest="kind", required=True, parser_class=cli.Parser)
    one = kinds.add_parser("curve")
    one.add_argument("run_folder")
    one.add_argument("tag")
    one.add_argument("output")
    one.add_argument("--baseline", type=float)
    one.add_argument("--label", default="value")
    two = kinds.add_parser("sheet")
    two.add_argument("output")
    two.add_argument("frames", nargs="+", metavar="NAME=FILE")
    two.add_argument("--crop", default="", metavar="X,Y,W,H")
    two.add_argument("--zoom", type=int, default=1)
    options = parser.parse_args(argv)
    if options.kind == "curve":
        picture = curve(*read_scalar(options.run_folder, options.tag), label=options.label, baseline=options.baseline)
    else:
        frames = {name: read_image(_last(path)) for name, path in (pair.split("=", 1) for pair in options.frames)}
        if options.crop:
            x, y, w, h = (int(part) for part in options.crop.split(","))
            frames = {name: frame[y : y + h, x : x + w] for name, frame in frames.items()}
        picture = sheet(frames, zoom=options.zoom)
    write_image(options.output, picture)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
