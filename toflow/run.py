"""TOFlow's one command: train, evaluate, better your own video, or export.

python toflow/run.py --is_train --config TOFlow_denoise
python toflow/run.py --task sr --data vid4
python toflow/run.py --task denoise --input noisy.mp4 --output clean.mp4
python toflow/run.py --task interp --export onnx --output toflow.onnx
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from toflow import config


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    options, settings = config.parse(argv)
    if options.is_train:
        from toflow.train import train as action
    elif options.input:
        from toflow.infer import infer as action
    elif options.export:
        from toflow.export import export as action
    else:
        from toflow.evaluate import evaluate as action
    return action(options, settings)


if __name__ == "__main__":
    sys.exit(cli.run(main))
