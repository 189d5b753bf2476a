"""IFRNet's one command: train, evaluate, put frames into your own video, or export.

python ifrnet/run.py --is_train --config IFRNet_Vimeo90K
python ifrnet/run.py --data vimeo90k --ckpt_abs_name ckpt/IFRNet_Vimeo90K.pth
python ifrnet/run.py --input clip.mp4 --output smooth.mp4 --multi 2
python ifrnet/run.py --export onnx --output ifrnet.onnx
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from ifrnet import config


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    options, settings = config.parse(argv)
    if options.is_train:
        from ifrnet.train import train as action
    elif options.input:
        from ifrnet.infer import infer as action
    elif options.export:
        from ifrnet.export import export as action
    else:
        from ifrnet.evaluate import evaluate as action
    return action(options, settings)


if __name__ == "__main__":
    sys.exit(cli.run(main))
