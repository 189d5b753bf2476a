"""`python -m ifrnet` does what `python ifrnet/run.py` does."""

import sys

from common import cli
from ifrnet.run import main

sys.exit(cli.run(main))
