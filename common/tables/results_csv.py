"""Tables: the rows of every paper's results.csv, and the READMEs and results/tables.md that show them.

python -m common.tables write | check

A row is one number: what was published (or, for clips that the project makes itself, recorded), under which protocol,
and what was measured here. It stands in the csv file and nowhere else; `common/reproduce.py` measures it.
"""

import csv
from pathlib import Path

from common import cli

ROOT = Path(__file__).resolve().parents[2]
PAPERS = tuple(path.parent.name for path in sorted(ROOT.glob("*/results.csv")))
COLUMNS = (
    "table", "method", "configuration", "data", "clip", "protocol", "metric", "published", "source", "measured",
    "delta", "tolerance", "frames", "checkpoint", "sha256", "command", "commit", "versions", "device", "precision",
    "date", "seconds",
)  # fmt: skip
DASH = "—"
DIGITS = {  # decimals of metrics; two of others
    "SSIM": 4, "MAE": 4, "IE": 3, "EPE": 3, "loss": 4, "image losses": 4, "regularisation": 4,
}  # fmt: skip


def read(paper: str) -> list[dict[str, str]]:
    """Rows of a paper's results.csv.

    Raises:
        ValueError: its columns are others than `COLUMNS`.
    """
    path = ROOT / paper / "results.csv"
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        return list(reader)


def write_rows(paper: str, rows: list[dict[str, str]]) -> None:
    """Write results.csv back, whole or not at all."""
    path = ROOT / paper / "results.csv"
    part = path.with_suffix(".part")
    with open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def off(row: dict[str, str]) -> bool:
    """Whether a measured value leaves its tolerance around the expected one."""
    if not row["measured"] or not row["published"] or not row["tolerance"]:
        return False
    difference = abs(float(row["measured"]) - float(row["published"]))
    return not difference <= float(row["tolerance"])  # a NaN is off, too


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


def with_table(text: str, paper: str, table: str) -> str:
    """`text` with what stands between the paper's markers replaced."""
    start, end = f"<!-- table:{paper} -->", f"<!-- /table:{paper} -->"
    if start not in text or end not in text:
        raise ValueError(f"no markers {start} ... {end}")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n{table}\n{end}{rest.split(end, 1)[1]}"


def pages() -> dict[Path, str]:
    """The texts that show tables, as they should be: each paper's card, the main README without single clips."""
    main = ROOT / "README.md"
    texts = {main: main.read_text()}
    for paper in PAPERS:
        rows, card = read(paper), ROOT / paper / "README.md"
        texts[card] = with_table(card.read_text(), paper, markdown(rows))
        texts[main] = with_table(texts[main], paper, markdown([row for row in rows if not row["clip"]]))
    return texts


def write() -> int:
    """Bring every page up to date with the csv files."""
    for page, text in pages().items():
        page.write_text(text)
    return 0


def check() -> int:
    """Fail where a page's table differs from its csv file."""
    stale = [str(page.relative_to(ROOT)) for page, text in pages().items() if page.read_text() != text]
    if stale:
        raise ValueError(f"{', '.join(stale)}: out of date; run make tables")
    return 0


def main(argv: list[str]) -> int:
    """Do what the first word says."""
    parser = cli.Parser(prog="python -m common.tables", description="Write or check the tables of the READMEs.")
    parser.add_argument("action", choices=("write", "check"))
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return {"write": write, "check": check}[parser.parse_args(argv).action]()
