"""The tables, measured: every row of every paper's results.csv whose data and weights are here.

python -m common.tables.reproduce                           rows on clips made here and on the real clips in the box
                                                            (minutes), then those of your data
python -m common.tables.reproduce --quick                   the first part of the former alone
python -m common.tables.reproduce --only pvdnet --data_root /data --dry-run

A row of a table "embedded" is of clips that the project makes itself: without weights, or of a network trained here
with a fixed seed. What was recorded for it stands where other rows have the published number, so that a change anywhere
in the chain leaves the tolerance. Rows are measured by the commands that a user would type, in one process, those on
the same data one after the other, sharing what they read. What is finished is not measured again while code, versions,
device and weights are the same.

What comes out is kept under the log root and shown in results/report.html, both ignored by git; `python -m
common.tables record` writes it into the csv files and the READMEs. The exit code is 1 if a value leaves its tolerance,
or an embedded row cannot be measured; what is trained here or quantised may be better by more than that, which is told.
"""

import datetime
import hashlib
import importlib
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from common import cli, papers
from common.file_cache import FILES
from common.tables import measurement, report_page, results_csv
from common.tables.measurement import LONG, Measurement
from common.tables.outcomes import Outcomes
from common.tables.record import fill
from common.tables.results_csv import INT8

QUICK = "embedded, quick"  # in the column `table`
KEPT = 2 << 30  # bytes of decoded frames and weights that rows share
USUAL = 20.0  # seconds of what was never measured, for the time left
BAR = "{desc} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left"


class Measurable(NamedTuple):
    """What can be measured, in order; what cannot: paper -> (what, why and how to get it)."""

    ready: list[Measurement]
    missing: dict[str, list[tuple[str, str]]]
    parts: dict[Measurement, set[str]]  # where only clips of a set are here, which


def measurable(rows: dict[str, list[dict[str, str]]], options) -> Measurable:
    """Tell the measurements that can be done from those that lack something.

    Args:
        rows: paper -> its rows.
        options: of the command line.
    """
    found = Measurable([], {}, {})
    for paper, own in rows.items():
        groups: dict[Measurement, list[dict[str, str]]] = {}
        for row in own:
            groups.setdefault(measurement.of_row(paper, row), []).append(row)
        for what, group in groups.items():
            if options.quick and what.tier != QUICK:
                continue
            text, clips = measurement.lacking(what, options.data_root)
            if what.tier == LONG and not options.long:
                text, clips = "a training of minutes (add --long)", set()
            if text:
                found.missing.setdefault(paper, []).append((f"{what.method} on {what.data}", text))
                found.parts[what] = clips
            if not text or any(row["clip"] in clips for row in group):
                found.ready.append(what)
    found.ready.sort(key=_turn)
    return found


def _turn(what: Measurement) -> tuple:
    """Clips made here first, in the order of the csv files; then set by set, and of one set, weights by weights."""
    if what.data == "synthetic":
        return (0, what.tier == LONG, what.tier != QUICK)
    if measurement.is_real(what.data):
        return (1, what.paper, what.data)
    folder = importlib.import_module(f"{what.paper}.tables").folder(what.data)
    return (2, folder, what.data, what.paper, what.checkpoint)


def reproduce(options) -> int:
    """Measure what can be measured, say what is missing for the rest, print the tables, write the report."""
    rows = {paper: results_csv.read(paper) for paper in options.only or papers.PAPERS}
    todo = measurable(rows, options)
    for paper, lines in todo.missing.items():
        for what, why in lines:
            print(f"{paper}: {what}: not measured, {why}")
    if options.dry_run:
        for what in todo.ready:
            print(f"{what.title}: would be measured")
        return 0
    outcomes, better, off = _measure(rows, todo, Outcomes(options.log_root, options.fresh), options)
    for paper, own in rows.items():
        print(f"\n{paper}\n{results_csv.markdown(own)}")
    everything = {paper: rows.get(paper) or results_csv.read(paper) for paper in papers.PAPERS}
    head = {"commit": measurement.commit(), "versions": measurement.versions()}
    head |= {"device": measurement.device_name(options.device), "date": datetime.date.today().isoformat()}
    report_page.write(papers.ROOT / "results", everything, outcomes, todo.missing, head)
    print(f"\nreport: {papers.ROOT / 'results/report.html'} (make record-tables keeps what was measured)")
    for line in better:
        print(f"better: {line}")
    for line in off:
        print(f"off: {line}", file=sys.stderr)
    return 1 if off else 0


def _measure(
    rows: dict[str, list[dict[str, str]]], todo: Measurable, known: Outcomes, options
) -> tuple[list[dict], list[str], list[str]]:
    """Do what can be done; the numbers go into `rows`, each outcome into the file of `known` when it is there.

    Returns:
        What came out, and a line for everything that is better than expected, and for everything that is off.
    """
    costs = {what: _cost(rows[what.paper], what) for what in todo.ready}
    outcomes, better, off = [], [], []
    bar = tqdm(total=round(sum(costs.values())), unit="s", desc="rows", disable=None, bar_format=BAR)
    with bar, FILES.keeping(KEPT):
        for number, what in enumerate(todo.ready, 1):
            left = sum(costs[other] for other in todo.ready[number - 1 :]) / 60
            tqdm.write(f"[{number}/{len(todo.ready)}, {left:.0f} min left] {what.title}", file=sys.stdout)
            try:
                outcome = _outcome(what, known, options, todo.parts.get(what))
                outcomes.append(outcome)
                done = fill(rows[what.paper], what, outcome)
                better += [_told(row) for row in done if results_csv.status(row) == "better"]
                off += [_told(row) for row in done if results_csv.status(row) == "off"]
            except Exception as error:
                if options.debug:
                    raise
                line = f"{what.title}: {' '.join(str(error).split()) or type(error).__name__}"
                tqdm.write(f"  not measured: {line}", file=sys.stdout)
                todo.missing.setdefault(what.paper, []).append((f"{what.method} on {what.data}", line))
                off += [line] if what.data == "synthetic" or measurement.is_real(what.data) else []
            bar.update(round(costs[what]))
    return outcomes, better, off


def _outcome(what: Measurement, known: Outcomes, options, part: set[str] | None) -> dict:
    """What a measurement gives, or gave before under the same conditions."""
    part = None if part is None else sorted(part)
    root = "" if what.data == "synthetic" else str(Path(options.data_root).resolve())
    place = f"{measurement.device_name(options.device)} {root}"
    conditions = {"fingerprint": measurement.fingerprint(what), "place": place, "part": part}
    key = " | ".join(what)
    before = known.measured.get(key, {})
    if not known.fresh and conditions.items() <= before.items():
        tqdm.write("  finished before (--fresh measures it again)", file=sys.stdout)
        return before
    began = time.perf_counter()
    outcome = measurement.measure(what, options, known)
    seconds = time.perf_counter() - began
    outcome |= {"facts": _facts(what, outcome["command"], seconds, options.device), "seconds": seconds}
    known.measured[key] = outcome | what._asdict() | conditions
    known.save()
    return known.measured[key]


def _facts(what: Measurement, command: str, seconds: float, device: str) -> dict[str, str]:
    """What stands in a row beside its number."""
    weights = measurement.weights(what)
    return {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else "",
        "command": command, "commit": measurement.commit(), "versions": measurement.versions(),
        "device": measurement.device_name(device), "precision": "int8" if what.checkpoint == INT8 else "float32",
        "date": datetime.date.today().isoformat(), "seconds": f"{seconds:.1f}",
    }  # fmt: skip


def _cost(rows: list[dict[str, str]], what: Measurement) -> float:
    """Seconds that it took where it was measured last."""
    own = (row["seconds"] for row in rows if measurement.of_row(what.paper, row) == what)
    return next((float(seconds) for seconds in own if seconds), USUAL)


def _told(row: dict[str, str]) -> str:
    clip = f", {row['clip']}" if row["clip"] else ""
    return (
        f"{row['method']} on {row['data']}{clip}, {row['protocol']} {row['metric']}: measured {row['measured']}, "
        f"expected {row['published']} within {row['tolerance']}"
    )


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    parser = cli.Parser(prog="python -m common.tables.reproduce", description="Measure the rows of the tables.")
    add = parser.add_argument
    add("--only", nargs="+", choices=papers.PAPERS, help="papers to measure")
    add("--quick", action="store_true", help="only the embedded rows of the first table: minutes")
    add("--long", action="store_true", help="also the embedded rows of trainings that take minutes each")
    add("--dry-run", "--dry_run", action="store_true", help="only say what would be measured and what is missing")
    add("--fresh", action="store_true", help="measure and train again what is finished")
    add("--data_root", default=str(papers.ROOT / "datasets"), help="folder of the data sets")
    add("--log_root", default=str(papers.ROOT / "logs"), help="folder of the run folders")
    add("--device", default="auto", help="cpu, cuda or auto")
    add("--debug", action="store_true", help="show the traceback of an error")
    return reproduce(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(cli.run(main))
