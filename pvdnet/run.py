"""PVDNet's one command: train, evaluate, deblur your own video, or export.

python pvdnet/run.py --is_train --mode PVDNet_DVD --config config_PVDNet --data DVD
python pvdnet/run.py --mode PVDNet_DVD --config config_PVDNet --data DVD --ckpt_abs_name ckpt/PVDNet_DVD.pytorch
python pvdnet/run.py --input clip.mp4 --output sharp.mp4 --ckpt_abs_name ckpt/PVDNet_DVD.pytorch
python pvdnet/run.py --export onnx --output pvdnet.onnx --weights free
torchrun --nproc_per_node=2 pvdnet/run.py --is_train --mode PVDNet_DVD --config config_PVDNet -dist
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import cli
from pvdnet import config


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    options, settings = config.parse(argv)
    if options.is_train:
        from pvdnet.train import train as action
    elif options.input:
        from pvdnet.infer import infer as action
    elif options.export:
        from pvdnet.export import export as action
    else:
        from pvdnet.evaluate import evaluate as action
    return action(options, settings)


if __name__ == "__main__":
    sys.exit(cli.run(main))
