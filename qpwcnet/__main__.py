"""`python -m qpwcnet` does what `python qpwcnet/run.py` does."""

import sys

from common import cli
from qpwcnet.run import main

sys.exit(cli.run(main))
