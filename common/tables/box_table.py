"""The networks in the box against the best that needs no weights, and the published ones: results/README.md's table."""

from statistics import fmean

from common import papers
from common.checkpoints.box import boxed
from common.tables import results_csv
from common.tables.results_csv import BOX, DASH, LOWER

METRICS = {"PSNR": ("dB", 2), "EPE": ("pixels", 3)}  # that are shown, with their unit and decimals
HEAD = ("network", "on", "protocol", "best without weights", "in the box", "as published", "s a frame")
Rows = list[dict[str, str]]


def box_table() -> str:
    """A line for each network, data set and protocol that it was measured by."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for paper in papers.PAPERS:
        rows = [row for row in results_csv.read(paper) if row["metric"] in METRICS]
        for entry in boxed(paper):
            kinds = {}  # the network's rows by what they are compared by
            for row in rows:
                if row["checkpoint"] == BOX and row["measured"] and row["configuration"] == entry.path.stem:
                    kinds.setdefault((row["data"], row["protocol"], row["metric"]), []).append(row)
            for kind, own in kinds.items():
                same = [row for row in rows if (row["data"], row["protocol"], row["metric"]) == kind]
                lines.append(f"| {' | '.join((entry.path.stem, *_cells(own, same, entry.published)))} |")
    return "\n".join(lines)


def _cells(own: Rows, rows: Rows, published: str) -> tuple[str, ...]:
    """What stands in a line: where not all of a set was here, the mean over the clips that were.

    Args:
        own: the network's rows of one set, protocol and metric.
        rows: all rows of these.
        published: file of the published network that does the same.
    """
    first = own[0]
    unit, digits = METRICS[first["metric"]]
    whole = [row for row in own if not row["clip"]]
    clips = {row["clip"] for row in whole or own}
    others = {}  # method -> clip -> value
    for row in rows:
        if row["checkpoint"] == "none" and row["measured"] and row["clip"] in clips:
            others.setdefault(row["method"], {})[row["clip"]] = float(row["measured"])
    means = {method: fmean(values.values()) for method, values in others.items() if values.keys() == clips}
    best = (min if first["metric"] in LOWER else max)(means, key=means.get, default=None)
    theirs = [row["published"] for row in rows if row["checkpoint"] == published and not row["clip"]]
    seconds = float(first["seconds"]) / sum(int(row["frames"]) for row in whole or own)
    return (
        f"`{first['data']}`" + ("" if whole else f", {len(clips)} clips of it"),
        f"{first['protocol']}, {first['metric']} in {unit}",
        f"{best} {means[best]:.{digits}f}" if best else DASH,
        f"**{fmean(float(row['measured']) for row in whole or own):.{digits}f}**",
        f"{theirs[0]} (the whole set)" if theirs and theirs[0] else DASH,
        f"{seconds:.2f}",
    )
