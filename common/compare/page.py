"""A comparison as one static page: means, a curve of PSNR over time, the worst frames side by side."""

import html
import math
from pathlib import Path

import numpy as np

from common import atomic
from common.compare.judge import HIGHER, METRICS, Comparison, Row
from common.compare.temporal import PROTOCOLS
from common.tables.report_figures import fitted, uri
from common.tables.report_style import CSS

WIDTH, HEIGHT = 960, 240  # of the curve
COLOURS = ("#b4602a", "#1f5aa6")
PICTURE = 960  # pixels of width of the worst frames side by side


def number(value: float) -> str:
    """As people read it: four digits."""
    return "–" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.4g}"


def write(path: Path, comparison: Comparison, pictures: list[tuple[int, Row, np.ndarray]]) -> None:
    """Write the page.

    Args:
        path: .html file.
        comparison: what is shown.
        pictures: of the worst frames: the clip's number, the row, and the frames side by side, HxWx3 uint8.
    """
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in comparison.names)
    lines = [
        f"<tr><td>{metric} ({'higher' if metric in HIGHER else 'lower'} is better)</td>"
        + "".join(f"<td>{number(means[metric])}</td>" for means in comparison.means)
        + "</tr>"
        for metric in METRICS
    ]
    figures = []
    for k, row, image in pictures:
        told = f"{comparison.names[k]}, {row.time:.3f} s, frame {row.number}: PSNR {number(row.values[k]['PSNR'])}"
        picture = f"<img src='{uri(fitted(image, PICTURE))}' alt=''>"
        figures.append(f"<figure>{picture}<figcaption>{html.escape(told)}</figcaption></figure>")
    sources = "".join(f"<li>{p.name}: {html.escape(p.source)}</li>" for p in PROTOCOLS)
    title = " and ".join(map(html.escape, comparison.names))
    lacking = f", {comparison.unmatched} that a clip lacks" if comparison.unmatched else ""
    text = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>{CSS} img {{ max-width: 100% }}</style>
<h1>{title}</h1>
<p class="sub">{len(comparison.rows)} frames{lacking}; measures along time by {html.escape(comparison.flow)} flow</p>
<table><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>
<h2>PSNR over time</h2>{_curve(comparison)}
<h2>Worst frames</h2>{"".join(figures)}
<h2>What was measured</h2><ul><li>PSNR, SSIM: 8-bit RGB, Wang et al. 2004, mean over the frames</li>{sources}
<li>flicker: how much more mean luma changes from frame to frame than the reference's, levels</li></ul>
"""
    atomic.write_text(path, text)


def _curve(comparison: Comparison) -> str:
    values = [[(row.time, row.values[k]["PSNR"]) for row in comparison.rows] for k in range(len(comparison.names))]
    finite = [y for line in values for _, y in line if math.isfinite(y)] or [0.0]
    low, high = min(finite), max(finite)
    start, end = comparison.rows[0].time, comparison.rows[-1].time

    def place(x: float, y: float) -> str:
        y = high if math.isinf(y) else y
        across = (x - start) / (end - start) if end > start else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{10 + across * (WIDTH - 20):.1f},{HEIGHT - 20 - up * (HEIGHT - 40):.1f}"

    lines = [
        f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{' '.join(place(*p) for p in line)}'/>"
        f"<text x='10' y='{14 + 16 * k}' fill='{colour}' font-size='13'>{html.escape(name)}</text>"
        for k, (line, colour, name) in enumerate(zip(values, COLOURS[: len(values)], comparison.names, strict=True))
    ]
    lines += [
        f"<text x='{WIDTH - 10}' y='{y}' text-anchor='end' font-size='12' fill='currentColor'>{value:.2f} dB</text>"
        for y, value in ((14, high), (HEIGHT - 4, low))
    ]
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='100%'>{''.join(lines)}</svg>"
