"""The READMEs' tables from the csv files: all on the papers' pages, short ones on the main page and the box's."""

from collections import Counter
from pathlib import Path

from common import papers
from common.atomic import write_text
from common.tables import results_csv
from common.tables.box_table import box_table
from common.tables.layout import layout
from common.tables.measurement import is_real
from common.tables.results_csv import BOX, INT8, TRAINED

WEIGHTS = {
    "none": "without weights",
    TRAINED: "trained here",
    INT8: "as int8 files",
    BOX: "with the weights in the box",
}  # by the column `checkpoint`


def summary() -> str:
    """A line for each paper: how many numbers its csv file holds, how many of them were measured here, and how."""
    lines = ["| paper | rows | measured here | how |", "|---" * 4 + "|"]
    for paper in papers.PAPERS:
        rows = results_csv.read(paper)
        measured = [row for row in rows if row["measured"]]
        name, _ = results_csv.title(paper)
        columns = (f"[{name}]({paper}/README.md#table)", str(len(rows)), str(len(measured)), _how(measured))
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def _how(rows: list[dict[str, str]]) -> str:
    """On which clips and with which weights rows were measured, in words."""
    parts = []
    kinds = {"real clips": [], "clips made here": [], "the published sets": []}
    for row in rows:
        made = "clips made here" if row["data"] == "synthetic" else "the published sets"
        kinds["real clips" if is_real(row["data"]) else made].append(row["checkpoint"])
    for clips, own in kinds.items():
        counts = Counter(WEIGHTS.get(checkpoint, "with published weights") for checkpoint in own)
        if counts:
            parts.append(f"on {clips}: " + ", ".join(f"{count} {weights}" for weights, count in counts.items()))
    return "; ".join(parts) or results_csv.DASH


def between(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers `<!-- name -->` and `<!-- /name -->`, in place of what stood there.

    Raises:
        ValueError: no such markers.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no markers {start} ... {end}")
    return f"{before}{start}\n{table}\n{end}{after}"


def pages() -> dict[Path, str]:
    """The texts that show tables, as they should be: the main README, each paper's page, and that of the box.

    Raises:
        ValueError: a page without the markers between which its table stands.
    """
    parts = {
        papers.ROOT / "README.md": {"tables": summary(), "layout": layout()},
        papers.ROOT / "results/README.md": {"box": box_table()},
    }
    for paper in papers.PAPERS:
        page = papers.ROOT / paper / "README.md"
        parts[page] = {f"table:{paper}": results_csv.markdown(results_csv.read(paper))}
    texts = {}
    for page, tables in parts.items():
        try:
            texts[page] = page.read_text()
            for name, table in tables.items():
                texts[page] = between(texts[page], name, table)
        except ValueError as error:
            raise ValueError(f"{page}: {error}") from error
    return texts


def write() -> None:
    """Bring every page up to date with the csv files."""
    for page, text in pages().items():
        if text != page.read_text():
            write_text(page, text)


def check() -> None:
    """Compare every page with the csv files.

    Raises:
        ValueError: a page's table is another; the line names the page.
    """
    stale = [str(page.relative_to(papers.ROOT)) for page, text in pages().items() if page.read_text() != text]
    if stale:
        raise ValueError(f"{', '.join(stale)}: out of date; run make tables")
