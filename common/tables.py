"""Tables: measure the rows of every paper's results.csv, write them into the READMEs, check that they agree.

python -m common.tables measure [--only pvdnet] [--data_root DIR] [--dry_run] [--fresh]
python -m common.tables write | check

A row is one number: what was published (or, for clips that the project makes itself, recorded), under which protocol,
and what was measured here. A paper's `tables.py` tells what a row lacks and measures the rows of one run.
"""

import csv
import datetime
import hashlib
import importlib
import platform
import subprocess
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from common import cli

ROOT = Path(__file__).resolve().parents[1]
PAPERS = tuple(path.parent.name for path in sorted(ROOT.glob("*/results.csv")))
COLUMNS = (
    "table", "method", "config", "data", "protocol", "metric", "expected", "source", "tolerance", "checkpoint",
    "measured", "frames", "sha256", "command", "commit", "torch", "device", "date",
)  # fmt: skip
DASH = "—"


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
    if not row["measured"] or not row["expected"] or not row["tolerance"]:
        return False
    return abs(float(row["measured"]) - float(row["expected"])) > float(row["tolerance"])


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a table of paper / measured / delta, a method's metrics together; what nobody measured is a dash."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ("table", "method", "data", "protocol")), []).append(row)
    lines = [
        "| table | method | data | protocol | metric | published or recorded | measured | delta |",
        "|---" * 8 + "|",
    ]
    for key, group in groups.items():
        cells = [[_cell(row, what) for row in group] for what in ("expected", "measured", "delta")]
        texts = [DASH if set(values) == {DASH} else " / ".join(values) for values in cells]
        lines.append("| " + " | ".join([*key, " / ".join(row["metric"] for row in group), *texts]) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, str], what: str) -> str:
    """A number with the metric's digits; a published one with no more than were published."""
    digits = {"SSIM": 4, "IE": 3, "EPE": 3}.get(row["metric"], 2)
    published = min(digits, len(row["expected"].partition(".")[2])) if row["expected"] else digits
    if what == "delta":
        both = row["expected"] and row["measured"]
        return f"{float(row['measured']) - float(row['expected']):+.{digits}f}" if both else DASH
    return f"{float(row[what]):.{published if what == 'expected' else digits}f}" if row[what] else DASH


def with_table(text: str, paper: str, table: str) -> str:
    """`text` with what stands between the paper's markers replaced."""
    start, end = f"<!-- table:{paper} -->", f"<!-- /table:{paper} -->"
    if start not in text or end not in text:
        raise ValueError(f"no markers {start} ... {end}")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n{table}\n{end}{rest.split(end, 1)[1]}"


def pages(paper: str) -> list[Path]:
    """The texts that show a paper's table: its card, and the main README."""
    return [ROOT / paper / "README.md", ROOT / "README.md"]


def write() -> int:
    """Bring every page up to date with the csv files."""
    for paper in PAPERS:
        for page in pages(paper):
            page.write_text(with_table(page.read_text(), paper, markdown(read(paper))))
    return 0


def check() -> int:
    """Fail where a page's table differs from its csv file."""
    stale = [
        page
        for paper in PAPERS
        for page in pages(paper)
        if page.read_text() != with_table(page.read_text(), paper, markdown(read(paper)))
    ]
    if stale:
        raise ValueError(f"{', '.join(str(page.relative_to(ROOT)) for page in stale)}: out of date; run make tables")
    return 0


def measure(options) -> int:
    """Measure what can be measured, say what is missing for the rest; 1 if a value leaves its tolerance."""
    failed = []
    for paper in options.only or PAPERS:
        tables = importlib.import_module(f"{paper}.tables")
        rows = read(paper)
        runs: dict[tuple, list[dict]] = {}
        for row in rows:
            runs.setdefault((row["method"], row["config"], row["data"], row["checkpoint"]), []).append(row)
        missing = {key: tables.missing(*key, options) for key in runs}
        for key, what in missing.items():
            if what:
                print(f"{paper}: {key[0]} on {key[2]}: not measured, {what}")
        ready = [key for key, what in missing.items() if not what]
        for key in tqdm(ready if not options.dry_run else [], desc=f"{paper} rows", unit="run", disable=None):
            print(f"{paper}: measuring {key[0]} on {key[2]}", flush=True)
            values, facts = tables.measure(*key, options)
            facts |= {"commit": _commit(), "torch": torch.__version__, "date": datetime.date.today().isoformat()}
            facts["device"] = facts.get("device", platform.machine())
            for row in runs[key]:
                row |= {name: str(value) for name, value in facts.items()}
                row["measured"], row["frames"] = values[row["protocol"], row["metric"]]
            write_rows(paper, rows)
        print(markdown(rows))
        failed += [row for key in ready for row in runs[key] if off(row)]
    if not options.dry_run:
        write()
    for row in failed:
        print(
            f"off: {row['method']} on {row['data']}, {row['protocol']} {row['metric']}: measured {row['measured']}, "
            f"expected {row['expected']} within {row['tolerance']}",
            file=sys.stderr,
        )
    return 1 if failed else 0


def run_command(script: str, argv: list[str], hide: str = "\0") -> list[str]:
    """Run a paper's command line in a process of its own, showing what it prints; returns its lines.

    Args:
        script: such as "pvdnet/run.py".
        argv: its arguments.
        hide: lines that begin so are not shown.

    Raises:
        ValueError: it failed.
    """
    process = subprocess.Popen([sys.executable, ROOT / script, *argv], stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if not line.startswith(hide):
            print(f"  {line.rstrip()}", flush=True)
    if process.wait():
        raise ValueError(f"{script} {' '.join(argv)}: ended with exit code {process.returncode}")
    return lines


def run_row(
    script: str, config: str, data: str, checkpoint: str, options, *, clips: list[str], stands_for: str,
    trained: list[str], baseline: list[str], export: list[str] | None = None, place: str = "synthetic",
    hide: str = "\0",
) -> tuple[list[str], dict[str, str]]:  # fmt: skip
    """Evaluate what a row names by the command that a user would type.

    Args:
        script: the paper's, such as "pvdnet/run.py".
        config: the row's, as are `data` and `checkpoint` ("trained", "none" or a file in ckpt/).
        data: "synthetic" makes clips first.
        checkpoint: see `config`.
        options: of `measure`.
        clips: arguments of datasets/make_synthetic.py.
        stands_for: the set in whose layout the clips are.
        trained: arguments that train and test the embedded run.
        baseline: arguments of the row without weights.
        export: arguments that export the embedded run; what they have behind `--output` is tested in its place.
        place: folder in the data root where the clips lie; papers whose clips differ need one each.
        hide: lines of output that begin so are not shown.

    Returns:
        The lines that the evaluation prints, and facts for the row's other columns.
    """
    root = Path(options.data_root)
    if data == "synthetic":
        root, data = root / place, stands_for
        subprocess.run([sys.executable, ROOT / "datasets/make_synthetic.py", *clips, "--root", root], check=True)
    where = ["--data_root", str(root), "--log_root", options.log_root, "--device", options.device]
    facts = {}
    if checkpoint == "trained":
        command = [*trained, *where]
        run_command(script, ["--is_train", *command, *(["-dl"] if options.fresh else ["-r", "auto"])])
        if export:
            run_command(script, [*trained, *export, *where])
            command += ["--ckpt_abs_name", export[export.index("--output") + 1]]
    elif checkpoint == "none":
        command = [*baseline, "--data", data, *where]
    else:
        path = ROOT / "ckpt" / checkpoint
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        command = ["--mode", path.stem, "--config", config, "--data", data, *where, "--ckpt_abs_name", str(path)]
    lines = run_command(script, command, hide)
    facts["command"] = " ".join(["python", script, *(part.replace(f"{ROOT}/", "") for part in command)])
    return lines, facts


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def main(argv: list[str]) -> int:
    """Do what the first word says."""
    parser = cli.Parser(prog="python -m common.tables", description="Measure, write or check the tables.")
    parser.add_argument("action", choices=("measure", "write", "check"))
    parser.add_argument("--only", nargs="+", choices=PAPERS, help="papers to measure")
    parser.add_argument("--data_root", default=str(ROOT / "datasets"), help="folder of the data sets")
    parser.add_argument("--log_root", default=str(ROOT / "logs"), help="folder of the run folders")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--dry_run", action="store_true", help="only say what would be measured and what is missing")
    parser.add_argument("--fresh", action="store_true", help="train the embedded rows anew")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(argv)
    return {"measure": lambda: measure(options), "write": write, "check": check}[options.action]()


if __name__ == "__main__":
    sys.exit(cli.run(main))
