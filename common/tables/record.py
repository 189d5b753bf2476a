"""What was measured on this machine, written into the rows: for the report, and to keep it into the csv files."""

from pathlib import Path

from common import papers
from common.tables import measurement, readme_tables, results_csv
from common.tables.measurement import Measurement
from common.tables.outcomes import Outcomes


def fill(rows: list[dict[str, str]], what: Measurement, outcome: dict) -> list[dict[str, str]]:
    """Write a measurement's numbers into its rows.

    Args:
        rows: of its paper; those of the measurement are changed.
        what: was measured.
        outcome: what came out, as in `Outcomes.measured`; where a part of a set was here, only that part's clips count.

    Returns:
        The rows that got a number.

    Raises:
        ValueError: the evaluation did not print a row's number.
    """
    done, part = [], outcome["part"]
    for row in rows:
        if measurement.of_row(what.paper, row) != what or (part is not None and row["clip"] not in part):
            continue
        if row["clip"]:
            values = outcome["clips"].get(row["protocol"], {}).get(row["clip"], {})
            value, frames = values.get(row["metric"]), values.get("frames")
        else:
            value, frames = outcome["values"].get(f"{row['protocol']} {row['metric']}", (None, None))
        if value is None:
            raise ValueError(f"{what.title}: no {row['metric']} by protocol {row['protocol']} came out")
        row |= {"measured": str(value), "frames": str(frames)} | outcome["facts"]
        row["delta"] = f"{float(value) - float(row['published']):+.5f}" if row["published"] else ""
        done.append(row)
    return done


def record(log_root: str | Path) -> None:
    """Write what was measured under a log root into the csv files, and these into the READMEs.

    What other code, versions or weights gave is left out, and told.

    Raises:
        ValueError: nothing was measured yet.
    """
    outcomes = Outcomes(log_root)
    if not outcomes.measured:
        raise ValueError(f"{outcomes.path}: nothing was measured yet; run make reproduce-tables first")
    rows = {paper: results_csv.read(paper) for paper in papers.PAPERS}
    counts = dict.fromkeys(rows, 0)
    for outcome in outcomes.measured.values():
        what = Measurement(*(outcome[field] for field in Measurement._fields))
        if what.paper not in rows or outcome.get("fingerprint") != measurement.fingerprint(what):
            print(f"{what.title}: not recorded, other code, versions or weights gave it: measure it again")
            continue
        counts[what.paper] += len(fill(rows[what.paper], what, outcome))
    for paper, count in counts.items():
        if count:
            results_csv.write_rows(paper, rows[paper])
            print(f"{paper}: {count} rows recorded in {paper}/results.csv")
    readme_tables.write()
