"""`python -m pvdnet` does what `python pvdnet/run.py` does."""

import sys

from common import cli
from pvdnet.run import main

sys.exit(cli.run(main))
