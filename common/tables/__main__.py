"""The tables of the READMEs.

python -m common.tables write     bring them up to date with the csv files
python -m common.tables check     fail where one is not
python -m common.tables record    write what `python -m common.tables.reproduce` measured here into the csv files first
"""

import sys

from common import cli, papers
from common.tables import readme_tables
from common.tables.record import record


def main(argv: list[str]) -> int:
    """Do what the first word says; returns the exit code."""
    parser = cli.Parser(prog="python -m common.tables", description="Write, check or renew the tables of the READMEs.")
    parser.add_argument(
        "action",
        choices=("write", "check", "record"),
        help="write: from the csv files; check: fail where one differs from them; record: write what was measured here "
        "into the csv files and the READMEs",
    )
    parser.add_argument(
        "--log_root", default=str(papers.ROOT / "logs"), help="of record: the --log_root of the measurements"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(argv)
    if options.action == "record":
        record(options.log_root)
    elif options.action == "check":
        readme_tables.check()
    else:
        readme_tables.write()
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
