"""Published checkpoints by name; see `published`."""

import sys

from common import cli
from common.checkpoints.published import main

sys.exit(cli.run(main))
