"""Every setting of TDAN in one dataclass, the presets, the command line, and how they meet.

What the command line gives wins over the preset; testing with `--mode` alone takes the settings that the run folder has
saved.
"""

import argparse
import math
from dataclasses import dataclass
from functools import partial

from common import cli, settings
from common.checkpoints.choose_weights import choose_weights
from common.media.frame_windows import PADDINGS
from common.ops.deform_conv import BORDERS
from common.sets import mixtures
from tdan.classical import METHODS
from tdan.model import GROUPS, INITS, SCALES
from tdan.protocols import PROTOCOLS
from tdan.sets import SETS, SUFFIXES, TRAINING_SETS, data_set

PADDING = "reflection"  # at the ends of clips, unless told otherwise
CHOICES = {"border": BORDERS, "init": INITS, "amp": cli.AMP}
LEAST = dict.fromkeys((
    "blocks_before", "blocks_after", "total_batch", "crop", "valid_every_step", "write_log_every_step",
    "save_every_step", "max_ckpt_num", "groups",
), 1) | {"batch_size": 0, "steps": 0, "epochs": 0, "max_steps": 0, "valid_samples": 0, "thread_num": -1}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of MMagic's first stage for bicubic frames."""

    project: str = "TDAN_CVPR2020"  # parent folder of the runs
    mode: str = "tdan_x4_1xb16-lr1e-4-400k_vimeo90k-bi"  # name of the run and of its checkpoints
    config: str = "tdan_x4_1xb16-lr1e-4-400k_vimeo90k-bi"  # the preset
    channels: int = 64  # of the features, a multiple of groups
    blocks_before: int = 5  # residual blocks before the alignment
    blocks_after: int = 10  # and after it
    groups: int = GROUPS  # deformable groups: channels of one move alike
    scale: int = 4  # 2 or 4
    border: str = "torchvision"  # rule of the deformable convolutions; weights that training starts from bring theirs
    add_bicubic: bool = False  # the network adds to the bicubically enlarged frame
    init: str = "mmagic"  # whose start of training: mmagic or authors
    data: str = "vimeo_bi"  # one of sets.SETS, a set of clips with _bi or _bd, or several: free_bi,drawn_bi:0.5
    prepared: bool = False  # read low-resolution frames from files, instead of making them when they are read
    manual_seed: int = 1234
    save_sample: bool = False  # sample pictures

    start_from: str = ""  # mode of the run whose newest weights training starts from; --ckpt_abs_name wins over it
    steps: int = 400_000  # 0: epochs * (clips // total_batch)
    epochs: int = 0
    max_steps: int = 0  # where the run is to end earlier; 0: all steps
    total_batch: int = 128  # samples a step over all processes
    batch_size: int = 0  # per process; 0: total_batch divided by the processes
    crop: int = 48  # side of the crops, low-resolution pixels
    flip: bool = True  # crops are mirrored and transposed at random
    thread_num: int = -1  # loader workers; -1: as many as there are cores, at most 16

    align_weight: float = 0.25  # of the alignment's loss
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    weight_decay: float = 1e-6  # added to the gradient
    milestones: tuple[float, ...] = ()  # shares of the steps after which the rate is multiplied by gamma
    gamma: float = 0.5
    ema: float = 0.0  # moving average of the weights, which is then tested and kept; 0: none
    amp: str = "off"  # auto, off, bf16, fp16
    compile: bool = False

    valid_data: str = "vid4_bi"  # one of sets.SETS, or a set of clips
    valid_samples: int = 0  # frames spread over the test set; 0: all
    valid_every_step: int = 50_000
    write_log_every_step: int = 100
    save_every_step: int = 1000  # the newest state, between checkpoints
    max_ckpt_num: int = 20  # checkpoints kept, best first

    def set_names(self) -> list[str]:
        """Of all sets that are read: those of `data`, then `valid_data`."""
        return [*(name for name, _ in mixtures.parts(self.data)), self.valid_data]

    def __post_init__(self):
        """Refuse settings that cannot be."""
        settings.check_values(self, CHOICES, LEAST)
        settings.check_average(self.ema)
        mixtures.check(self.data, SETS, suffixes=SUFFIXES)
        mixtures.check(self.valid_data, SETS, field="valid_data", suffixes=SUFFIXES)
        if self.channels < 1 or self.channels % self.groups:
            raise cli.UsageError(f"channels {self.channels}: expected a multiple of {self.groups} (groups)")
        if self.scale not in SCALES:
            raise cli.UsageError(f"scale {self.scale}: expected one of {', '.join(map(str, SCALES))}")
        if self.scale != 4 and any(name.endswith("_bd") for name in self.set_names()):
            raise cli.UsageError(f"scale {self.scale}: BD is defined for 4 only; take sets whose names end in _bi")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise cli.UsageError(f"betas {self.betas}: expected two numbers from 0 to below 1")
        if not all(0 <= value < math.inf for value in (self.weight_decay, self.align_weight)):
            raise cli.UsageError("weight_decay, align_weight: expected numbers of 0 or more")
        if not 0 < self.gamma <= 1 or not 0 < self.learning_rate < math.inf:
            raise cli.UsageError("gamma, learning_rate: expected a number above 0, up to 1, and a positive one")
        if not all(0 < share < 1 for share in self.milestones):
            raise cli.UsageError(f"milestones {self.milestones}: expected shares of the steps, between 0 and 1")
        settings.check_run_name(self.mode)


def _mmagic(degradation: str, **settings) -> Config:
    """MMagic's recipe; the weight of the alignment is what the published files were most likely trained with."""
    weight = {"bi": 0.25, "bd": 0.01}[degradation]
    return Config(data=f"vimeo_{degradation}", valid_data=f"vid4_{degradation}", align_weight=weight, **settings)


def _tiny(degradation: str) -> Config:
    """A run of minutes on a CPU, on clips that the project makes."""
    return Config(
        channels=16, blocks_before=2, blocks_after=4, data=f"vimeo_{degradation}", valid_data=f"vimeo_{degradation}",
        steps=800, milestones=(0.6, 0.8), learning_rate=1e-3, weight_decay=0.0, total_batch=8, crop=16, thread_num=1,
        valid_every_step=100, write_log_every_step=20, save_every_step=50,
    )  # fmt: skip


FIRST = "tdan_x4_1xb16-lr1e-4-400k_vimeo90k"  # MMagic's first stage
FINE = {"learning_rate": 5e-5, "weight_decay": 0.0}
PRESETS = {
    f"{FIRST}-bi": _mmagic("bi"),
    f"{FIRST}-bd": _mmagic("bd"),
    "tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi": _mmagic("bi", start_from=f"{FIRST}-bi", **FINE),
    "tdan_x4ft_1xb16-lr5e-5-800k_vimeo90k-bd": _mmagic("bd", start_from=f"{FIRST}-bd", steps=800_000, **FINE),
    "TDAN": Config(
        data="clips_bi", valid_data="clips_bi", border="tdan", init="authors", total_batch=64, steps=0, epochs=600,
        milestones=(1 / 3, 2 / 3), valid_every_step=10_000,
    ),
    # Ours, for a laptop: 320x180 to 1280x720 in less than a second on two cores, an hour of training on one.
    "TDAN_free": Config(
        channels=24, blocks_before=2, blocks_after=8, groups=2, add_bicubic=True,
        data="free_bi,drawn_bi:0.3", valid_data="real_bi", total_batch=8, crop=24,
        steps=6000, learning_rate=4e-4, weight_decay=0.0, milestones=(0.4, 0.6, 0.75, 0.85, 0.92, 0.97), ema=0.999,
        amp="auto", thread_num=1, valid_samples=24, valid_every_step=1000, save_every_step=100,
    ),
    "TDAN_tiny_bi": _tiny("bi"),
    "TDAN_tiny_bd": _tiny("bd"),
}  # fmt: skip
OF_DEGRADATION = {  # the preset whose weights are used unless told otherwise
    "bi": "tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi",
    "bd": "tdan_x4ft_1xb16-lr5e-5-800k_vimeo90k-bd",
}
preset = partial(settings.preset, PRESETS)  # the settings of a name


def build_parser() -> cli.Parser:
    """TDAN's own flags and those of every paper."""
    parser = cli.Parser(prog="tdan/run.py", description="TDAN: train, evaluate, or enlarge your own video.")
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help=f"preset: {', '.join(PRESETS)}; testing without it reads the run folder's saved one")
    add("-data", "--data", default=keep, metavar="SET",
        help=mixtures.help_text(SETS, TRAINING_SETS) + "; behind the name of a set of clips _bi or _bd")  # fmt: skip
    add("--prepared", action="store_true", default=keep,
        help="read low-resolution frames from files (datasets/README.md), instead of making them")  # fmt: skip
    add("--protocol", nargs="+", choices=PROTOCOLS, help="how to score; all that the data set has if not given")
    add("--baseline", nargs="?", const="bicubic", choices=METHODS,
        help="score or write what an enlargement without a network makes, bicubic if none is named")  # fmt: skip
    add("--export", choices=("onnx", "dynamo"), help="write the network to --output, such as tdan.onnx; dynamo: by "
        "torch.export, see the card")  # fmt: skip
    add("--export_size", metavar="WxH", help="fixed low-resolution size of the exported network; else any")
    group = parser.add_argument_group("windows and parts, in testing and with --input")
    group.add_argument("--padding", choices=PADDINGS,
        help=f"which frames stand for those before the first and after the last; {PADDING} if not given, and "
        "replicate in a clip of one or two frames")  # fmt: skip
    group.add_argument("--chop", action="store_true", help="cut frames into overlapping quarters, as the authors do")
    group.add_argument("--flips", action="store_true", help="average over mirrored frames; four times the work")
    cli.add_run_arguments(parser, "logs/TDAN_CVPR2020")
    cli.add_common_arguments(parser)
    parser.set_defaults(project=Config.project)
    return parser


def parse(argv: list[str]) -> tuple[argparse.Namespace, Config]:
    """Options of this run, and the settings.

    Raises:
        UsageError: a flag is unknown, has a wrong value, or contradicts another.
    """
    options = build_parser().parse_args(argv)
    data = getattr(options, "data", "vimeo_bi")
    mixtures.check(data, SETS, suffixes=SUFFIXES)
    of_data = OF_DEGRADATION[data_set(mixtures.parts(data)[0][0]).degradation]
    if not options.baseline:
        choose_weights(options, "tdan", of_data)
    if options.is_train and not (options.config or options.mode):
        raise cli.UsageError(f"--is_train: expected --config, one of {', '.join(PRESETS)}, or --mode of an earlier run")
    if options.mode is None:
        options.mode = options.config or of_data
    of_mode = options.mode if options.mode in PRESETS else ""
    without_run = not options.is_train and (options.ckpt_abs_name or options.baseline)
    config = settings.choose(Config, options, preset, PRESETS, of_mode or (of_data if without_run else ""))
    config = mixtures.for_testing(settings.settle(config, options), options)
    _check(options, config)
    return options, config


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    cli.check_run_options(options)
    if bool(options.output) != bool(options.input or options.export):
        raise cli.UsageError("--output goes with --input and with --export, and they need it")
    if not (options.input or options.export):
        mixtures.check_use(config.data, options.is_train, SETS, TRAINING_SETS)
    if options.chop and options.tile:
        raise cli.UsageError("--chop and --tile both cut frames into parts: give one of them")
