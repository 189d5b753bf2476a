"""Every setting of IFRNet in one dataclass, the presets, the command line, and how they meet.

What the command line gives wins over the preset; testing with `--mode` alone takes the settings that the run folder has
saved.
"""

import argparse
import dataclasses
import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from common import cli
from common.scoring.protocols import INTERPOLATION
from ifrnet.model import MULTIPLE, SIZES, multiple_of
from ifrnet.sets import SETS, TRAINING_SETS

LARGE = ("gopro", "adobe240")  # scored with weights of GoPro, which know other times than 1/2
CHOICES = {"network": SIZES, "data": SETS, "amp": ("off", "bf16", "fp16")}
LEAST = dict.fromkeys((
    "total_batch", "crop", "epochs", "valid_every_epoch", "write_log_every_step", "save_every_step", "max_ckpt_num",
), 1) | {"batch_size": 0, "max_steps": 0, "thread_num": -1}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the published training on Vimeo-90K."""

    project: str = "IFRNet_CVPR2022"  # parent folder of the runs
    mode: str = "IFRNet_Vimeo90K"  # name of the run and of its checkpoints
    config: str = "IFRNet_Vimeo90K"  # the preset
    network: str = "IFRNet"  # one of model.SIZES
    data: str = "vimeo90k"
    manual_seed: int = 1234
    save_sample: bool = False  # sample pictures

    distill: bool = True  # flow distillation; needs labels beside the frames
    total_batch: int = 24  # samples a step over all processes; the published batch
    batch_size: int = 0  # per process; 0: total_batch divided by the processes
    thread_num: int = -1  # loader workers; -1: as many as the batch has samples, at most 16
    crop: int = 224  # side of the random crop, pixels
    augment_large: float = 0.1  # chance that a sample is enlarged twice before its crop

    epochs: int = 300  # of total_batch samples a step; so the number of steps depends on the data alone,
    max_steps: int = 0  # not on the processes or their batch; 0: epochs * (samples // total_batch)
    learning_rate: float = 1e-4
    learning_rate_end: float = 1e-5  # reached along a cosine
    amp: str = "off"  # off, bf16, fp16
    compile: bool = False

    valid_every_epoch: int = 1
    write_log_every_step: int = 100
    save_every_step: int = 500  # the newest state, between checkpoints
    max_ckpt_num: int = 20  # checkpoints kept, best first

    def __post_init__(self):
        """Refuse settings that cannot be."""
        cli.check_values(self, CHOICES, LEAST)
        for name in ("learning_rate", "learning_rate_end"):
            if not 0 < getattr(self, name) < math.inf:
                raise cli.UsageError(f"{name} {getattr(self, name)}: expected a positive number")
        if self.crop % 16:
            raise cli.UsageError(f"crop {self.crop}: expected a multiple of 16")
        cli.check_run_name(self.mode)

    def to_json(self) -> str:
        """The text that the run folder keeps in config/config.txt."""
        return json.dumps(dataclasses.asdict(self), indent=4)


GOPRO = {
    "data": "gopro", "distill": False, "total_batch": 8, "epochs": 600, "valid_every_epoch": 8,
    "write_log_every_step": 50, "augment_large": 0.1,
}  # fmt: skip
# A run of minutes on a CPU, on clips that the project makes; the exact flows that come with them are the labels.
TINY = {
    "network": "IFRNet_tiny", "total_batch": 8, "crop": 64, "max_steps": 1000, "learning_rate": 1e-3,
    "valid_every_epoch": 5, "write_log_every_step": 20, "augment_large": 0.0, "thread_num": 1,
}  # fmt: skip
PRESETS = {
    "IFRNet_Vimeo90K": Config(),
    "IFRNet_L_Vimeo90K": Config(network="IFRNet_L"),
    "IFRNet_S_Vimeo90K": Config(network="IFRNet_S"),
    "IFRNet_GoPro": Config(**GOPRO),
    "IFRNet_L_GoPro": Config(network="IFRNet_L", **GOPRO),
    "IFRNet_S_GoPro": Config(network="IFRNet_S", **GOPRO),
    "IFRNet_tiny": Config(**TINY),
}


def preset(name: str) -> Config:
    """The settings of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise cli.UsageError(f"--config {name}: expected one of {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], config=name, mode=name)


def build_parser() -> cli.Parser:
    """IFRNet's own flags and those of every paper."""
    parser = cli.Parser(prog="ifrnet/run.py", description="IFRNet: train, evaluate, or put frames into your own video.")
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help=f"preset: {', '.join(PRESETS)}; testing without it reads the run folder's saved one")
    add("-data", "--data", default=keep, choices=SETS, help=f"to train on one of {', '.join(TRAINING_SETS)}, or test")
    add("--network", default=keep, choices=SIZES, help="size of the network")
    add("--protocol", nargs="+", choices=INTERPOLATION, help="how to score; all that the data set has if not given")
    add("--blend", action="store_true", help="score or write the mean of the two frames, without a network")
    add("--export", choices=("onnx",), help="write the network to --output, such as ifrnet.onnx")
    add("--export_size", metavar="WxH", help="fixed size of the exported network; else any multiples of 16")
    group = parser.add_argument_group("your own video")
    group.add_argument("--multi", type=int, help="frames for one: 2, 4 or 8, or any number with weights that know t")
    group.add_argument(
        "--fps",
        type=Fraction,
        help="frame rate of the result, such as 60 or 60000/1001; for images with --multi, of the video written",
    )
    group.add_argument("--slow", action="store_true", help="keep the frame rate: --multi 2 lasts twice as long")
    group.add_argument("--scale", type=float, default=1.0, help="of the frames that flows are estimated on: 0.5 for 4K")
    group.add_argument("--scene", type=float, default=0.5, metavar="SHARE",
        help="of the picture, 0 to 1, that motion fails to explain where two frames are a cut; 1: no cuts")  # fmt: skip
    cli.add_run_arguments(parser, "logs/IFRNet_CVPR2022")
    cli.add_common_arguments(parser)
    parser.set_defaults(project=Config.project)
    return parser


def parse(argv: list[str]) -> tuple[argparse.Namespace, Config]:
    """Options of this run, and the settings.

    Raises:
        UsageError: a flag is unknown, has a wrong value, or contradicts another.
    """
    options = build_parser().parse_args(argv)
    any_time = options.fps if options.multi is None else options.multi > 2
    many = any_time or getattr(options, "data", None) in LARGE
    if options.mode is None:
        options.mode = options.config or ("IFRNet_GoPro" if many else "IFRNet_Vimeo90K")
    saved = Path(options.log_root, options.project, options.mode, "config", "config.txt")
    if options.config:
        config = preset(options.config)
    elif saved.is_file() and not (options.is_train and options.delete_log and not options.resume):
        config = cli.read_config(Config, saved)
    elif options.mode in PRESETS:
        config = preset(options.mode)
    elif options.ckpt_abs_name or options.blend:
        config = preset("IFRNet_Vimeo90K")
    else:
        raise cli.UsageError(f"--mode {options.mode} has no saved config: add --config, one of {', '.join(PRESETS)}")
    config = cli.settle(config, options)
    _check(options, config)
    return options, config


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    actions = [f"--{name}" for name in ("is_train", "input", "export") if getattr(options, name)]
    if len(actions) > 1:
        raise cli.UsageError(f"{' and '.join(actions)} do not go together")
    if options.blend and (options.is_train or options.export):
        raise cli.UsageError("--blend has no network: it goes with testing and with --input")
    if bool(options.output) != bool(options.input or options.export):
        raise cli.UsageError("--output goes with --input and with --export, and they need it")
    if options.is_train and config.data not in TRAINING_SETS:
        raise cli.UsageError(f"--data {config.data} is for testing: train on one of {', '.join(TRAINING_SETS)}")
    if options.is_train and config.distill and config.data != "vimeo90k":
        raise cli.UsageError(f"--data {config.data} has no flow labels: add --set distill=false")
    cli.check_run_options(options)
    given = [f"--{name}" for name in ("multi", "fps", "slow") if getattr(options, name)]
    if given and not options.input:
        raise cli.UsageError(f"{given[0]} goes with --input")
    if options.input and options.multi is None and options.fps is None:
        raise cli.UsageError("--input needs --multi 2, 4 or 8, or --fps")
    if options.multi is not None and options.multi < 2:
        raise cli.UsageError(f"--multi {options.multi}: expected 2 or more")
    if options.fps is not None and options.fps <= 0:
        raise cli.UsageError(f"--fps {options.fps}: expected a positive number, such as 60 or 60000/1001")
    if not 0 < options.scale <= 4 or abs(multiple_of(options.scale) * options.scale - MULTIPLE) > 1e-6:
        raise cli.UsageError(
            f"--scale {options.scale:g}: expected 16 divided by a whole number: 1, 0.8, 0.5, 0.25, 2 ..."
        )
    if not 0 < options.scene <= 1:
        raise cli.UsageError(f"--scene {options.scene:g}: expected a share from 0 to 1")
    if options.export_size and not re.fullmatch(r"\d+x\d+", options.export_size):
        raise cli.UsageError(f"--export_size {options.export_size}: expected WxH, such as 448x256")
