"""The tables, measured: every row of every paper's results.csv whose data and weights are here.

python -m common.tables.reproduce                           rows on clips made here (minutes), then those of your data
python -m common.tables.reproduce --quick                   the first part of the former alone
python -m common.tables.reproduce --only pvdnet --data_root /data --dry-run

A row of a table "embedded" is of clips that the project makes itself: without weights, or of a network trained here
with a fixed seed. What was recorded for it stands where other rows have the published number, so that a change anywhere
in the chain leaves the tolerance. Rows are measured by the commands that a user would type, in one process, those on
the same data one after the other, sharing what they read. What is finished is not measured again while code, versions,
device and weights are the same. The exit code is 1 if a value leaves its tolerance, or an embedded row cannot be
measured.
"""

import datetime
import hashlib
import importlib
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from common import cli
from common.file_cache import FILES
from common.tables import report_page, results_csv, run_row
from common.tables.run_row import INT8, LONG, ROOT, Run

QUICK = "embedded, quick"  # in the column `table`
KEPT = 2 << 30  # bytes of decoded frames and weights that rows share
USUAL = 20.0  # seconds of a run that was never measured, for the time left
BAR = "{desc} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left"


class State:
    """What was measured on this machine: a file that is written after every run.

    Args:
        path: of the file.
        fresh: measure and train all that is asked for anew, whatever the file says.
    """

    def __init__(self, path: Path, fresh: bool):
        self.path, self.fresh = path, fresh
        known = json.loads(path.read_text()) if path.is_file() else {}
        self.outcomes: dict[str, dict] = known.get("outcomes", {})
        self.trainings: dict[str, str] = known.get("trainings", {})  # what -> under which conditions it began
        self.begun: set[str] = set()  # trainings of this call

    def goes_on(self, training: str, version: str) -> bool:
        """Whether a training's run folder is of this version, so that it goes on there; else it begins anew."""
        known = self.trainings.get(training) == version and (training in self.begun or not self.fresh)
        self.begun.add(training)
        self.trainings[training] = version
        self.save()
        return known

    def save(self) -> None:
        """Write it, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"outcomes": self.outcomes, "trainings": self.trainings}, indent=1))
        part.replace(self.path)


class Plan(NamedTuple):
    """What is to be measured, in order; what is not: paper -> (what, why and how to get it)."""

    ready: list[Run]
    missing: dict[str, list[tuple[str, str]]]
    parts: dict[Run, set[str]]  # of runs for which only clips are here, which


def plan(rows: dict[str, list[dict[str, str]]], options) -> Plan:
    """Tell the runs that can be done from those that lack something.

    Args:
        rows: paper -> its rows.
        options: of the command line.
    """
    found = Plan([], {}, {})
    for paper, own in rows.items():
        runs: dict[Run, list[dict[str, str]]] = {}
        for row in own:
            runs.setdefault(run_row.of_row(paper, row), []).append(row)
        for run, group in runs.items():
            if options.quick and run.tier != QUICK:
                continue
            text, clips = run_row.lacking(run, options.data_root)
            if run.tier == LONG and not options.long:
                text, clips = "a training of minutes (add --long)", set()
            if text:
                found.missing.setdefault(paper, []).append((f"{run.method} on {run.data}", text))
                found.parts[run] = clips
            if not text or any(row["clip"] in clips for row in group):
                found.ready.append(run)
    found.ready.sort(key=_turn)
    return found


def _turn(run: Run) -> tuple:
    """Clips made here first, in the order of the csv files; then set by set, and of one set, weights by weights."""
    if run.data == "synthetic":
        return (0, run.tier == LONG, run.tier != QUICK)
    folder = importlib.import_module(f"{run.paper}.tables").folder(run.data)
    return (1, folder, run.data, run.paper, run.checkpoint)


def fill(rows: list[dict[str, str]], run: Run, outcome: dict, part: set[str] | None) -> list[dict[str, str]]:
    """Write a run's numbers into its rows.

    Args:
        rows: of its paper.
        run: what was done.
        outcome: what came out.
        part: the clips that are here, if not the whole set.

    Returns:
        The rows that got a number.

    Raises:
        ValueError: the evaluation did not print a row's number.
    """
    done = []
    for row in rows:
        if run_row.of_row(run.paper, row) != run or (part is not None and row["clip"] not in part):
            continue
        if row["clip"]:
            values = outcome["clips"].get(row["protocol"], {}).get(row["clip"], {})
            value, frames = values.get(row["metric"]), values.get("frames")
        else:
            value, frames = outcome["values"].get(f"{row['protocol']} {row['metric']}", (None, None))
        if value is None:
            raise ValueError(f"{run.title}: no {row['metric']} by protocol {row['protocol']} came out")
        row |= {"measured": str(value), "frames": str(frames)} | outcome["facts"]
        row["delta"] = f"{float(value) - float(row['published']):+.5f}" if row["published"] else ""
        done.append(row)
    return done


def facts(run: Run, outcome: dict, seconds: float, device: str) -> dict[str, str]:
    """What stands in a row beside its number."""
    path = ROOT / "ckpt" / run.checkpoint
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        "command": outcome["command"], "commit": run_row.commit(), "versions": run_row.versions(),
        "device": run_row.device_name(device), "precision": "int8" if run.checkpoint == INT8 else "float32",
        "date": datetime.date.today().isoformat(), "seconds": f"{seconds:.1f}",
    }  # fmt: skip


def reproduce(options) -> int:
    """Measure what can be measured, say what is missing for the rest, write the tables and the report."""
    rows = {paper: results_csv.read(paper) for paper in options.only or results_csv.PAPERS}
    todo = plan(rows, options)
    for paper, lines in todo.missing.items():
        for what, why in lines:
            print(f"{paper}: {what}: not measured, {why}")
    if options.dry_run:
        for run in todo.ready:
            print(f"{run.title}: would be measured")
        return 0
    state = State(Path(options.log_root, "tables/state.json"), options.fresh)
    try:
        outcomes, off = _measure(rows, todo, state, options)
    finally:
        results_csv.write()  # also after Ctrl-C: what is finished is in the csv files already
    for paper, own in rows.items():
        print(f"\n{paper}\n{results_csv.markdown(own)}")
    everything = {paper: results_csv.read(paper) for paper in results_csv.PAPERS}
    head = {"commit": run_row.commit(), "versions": run_row.versions(), "device": run_row.device_name(options.device)}
    head["date"] = datetime.date.today().isoformat()
    report_page.write(ROOT / "results", everything, outcomes, todo.missing, head)
    print(f"\nreport: {ROOT / 'results/report.html'}")
    for line in off:
        print(f"off: {line}", file=sys.stderr)
    return 1 if off else 0


def _measure(rows: dict[str, list[dict[str, str]]], todo: Plan, state: State, options) -> tuple[list[dict], list[str]]:
    """Do what is planned; each run's rows are written when it is finished.

    Returns:
        What came out of the runs, and a line for everything that is off.
    """
    costs = {run: _cost(rows[run.paper], run) for run in todo.ready}
    outcomes, off = [], []
    bar = tqdm(total=round(sum(costs.values())), unit="s", desc="rows", disable=None, bar_format=BAR)
    with bar, FILES.keeping(KEPT):
        for number, run in enumerate(todo.ready, 1):
            left, part = sum(costs[other] for other in todo.ready[number - 1 :]) / 60, todo.parts.get(run)
            tqdm.write(f"[{number}/{len(todo.ready)}, {left:.0f} min left] {run.title}", file=sys.stdout)
            try:
                outcome = _outcome(run, state, options, part)
                outcomes.append(outcome)
                off += [_told(row) for row in fill(rows[run.paper], run, outcome, part) if results_csv.off(row)]
            except Exception as error:
                if options.debug:
                    raise
                line = f"{run.title}: {' '.join(str(error).split()) or type(error).__name__}"
                tqdm.write(f"  not measured: {line}", file=sys.stdout)
                todo.missing.setdefault(run.paper, []).append((f"{run.method} on {run.data}", line))
                off += [line] if run.data == "synthetic" else []
            results_csv.write_rows(run.paper, rows[run.paper])
            bar.update(round(costs[run]))
    return outcomes, off


def _outcome(run: Run, state: State, options, part: set[str] | None) -> dict:
    """What a run measures, or measured before under the same conditions."""
    files = [path for path in [ROOT / "ckpt" / run.checkpoint] if path.is_file()]
    root = "" if run.data == "synthetic" else str(Path(options.data_root).resolve())
    where = [root, run_row.device_name(options.device), str(sorted(part or ()))]
    key, version = " | ".join(run), " ".join([run_row.fingerprint(run.paper, *files), *where])
    known = state.outcomes.get(key)
    if known and known["version"] == version and not state.fresh:
        tqdm.write("  finished before (--fresh measures it again)", file=sys.stdout)
        return known
    began = time.perf_counter()
    outcome = run_row.measure(run, options, state)
    seconds = time.perf_counter() - began
    outcome |= {"facts": facts(run, outcome, seconds, options.device), "version": version, "seconds": seconds}
    state.outcomes[key] = outcome | run._asdict()
    state.save()
    return state.outcomes[key]


def _cost(rows: list[dict[str, str]], run: Run) -> float:
    """Seconds that a run took where it was measured last."""
    return next(
        (float(row["seconds"]) for row in rows if run_row.of_row(run.paper, row) == run and row["seconds"]), USUAL
    )


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
    add("--only", nargs="+", choices=results_csv.PAPERS, help="papers to measure")
    add("--quick", action="store_true", help="only the embedded rows of the first table: minutes")
    add("--long", action="store_true", help="also the embedded rows of trainings that take minutes each")
    add("--dry-run", "--dry_run", action="store_true", help="only say what would be measured and what is missing")
    add("--fresh", action="store_true", help="measure and train again what is finished")
    add("--data_root", default=str(ROOT / "datasets"), help="folder of the data sets")
    add("--log_root", default=str(ROOT / "logs"), help="folder of the run folders")
    add("--device", default="auto", help="cpu, cuda or auto")
    add("--debug", action="store_true", help="show the traceback of an error")
    return reproduce(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(cli.run(main))
