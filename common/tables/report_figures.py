"""What the report shows of one evaluation: two pictures under a slider, scores of single clips, training curves.

Each function returns HTML, escaped; a picture or a line that cannot be read is left out.
"""

import base64
import json
import math
import re
from html import escape
from pathlib import Path

import cv2
import numpy as np

from common.media.flow_color import flow_to_image
from common.media.image import read_image
from common.tables import results_csv

SHOWN = 384  # pixels: smaller pictures are enlarged to this width at least
LOSSLESS = 192 * 128  # pixels: pictures up to this size are kept as PNG
MOST_CLIPS, MOST_POINTS = 64, 400
CHART = (400, 220, 52, 12, 10, 34)  # width, height, and the margins left, right, top, bottom


def sample(pictures: dict[str, str], title: str, width: int) -> str:
    """One sample: the first two pictures over each other, with a slider; the others in a strip under them.

    Args:
        pictures: label -> file.
        title: what the sample is, for those who do not see it.
        width: pictures are scaled down to it, pixels; 0 leaves them out.
    """
    images = {label: image for label, path in pictures.items() if (image := _load(path, width)) is not None}
    if not images:
        return ""
    pair, strip = list(images.items())[:2], list(images.items())[2:]
    if list(images)[:2] != list(pictures)[:2]:  # one of the two that are compared is missing
        pair, strip = [], list(images.items())
    wide, parts = max(_shown(image) for image in images.values()), []
    if len(pair) == 2:
        (before, first), (after, second) = pair
        parts.append(
            f'<div class="compare"><div class="pair" style="width:{wide}px">{_img(second, after, title, wide)}'
            f'<div class="top">{_img(first, before, title, wide)}</div><i></i></div>'
            f'<input type="range" min="0" max="100" step="0.5" value="50" style="width:{wide}px" '
            f'aria-label="{escape(title)}: border between {escape(before)} and {escape(after)}">'
            f'<p class="names" style="width:{wide}px"><span>{escape(before)}</span>'
            f"<span>{escape(after)}</span></p></div>"
        )
    small = "".join(
        f"<figure>{_img(image, label, title, wide // 2 - 5)}<figcaption>{escape(label)}</figcaption></figure>"
        for label, image in strip
    )
    parts.append(f'<div class="strip" style="width:{wide}px">{small}</div>' if small else "")
    return f'<div class="sample">{"".join(parts)}</div>'


def has_flow(pictures: dict[str, str]) -> bool:
    """Whether one of the labels names a flow in colours."""
    return any(label.lower().startswith(("flow", "motion")) for label in pictures)


def wheel() -> str:
    """The legend of flow colours."""
    y, x = np.mgrid[-60:61, -60:61] / 60
    image = flow_to_image(np.stack((x, y), -1), scale=1)
    return (
        f'<figure class="wheel"><img src="{uri(image)}" width="121" height="121" alt="wheel of flow colours">'
        "<figcaption>Colours of flow: seen from the centre of the wheel, the hue tells where a pixel moves, the "
        "saturation how far; white stands still.</figcaption></figure>"
    )


def _load(path: str, width: int) -> np.ndarray | None:
    try:
        image = read_image(path) if width else None
    except ValueError:
        return None
    return image if image is None else fitted(image, width)


def fitted(image: np.ndarray, width: int) -> np.ndarray:
    """A picture, reduced by area averaging if it is wider than `width`."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _shown(image: np.ndarray) -> int:
    """Width on the page: small pictures get a whole number of screen pixels for each of theirs."""
    width = image.shape[1]
    return width * -(-SHOWN // width) if width < SHOWN * 2 // 3 else max(width, SHOWN)


def _img(image: np.ndarray, label: str, title: str, wide: int) -> str:
    sharp = ' class="sharp"' if image.shape[1] < wide * 2 // 3 else ""  # smoothing would hide what its pixels are
    height = round(wide * image.shape[0] / image.shape[1])
    return f'<img{sharp} src="{uri(image)}" width="{wide}" height="{height}" alt="{escape(f"{title}: {label}")}">'


def uri(image: np.ndarray) -> str:
    """A picture, HxWx3 uint8, as an address that holds it: PNG if it is small, else JPEG."""
    small = image.shape[0] * image.shape[1] <= LOSSLESS
    suffix, kind, flags = (".png", "png", []) if small else (".jpg", "jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88])
    data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1]
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def clips(protocol: str, scores: dict[str, dict]) -> str:
    """Scores of single clips under one protocol; of each metric the best and the worst are marked.

    Args:
        protocol: its name.
        scores: clip -> {"frames": int, metric: value}.
    """
    metrics = list(dict.fromkeys(key for values in scores.values() for key in values if key != "frames"))
    ends = {}
    for metric in metrics:
        order = sorted(
            (clip for clip in scores if not math.isnan(scores[clip].get(metric, math.nan))),
            key=lambda clip: scores[clip][metric] * (-1 if metric in results_csv.LOWER else 1),
        )
        if order and scores[order[0]][metric] != scores[order[-1]][metric]:
            ends[metric] = order[0], order[-1]
    lines = []
    for clip, values in list(scores.items())[:MOST_CLIPS]:
        cells = "".join(_score(clip, metric, values, ends.get(metric, ())) for metric in metrics)
        lines.append(f'<tr><th scope="row">{escape(clip)}</th><td>{values.get("frames", "—")}</td>{cells}</tr>')
    if len(scores) > MOST_CLIPS:
        lines.append(f'<tr><th colspan="{len(metrics) + 2}">and {len(scores) - MOST_CLIPS} more</th></tr>')
    told = ""
    if metrics and metrics[0] in ends:
        worst, best = (f"{escape(clip)} {_text(metrics[0], scores[clip])}" for clip in ends[metrics[0]])
        told = f"; {escape(metrics[0])}: worst {worst}, best {best}"
    heads = "".join(f"<th>{escape(metric)}</th>" for metric in metrics)
    return (
        f"<details><summary>Clips, protocol {escape(protocol)}: {len(scores)}{told}</summary><table class='clips'>"
        f"<thead><tr><th>clip</th><th>frames</th>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></details>"
    )


def _text(metric: str, values: dict) -> str:
    return f"{values[metric]:.{results_csv.DIGITS.get(metric, 2)}f}" if metric in values else "—"


def _score(clip: str, metric: str, values: dict, ends: tuple) -> str:
    place = ("worst", "best")[ends.index(clip)] if clip in ends else ""
    mark = f' <small class="{place}">{place}</small>' if place else ""
    return f"<td>{_text(metric, values)}{mark}</td>"


def curves(path: str) -> str:
    """Training loss and validation score over steps, from a metrics.jsonl; what it has not is left out."""
    scalars = read_scalars(path)
    loss = _first(scalars, r"loss/itr.*train.*total", r"loss/.*train.*total", r"itr.*train", "train", r"^loss$")
    psnr, epe = _first(scalars, "itr.*valid.*psnr", "psnr"), _first(scalars, "itr.*valid.*epe", "epe")
    valid, name = (psnr, "Validation PSNR, dB") if psnr else (epe, "Validation EPE, pixels")
    drawn = (("Training loss", loss, "train"), (name, valid, "valid"))
    return "".join(_chart(title, tag, scalars[tag], kind) for title, tag, kind in drawn if tag)


def read_scalars(path: str) -> dict[str, list[tuple[float, float]]]:
    """Tag -> (step, value) in the order of steps; of a step that a resumed run repeats, the last counts.

    Lines that are no finite scalar are skipped; a file that cannot be read gives nothing.
    """
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    scalars: dict[str, dict[float, float]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            tag, step, value = str(entry["tag"]), float(entry["step"]), float(entry["value"])
        except (ValueError, KeyError, TypeError):
            continue
        if math.isfinite(step) and math.isfinite(value):
            scalars.setdefault(tag, {})[step] = value
    return {tag: sorted(values.items()) for tag, values in scalars.items()}


def thin_out(points: list) -> list:
    """At most `MOST_POINTS` of them, evenly chosen, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    return [points[number] for number in np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]


def _first(scalars: dict, *patterns: str) -> str:
    """The first tag that matches the first pattern that any matches."""
    return next((tag for pattern in patterns for tag in scalars if re.search(pattern, tag)), "")


def _chart(title: str, tag: str, points: list[tuple[float, float]], kind: str) -> str:
    width, height, left, right, top, bottom = CHART
    points = thin_out(points)
    steps, values = zip(*points, strict=True)
    (x0, x1), (y0, y1) = (steps[0], steps[-1]), (min(values), max(values))
    x0, x1 = (x0, x1) if x1 > x0 else (x0 - 1, x1 + 1)
    margin = 0.06 * (y1 - y0) or 0.1 * abs(y1) or 1
    y0, y1 = y0 - margin, y1 + margin

    def x(step: float) -> float:
        return left + (width - left - right) * (step - x0) / (x1 - x0)

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * (value - y0) / (y1 - y0)

    grid = "".join(
        f'<path class="axis" d="M{left} {y(value):.1f}H{width - right}"/>'
        f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.6g}</text>'
        for value in _ticks(y0, y1)
    ) + "".join(
        f'<path class="axis" d="M{x(step):.1f} {height - bottom}v4"/>'
        f'<text x="{x(step):.1f}" y="{height - bottom + 16}" text-anchor="middle">{_short(step)}</text>'
        for step in _ticks(x0, x1)
    )
    line = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)
    dots = "".join(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.5"/>' for a, b in points if len(points) <= 40)
    told = f"{values[0]:.4g} at step {steps[0]:.0f}, {values[-1]:.4g} at step {steps[-1]:.0f}"
    return (
        f'<figure class="chart {kind}"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}: {told}">'
        f'{grid}<path class="axis" d="M{left} {top}V{height - bottom}H{width - right}"/>'
        f'<text x="{width - right}" y="{height - 4}" text-anchor="end">step</text>'
        f'<path class="line" d="M{line}"/>{dots}</svg>'
        f"<figcaption><i></i>{title} <small><code>{escape(tag)}</code> {told}</small></figcaption></figure>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in [low, high], four to eight of them."""
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = unit * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * 0.8)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(step: float) -> str:
    return f"{step / 1000:g}k" if abs(step) >= 10000 else f"{step:g}"
