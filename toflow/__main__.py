"""`python -m toflow` does what `python toflow/run.py` does."""

import sys

from common import cli
from toflow.run import main

sys.exit(cli.run(main))
