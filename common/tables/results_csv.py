"""The rows of every paper's results.csv: reading, writing, judging and showing them.

A row is one number: what was published (or, for clips that the project makes itself, recorded), under which protocol,
and what was measured here. It stands in the csv file and nowhere else: `reproduce.py` measures it, `record.py` writes
it there, `readme_tables.py` shows it.
"""

import csv
import io

from common import papers
from common.atomic import write_text

COLUMNS = (
    "table", "method", "configuration", "data", "clip", "protocol", "metric", "published", "source", "measured",
    "delta", "tolerance", "frames", "checkpoint", "sha256", "command", "commit", "versions", "device", "precision",
    "date", "seconds",
)  # fmt: skip
TRAINED, INT8 = "trained", "int8"  # in the column `checkpoint`: trained by this command, and exported from that
MADE = (TRAINED, INT8)
BOX = "box"  # in the same column: the weights of that preset that come with the repository
HIGHER = ("PSNR", "SSIM")  # metrics that are better when higher
LOWER = ("EPE", "Fl-all", "IE", "MAE", "loss", "image losses", "regularisation")  # and when lower
DASH = "—"
DIGITS = {  # decimals of metrics; two of others
    "SSIM": 4, "MAE": 4, "IE": 3, "EPE": 3, "loss": 4, "image losses": 4, "regularisation": 4,
}  # fmt: skip


def read(paper: str) -> list[dict[str, str]]:
    """Rows of a paper's results.csv.

    Raises:
        ValueError: its columns are others than `COLUMNS`.
    """
    path = papers.ROOT / paper / "results.csv"
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        return list(reader)


def write_rows(paper: str, rows: list[dict[str, str]]) -> None:
    """Write results.csv back, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(papers.ROOT / paper / "results.csv", text.getvalue())


def title(paper: str) -> tuple[str, str]:
    """A paper's name and what it is, from the first line of its docstring: `Name: what it is.`"""
    name, _, what = papers.summary(papers.ROOT / paper).removesuffix(".").partition(": ")
    return name or paper, what


def status(row: dict[str, str]) -> str:
    """How a measured value stands to the expected one.

    Unlike kernels round otherwise, and a training or an int8 file amplifies it, to either side: there a value that is
    better than expected is no fault. All else is computed alike everywhere, so that what is better is wrong, too.

    Returns:
        "not measured"; "no tolerance": nothing to compare with; "ok"; "better": than expected by more than the
        tolerance, in a row that is trained here or quantised; "off": out of tolerance in any other way.
    """
    if not row["measured"]:
        return "not measured"
    if not row["published"] or not row["tolerance"]:
        return "no tolerance"
    difference = float(row["measured"]) - float(row["published"])
    if abs(difference) <= float(row["tolerance"]):
        return "ok"
    better = difference > 0 if row["metric"] in HIGHER else difference < 0 and row["metric"] in LOWER
    return "better" if better and row["checkpoint"] in MADE else "off"  # a NaN is off, too


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a table of paper / measured / delta, a method's metrics together; what nobody measured is a dash."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ("table", "method", "data", "clip", "protocol")), []).append(row)
    lines = [
        "| table | method | data | protocol | metric | published or recorded | measured | delta |",
        "|---" * 8 + "|",
    ]
    for (table, method, data, clip, protocol), group in groups.items():
        columns = [table, method, f"{data}: {clip}" if clip else data, protocol]
        columns.append(" / ".join(row["metric"] for row in group))
        for what in ("published", "measured", "delta"):
            cells = [cell(row, what) for row in group]
            columns.append(DASH if set(cells) == {DASH} else " / ".join(cells))
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


def cell(row: dict[str, str], what: str) -> str:
    """A row's "published", "measured" or "delta" with the metric's digits; a published one with those it came with."""
    digits = DIGITS.get(row["metric"], 2)
    if what == "published":
        digits = min(digits, len(row["published"].partition(".")[2]))
    sign = "+z" if what == "delta" else ""  # no negative zero
    return f"{float(row[what]):{sign}.{digits}f}" if row[what] else DASH
