"""The report of what was measured: tables.md, tables.json, and report.html, one page that needs no other file.

Pictures lie in the page as data URIs, training curves as SVG; it loads nothing and works without a network.
"""

import json
import math
import re
from html import escape
from pathlib import Path

from common.atomic import write_bytes
from common.tables import report_figures as figures
from common.tables import results_csv
from common.tables.measurement import Measurement, of_row
from common.tables.report_style import CSS, SCRIPT
from common.tables.results_csv import DASH, LOWER, status

GROUP = ("table", "method", "configuration", "data", "clip", "protocol")
PROVENANCE = (
    "source", "frames", "checkpoint", "sha256", "command", "commit", "versions", "device", "precision", "date",
    "seconds",
)  # fmt: skip
MOST_BYTES = 8_000_000  # of the page
WIDTHS = (480, 320, 200, 0)  # of its pictures, pixels: the first with which it is small enough; 0 leaves them out
MOST_SAMPLES = 2  # of an evaluation
WHEEL = "<!--wheel-->"  # where the legend of flow colours may stand; escaped text never holds it


def write(
    folder: Path,
    rows: dict[str, list[dict[str, str]]],
    outcomes: list[dict],
    missing: dict[str, list[tuple[str, str]]],
    facts: dict[str, str],
) -> None:
    """Write tables.md, tables.json and report.html, each whole or not at all.

    Args:
        folder: where; made if it is not there.
        rows: paper -> rows of its results.csv, with `results_csv.COLUMNS`; what is not known is empty, shown as a dash.
        outcomes: evaluations: "paper", "method", "configuration", "data", "checkpoint", "tier", "seconds", "command",
            "clips" {protocol: {clip: {"frames": int, metric: float}}}, "pictures" [{label: file} a sample; the
            first two labels are compared], "curves" (a metrics.jsonl, or ""). A picture or a line that cannot be
            read is left out.
        missing: paper -> (what was not measured, why and how to get it); a command may stand between backticks.
        facts: name -> value for the head of the page, such as commit, versions, device, date, command.
    """
    papers = list(dict.fromkeys([*rows, *missing, *(outcome["paper"] for outcome in outcomes)]))
    own = {paper: [outcome for outcome in outcomes if outcome["paper"] == paper] for paper in papers}
    head = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    parts = [f"## {results_csv.title(paper)[0]}\n\n{results_csv.markdown(rows.get(paper, []))}" for paper in papers]
    everything = {
        paper: {
            "rows": rows.get(paper, []),
            "outcomes": [{k: v for k, v in one.items() if k not in ("pictures", "curves")} for one in own[paper]],
            "missing": missing.get(paper, []),
        }
        for paper in papers
    }
    text = json.dumps(_finite({"facts": facts, "papers": everything}), indent=1, ensure_ascii=False, allow_nan=False)
    for width in WIDTHS:
        page = _page(papers, rows, own, missing, facts, width).encode()
        if len(page) <= MOST_BYTES:
            break
    write_bytes(folder / "tables.md", ("\n\n".join(["# Tables", head, *parts]) + "\n").encode())
    write_bytes(folder / "tables.json", (text + "\n").encode())
    write_bytes(folder / "report.html", page)


def _finite(value):
    """The same with inf and nan as text: JSON has no numbers for them."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _page(papers: list[str], rows: dict, own: dict, missing: dict, facts: dict, width: int) -> str:
    """The whole page with pictures at most `width` pixels wide."""
    names = {paper: f"paper-{number}" for number, paper in enumerate(papers)}
    counts = "".join(
        f'<tr><th scope="row"><a href="#{names[paper]}">{escape(results_csv.title(paper)[0])}</a></th>'
        f"{_counts(rows.get(paper, []))}</tr>"
        for paper in papers
    )
    everything = [row for paper in papers for row in rows.get(paper, [])]
    states = [status(row) for row in everything]
    out, missed = states.count("off"), states.count("not measured")
    better = f", <b>{count}</b> better than that" if (count := states.count("better")) else ""
    body = "".join(
        f'<section id="{names[paper]}"><h2>{escape(results_csv.title(paper)[0])}</h2>'
        f'<p class="sub">{escape(results_csv.title(paper)[1])}</p>'
        f"{_tables(rows.get(paper, []), own[paper], names[paper])}"
        f"{_outcomes(own[paper], names[paper], width)}</section>"
        for paper in papers
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>videoref: what was measured</title>
<style>{CSS}</style></head><body>
<header><h1>videoref: what was measured</h1>
<p>Reference implementations of five video papers, evaluated by the papers’ own protocols. Each number stands beside
the one that was published or, for clips that the project makes itself, recorded.</p>
<p class="summary"><b>{len(states) - missed}</b> of {len(states)} rows measured: <b>{states.count("ok")}</b> within
tolerance{better}, <b{' class="bad"' if out else ""}>{out}</b> out, <b>{states.count("no tolerance")}</b> without
a tolerance. <b>{missed}</b> <a href="#missing">not measured</a>.</p>
<table class="counts"><thead><tr><th>paper</th><th>rows</th><th>measured</th><th>within</th><th>better</th><th>out</th>
<th>not measured</th></tr></thead><tbody>{counts}</tbody></table>
<details><summary>How to read the tables</summary><p>delta: measured minus published or recorded. ok: it is not larger
than the tolerance; off: it is; better: it is, to the good side, in a row that is trained here or quantised, where
unlike processors give unlike numbers. A dash: not known, or not measured. Higher is better, but for
{", ".join(LOWER)} lower is.</p></details>
{_facts(facts)}</header>
<main>{body.replace(WHEEL, figures.wheel(), 1).replace(WHEEL, "")}
<section id="missing"><h2>Not measured</h2>{_missing(missing)}</section></main>
<script>{SCRIPT}</script></body></html>
"""


def _counts(rows: list[dict[str, str]]) -> str:
    states = [status(row) for row in rows]
    numbers = {name: states.count(name) for name in ("ok", "better", "off", "not measured")}
    cells = (len(states), len(states) - numbers["not measured"], *numbers.values())
    marks = ["", "", "", "", ' class="bad"' if numbers["off"] else "", ""]
    return "".join(f"<td{mark}>{number}</td>" for mark, number in zip(marks, cells, strict=True))


def _tables(rows: list[dict[str, str]], outcomes: list[dict], name: str) -> str:
    """A paper's rows, a table for each value of the column `table`; rows of single clips are folded."""
    keys = Measurement._fields[1:]
    links = {tuple(one[key] for key in keys): f"#{name}-{number}" for number, one in enumerate(outcomes)}
    parts = []
    for title in dict.fromkeys(row["table"] for row in rows):
        whole = [row for row in rows if row["table"] == title and not row["clip"]]
        single = [row for row in rows if row["table"] == title and row["clip"]]
        parts.append(f"<h3>Table: {escape(title or DASH)}</h3>{_table(whole, links) if whole else ''}")
        if single:
            states = [status(row) for row in single]
            out = f', <b class="bad">{states.count("off")} out</b>' if "off" in states else ""
            measured = len(states) - states.count("not measured")
            parts.append(
                f"<details><summary>Single clips: {len(single)} rows, {measured} measured{out}"
                f"</summary>{_table(single, links)}</details>"
            )
    return "".join(parts) or "<p>No rows.</p>"


def _table(rows: list[dict[str, str]], links: dict[tuple, str]) -> str:
    groups: dict[tuple, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in GROUP), []).append(row)
    known = [row for row in rows if row["published"]]
    basis = "recorded" if known and all(row["source"].startswith("recorded") for row in known) else "published"
    heads = "".join(f"<th>{one}</th>" for one in ("metric", basis, "measured", "delta", "tolerance", "status"))
    return (
        f'<table class="rows"><thead><tr><th class="method">method, data, protocol</th>{heads}</tr></thead>'
        f"{''.join(_group(group, links) for group in groups.values())}</table>"
    )


def _group(rows: list[dict[str, str]], links: dict[tuple, str]) -> str:
    """The metrics of one method on one set under one protocol."""
    first = rows[0]
    keys = PROVENANCE if any(row["measured"] for row in rows) else ("source",)
    kept = {key: " / ".join(dict.fromkeys(row[key] for row in rows if row[key])) for key in keys}
    name, *about = (first[key] for key in ("clip", "method", "data", "protocol", "configuration") if first[key])
    link = links.get(of_row("", first)[1:])
    more = f"<details><summary>provenance</summary>{_facts(kept)}</details>" if any(kept.values()) else ""
    jump = f'<a href="{link}">clips, pictures</a>' if link else ""
    method = (
        f'<th scope="rowgroup" class="method" rowspan="{len(rows)}">{escape(name)}'
        f"<small>{escape(' · '.join(about))}</small><small>{jump} {more}</small></th>"
    )
    lines = []
    for number, row in enumerate(rows):
        state, digits = status(row), _digits(row)
        mark = {"ok": "✓ ok", "better": "✓ better", "off": "✗ off", "not measured": DASH}.get(state, state)
        delta = f"{float(row['delta']):+z.{digits}f}".replace("-", "−") if row["delta"] else DASH
        cells = (
            escape(row["metric"]), _number(row["published"], min(digits, _decimals(row["published"]))),
            _number(row["measured"], digits), delta,
            f"±{escape(row['tolerance'])}" if row["tolerance"] else DASH, mark,
        )  # fmt: skip
        text = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr class="{state.replace(" ", "-")}">{"" if number else method}{text}</tr>')
    return f"<tbody>{''.join(lines)}</tbody>"


def _digits(row: dict[str, str]) -> int:
    """Decimals for a metric; enough to see what its tolerance allows."""
    return max(results_csv.DIGITS.get(row["metric"], 2), _decimals(row["tolerance"]))


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _number(text: str, digits: int) -> str:
    return f"{float(text):.{digits}f}" if text else DASH


def _facts(facts: dict[str, str]) -> str:
    said = []
    for name, value in facts.items():
        shown = f"<code>{escape(value)}</code>" if name == "command" else escape(value)
        said.append(f"<dt>{escape(name)}</dt><dd>{shown}</dd>" if value else "")
    return f"<dl>{''.join(said)}</dl>"


def _code(text: str) -> str:
    """Escaped text with its commands marked: what stands between backticks, and a call of a Python file or module."""
    option = r"(?: --?[a-zA-Z][\w-]*(?:[ =][\w./:-]*\w)?)*"
    call = rf"python3? (?:-m [\w.]*\w|[\w./-]+\.py){option}"
    parts = re.split(rf"`([^`]+)`|({call})", text)  # plain, quoted, call, plain, ...
    return "".join(
        f"<code>{escape(part)}</code>" if part and number % 3 else escape(part or "")
        for number, part in enumerate(parts)
    )


def _missing(missing: dict[str, list[tuple[str, str]]]) -> str:
    """What was not measured, those with one reason together."""
    parts = []
    for paper, pairs in missing.items():
        reasons: dict[str, list[str]] = {}
        for what, why in pairs:
            reasons.setdefault(why, []).append(what)
        said = "".join(
            f"<dt>{_code(why)}</dt><dd><ul>{''.join(f'<li>{escape(one)}</li>' for one in whats)}</ul></dd>"
            for why, whats in reasons.items()
        )
        parts.append(f'<h3>{escape(results_csv.title(paper)[0])}</h3><dl class="missing">{said}</dl>' if said else "")
    return "".join(parts) or "<p>Nothing is missing.</p>"


def _outcomes(outcomes: list[dict], name: str, width: int) -> str:
    """Pictures, clips and curves of a paper's evaluations; a training that several share is drawn once."""
    parts, drawn = [], {""}
    for number, one in enumerate(outcomes):
        title = f"{one['method']} on {one['data']}"
        samples = one["pictures"][:MOST_SAMPLES] if width else []
        pictures = "".join(
            figures.sample(sample, f"{title}, sample {count}", width) for count, sample in enumerate(samples, 1)
        )
        legend = WHEEL if any(figures.has_flow(sample) for sample in samples) and pictures else ""
        curves = "" if one["curves"] in drawn else figures.curves(one["curves"])
        drawn.add(one["curves"])
        clips = "".join(figures.clips(protocol, scores) for protocol, scores in one["clips"].items())
        about = [one["tier"], one["configuration"], one["checkpoint"], f"{one['seconds']:.0f} s"]
        blocks = "".join(f'<div class="grid">{block}</div>' for block in (pictures + legend, curves) if block)
        parts.append(
            f'<article id="{name}-{number}"><h3>{escape(title)}</h3>'
            f'<p class="sub">{" · ".join(escape(text) for text in about if text)}<br>'
            f"<code>{escape(one['command'])}</code></p>{blocks}{clips}</article>"
        )
    return "".join(parts)
