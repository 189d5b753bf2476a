"""The tables of the pages; see `results_csv`."""

import sys

from common import cli
from common.tables.results_csv import main

sys.exit(cli.run(main))
