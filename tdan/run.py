"""TDAN's one command: train, evaluate, enlarge your own video, or export.

python tdan/run.py --is_train --config tdan_x4_1xb16-lr1e-4-400k_vimeo90k-bi
python tdan/run.py --data vid4_bi
python tdan/run.py --input small.mp4 --output large.mp4
python tdan/run.py --export onnx --output tdan.onnx
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from tdan import config


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    options, settings = config.parse(argv)
    if options.is_train:
        from tdan.train import train as action
    elif options.input:
        from tdan.infer import infer as action
    elif options.export:
        from tdan.export import export as action
    else:
        from tdan.evaluate import evaluate as action
    return action(options, settings)


if __name__ == "__main__":
    sys.exit(cli.run(main))
