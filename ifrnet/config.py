"""Every setting of IFRNet in one dataclass, the presets, the command line, and how they meet.

What the command line gives wins over the preset; testing with `--mode` alone takes the settings that the run folder has
saved.
"""

import argparse
import math
from dataclasses import dataclass
from functools import partial

from common import cli, settings
from common.checkpoints.choose_weights import choose_weights
from common.media import frame_rate
from common.scoring.protocols import INTERPOLATION
from common.sets import mixtures
from ifrnet.model import MULTIPLE, SIZES, multiple_of
from ifrnet.sets import CLIPS, SETS, TRAINING_SETS

LARGE = ("gopro", "adobe240")  # scored with weights of GoPro, which know other times than 1/2
CHOICES = {"network": SIZES, "init": ("pytorch", "kaiming"), "amp": cli.AMP}
LEAST = dict.fromkeys((
    "total_batch", "crop", "epochs", "valid_every_epoch", "write_log_every_step", "save_every_step", "max_ckpt_num",
), 1) | {"batch_size": 0, "max_steps": 0, "thread_num": -1, "max_distance": 2, "warmup": 0, "valid_samples": 0,
    "believe_labels": 0}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the published training on Vimeo-90K."""

    project: str = "IFRNet_CVPR2022"  # parent folder of the runs
    mode: str = "IFRNet_Vimeo90K"  # name of the run and of its checkpoints
    config: str = "IFRNet_Vimeo90K"  # the preset
    network: str = "IFRNet"  # one of model.SIZES
    data: str = "vimeo90k"  # one of sets.SETS, a set of clips, or several to train on: free,drawn:0.5
    valid_data: str = ""  # set that validates; empty: the (first) one that is trained on
    init: str = "pytorch"  # start of training: pytorch, as published, or kaiming, from which motion is seen sooner
    manual_seed: int = 1234
    save_sample: bool = False  # sample pictures

    distill: bool = True  # flow distillation; needs labels beside the frames
    believe_labels: int = 0  # steps in which labels count in full, however far the flows are from them
    total_batch: int = 24  # samples a step over all processes; the published batch
    batch_size: int = 0  # per process; 0: total_batch divided by the processes
    thread_num: int = -1  # loader workers; -1: as many as there are cores, at most 16
    crop: int = 224  # side of the random crop, pixels
    max_distance: int = 8  # of the inputs, frames, in clips without flow
    max_motion: float = math.inf  # of clips with flow, pixels from the middle to an end; others are left out
    reduce: float = 0.0  # chance that a clip is reduced to half its size before its crop
    augment_large: float = 0.1  # chance that a sample is enlarged twice before its crop

    epochs: int = 300  # of total_batch samples a step; so the number of steps depends on the data alone,
    max_steps: int = 0  # not on the processes or their batch; 0: epochs * (samples // total_batch)
    learning_rate: float = 1e-4
    learning_rate_end: float = 1e-5  # reached along a cosine
    warmup: int = 0  # steps in which the rate rises from 0
    ema: float = 0.0  # moving average of the weights, which is then tested and kept; 0: none
    amp: str = "off"  # auto, off, bf16, fp16
    compile: bool = False

    valid_every_epoch: int = 1
    valid_samples: int = 0  # spread over the test set; 0: all
    write_log_every_step: int = 100
    save_every_step: int = 500  # the newest state, between checkpoints
    max_ckpt_num: int = 20  # checkpoints kept, best first

    def __post_init__(self):
        """Refuse settings that cannot be."""
        settings.check_values(self, CHOICES, LEAST)
        settings.check_average(self.ema)
        mixtures.check(self.data, SETS, suffixes=CLIPS)
        if self.valid_data:
            mixtures.check(self.valid_data, SETS, field="valid_data", suffixes=CLIPS)
        for name in ("learning_rate", "learning_rate_end"):
            if not 0 < getattr(self, name) < math.inf:
                raise cli.UsageError(f"{name} {getattr(self, name)}: expected a positive number")
        if self.crop % 16:
            raise cli.UsageError(f"crop {self.crop}: expected a multiple of 16")
        settings.check_run_name(self.mode)


GOPRO = {
    "data": "gopro", "distill": False, "total_batch": 8, "epochs": 600, "valid_every_epoch": 8,
    "write_log_every_step": 50, "augment_large": 0.1,
}  # fmt: skip
# A run of minutes on a CPU, on clips that the project makes; the exact flows that come with them are the labels.
TINY = {
    "network": "IFRNet_tiny", "total_batch": 8, "crop": 64, "max_steps": 1000, "learning_rate": 1e-3,
    "valid_every_epoch": 5, "write_log_every_step": 20, "augment_large": 0.0, "thread_num": 1,
}  # fmt: skip
# Ours, in the box: sized for a laptop, trained on real clips and on photographs that move.
FREE = {
    "network": "IFRNet_free", "init": "kaiming", "data": "drawn,free:0.3", "valid_data": "real", "total_batch": 8,
    "crop": 96, "max_motion": 12.0, "max_distance": 6, "augment_large": 0.0, "thread_num": 0, "believe_labels": 12_000,
    "max_steps": 16_000, "learning_rate": 5e-4, "learning_rate_end": 1e-5, "warmup": 100, "ema": 0.999, "amp": "auto",
    "valid_every_epoch": 20, "valid_samples": 24, "write_log_every_step": 20, "save_every_step": 200,
}  # fmt: skip
PRESETS = {
    "IFRNet_Vimeo90K": Config(),
    "IFRNet_L_Vimeo90K": Config(network="IFRNet_L"),
    "IFRNet_S_Vimeo90K": Config(network="IFRNet_S"),
    "IFRNet_GoPro": Config(**GOPRO),
    "IFRNet_L_GoPro": Config(network="IFRNet_L", **GOPRO),
    "IFRNet_S_GoPro": Config(network="IFRNet_S", **GOPRO),
    "IFRNet_tiny": Config(**TINY),
    "IFRNet_free": Config(**FREE),
}
preset = partial(settings.preset, PRESETS)  # the settings of a name


def build_parser() -> cli.Parser:
    """IFRNet's own flags and those of every paper."""
    parser = cli.Parser(prog="ifrnet/run.py", description="IFRNet: train, evaluate, or put frames into your own video.")
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help=f"preset: {', '.join(PRESETS)}; testing without it reads the run folder's saved one")
    add("-data", "--data", default=keep, metavar="SET", help=mixtures.help_text(SETS, TRAINING_SETS))
    add("--network", default=keep, choices=SIZES, help="size of the network")
    add("--protocol", nargs="+", choices=INTERPOLATION, help="how to score; all that the data set has if not given")
    add("--blend", action="store_true", help="score or write the mean of the two frames, without a network")
    add("--dis", action="store_true", help="score or write what DIS flow from both sides makes, without a network")
    add("--export", choices=("onnx", "dynamo"), help="write the network to --output, such as ifrnet.onnx; dynamo: by "
        "torch.export, see the card")  # fmt: skip
    add("--export_size", metavar="WxH", help="fixed size of the exported network; else any multiples of 16")
    group = parser.add_argument_group("your own video")
    frame_rate.add_arguments(group)
    group.add_argument("--scale", type=float, default=1.0, help="of the frames that flows are estimated on: 0.5 for 4K")
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
    usual = "IFRNet_GoPro" if many else "IFRNet_Vimeo90K"
    if not (options.blend or options.dis):
        choose_weights(options, "ifrnet", usual)
    if options.mode is None:
        options.mode = options.config or usual
    of_mode = options.mode if options.mode in PRESETS else ""
    otherwise = of_mode or ("IFRNet_Vimeo90K" if options.ckpt_abs_name or options.blend or options.dis else "")
    config = settings.choose(Config, options, preset, PRESETS, otherwise)
    config = settings.settle(config, options)
    _check(options, config)
    return options, config


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    cli.check_run_options(options, ("blend", "dis"))
    if bool(options.output) != bool(options.input or options.export):
        raise cli.UsageError("--output goes with --input and with --export, and they need it")
    if not (options.input or options.export):
        mixtures.check_use(config.data, options.is_train, SETS, TRAINING_SETS)
    unlabelled = [name for name, _ in mixtures.parts(config.data) if name in SETS and name != "vimeo90k"]
    if options.is_train and config.distill and unlabelled:
        raise cli.UsageError(f"--data {unlabelled[0]} has no flow labels: add --set distill=false")
    given = [f"--{name}" for name in ("multi", "slow") if getattr(options, name)]
    if given and not options.input:
        raise cli.UsageError(f"{given[0]} goes with --input")
    if options.input and options.multi is None and options.fps is None:
        raise cli.UsageError("--input needs --multi 2, 4 or 8, or --fps")
    frame_rate.check_arguments(options)
    check_scale(options.scale)


def check_scale(scale: float) -> None:
    """Refuse a scale at which no size fits the network.

    Raises:
        UsageError: it is one.
    """
    if not 0 < scale <= 4 or abs(multiple_of(scale) * scale - MULTIPLE) > 1e-6:
        raise cli.UsageError(f"--scale {scale:g}: expected 16 divided by a whole number: 1, 0.8, 0.5, 0.25, 2 ...")
