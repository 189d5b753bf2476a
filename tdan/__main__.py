"""`python -m tdan` does what `python tdan/run.py` does."""

import sys

from common import cli
from tdan.run import main

sys.exit(cli.run(main))
