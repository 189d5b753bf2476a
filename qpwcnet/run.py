"""QPWCNet's one command: train, evaluate, flow or slow motion of your own video, or export.

python qpwcnet/run.py --is_train --config pre_train
python qpwcnet/run.py --is_train --config flow
python qpwcnet/run.py --data sintel_final --ckpt_abs_name ckpt/pwc_net.pth.tar
python qpwcnet/run.py --input clip.mp4 --output flow.mp4
python qpwcnet/run.py --export int8 --calibrate clips --output flow.int8.onnx
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from qpwcnet import config


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    options, settings = config.parse(argv)
    if options.is_train:
        from qpwcnet.train import train as action
    elif options.input:
        from qpwcnet.infer import infer as action
    elif options.export:
        from qpwcnet.deploy.export import export as action
    else:
        from qpwcnet.evaluate import evaluate as action
    return action(options, settings)


if __name__ == "__main__":
    sys.exit(cli.run(main))
