"""Every setting of QPWCNet in one dataclass, the presets, the command line, and how they meet.

Runs have numbers, as the original's: `run/000`, `run/001` ... A training takes the next one; testing takes the newest,
or the newest of the preset that `--config` names; `--mode 003` takes that one. What the command line gives wins over
the preset.
"""

import argparse
import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import cli, settings
from common.checkpoints.choose_weights import choose_weights
from common.media import frame_rate
from common.scoring.protocols import INTERPOLATION
from common.sets import mixtures
from common.training.run_folder import numbered_runs
from qpwcnet.classical import CLASSICAL
from qpwcnet.losses import FLOW_LOSSES
from qpwcnet.model import ACTIVATIONS, FILTERS, FLOW_ORDERS, MATCHES, MULTIPLE
from qpwcnet.protocols import FLOW
from qpwcnet.pwcnet import MULTIPLE as PWC_MULTIPLE
from qpwcnet.pwcnet import VARIANTS
from qpwcnet.schedule import SCHEDULES
from qpwcnet.sets import FLOW_SETS, SETS, TRAINING_SETS, TRIPLET_SETS

INITS = ("keras", "kaiming")
TASKS = ("flow", "interp")
NETWORKS = ("QPWCNet", *VARIANTS)
LOSSES = (*FLOW_LOSSES, "pwc", "pwc_robust")
EXPORTS = ("onnx", "dynamo", "int8", "tflite")
SETS_OF = {"flow": FLOW_SETS, "interp": TRIPLET_SETS}
CHOICES = {
    "task": TASKS, "network": NETWORKS, "activation": ACTIVATIONS, "flow_order": FLOW_ORDERS, "init": INITS,
    "match": MATCHES, "loss": LOSSES, "schedule": SCHEDULES, "amp": cli.AMP,
}  # fmt: skip
LEAST = dict.fromkeys((
    "epochs", "total_batch", "valid_every_epoch", "write_log_every_step", "save_every_step", "max_ckpt_num",
), 1) | {"batch_size": 0, "max_steps": 0, "valid_samples": 0, "thread_num": -1, "max_distance": 1}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the original's interpolation pretraining."""

    project: str = "QPWCNet/run"  # parent folder of the runs
    mode: str = ""  # name of the run and of its checkpoints; empty: a training takes the next number
    config: str = "pre_train"  # the preset
    task: str = "interp"  # what is trained: flow, or interp, the pretraining by interpolation
    network: str = "QPWCNet"  # or one of pwcnet.VARIANTS, for flow
    filters: tuple[int, ...] = FILTERS  # of QPWCNet's encoder
    activation: str = "mish"  # of QPWCNet: mish, leaky_relu or hard_swish
    flow_order: str = "original"  # original or fixed, see model.py
    scale_size: tuple[int, ...] = ()  # height, width: flows are scaled as for that size; empty: as for their own
    match: str = "product"  # of features: product, or cosine, which learns sooner where pictures are photographs
    frozen_norm: bool = False  # train with the running statistics that the start has measured, not with a batch's
    init: str = "keras"  # start of QPWCNet's training: keras, as published, or kaiming, which learns faster
    quantise: bool = False  # train with the rounding of the int8 file
    data: str = "vimeo90k"  # one of sets.SETS, a set of clips, or several to train on: free,drawn:0.5
    valid_data: str = ""  # set that validates; empty: the (first) one that is trained on
    manual_seed: int = 1234
    save_sample: bool = False  # sample pictures

    start_from: str = ""  # preset whose newest run's weights training starts from; --ckpt_abs_name wins over it
    input_shape: tuple[int, ...] = (256, 512)  # height, width of the samples
    base_scale: float = 1.0  # of flow pairs before their crop
    max_distance: int = 2  # in clips, of both frames to the one in the middle, or to that which flow goes to
    augment: bool = True
    epochs: int = 600  # of total_batch samples a step
    max_steps: int = 0  # 0: epochs * (samples // total_batch)
    total_batch: int = 8  # samples a step over all processes
    batch_size: int = 0  # per process; 0: total_batch divided by the processes
    thread_num: int = -1  # loader workers; -1: as many as there are cores, at most 16

    loss: str = "huber"  # of flow: huber, l2, robust, or PWC-Net's pwc, pwc_robust
    learning_rate: float = 1e-4
    schedule: str = "constant"  # constant, piecewise, cyclic
    milestones: tuple[float, ...] = ()  # shares of the steps after which the rate is halved
    epsilon: float = 1e-7  # of Adam
    weight_decay: float = 0.0  # added to the gradient, beside QPWCNet's own L2 penalty
    clip_factor: float = 0.01  # of adaptive gradient clipping; 0: none
    ema: float = 0.0  # moving average of the weights, which is then tested and kept; 0: none
    amp: str = "off"  # auto, off, bf16, fp16
    compile: bool = False

    valid_every_epoch: int = 1
    valid_samples: int = 0  # spread over the test set; 0: all
    write_log_every_step: int = 256
    save_every_step: int = 1000  # the newest state, between checkpoints
    max_ckpt_num: int = 20  # checkpoints kept, best first

    def __post_init__(self):
        """Refuse settings that cannot be."""
        settings.check_values(self, CHOICES, LEAST)
        settings.check_average(self.ema)
        for name in ("data", "valid_data"):
            if getattr(self, name) or name == "data":
                mixtures.check(getattr(self, name), SETS_OF[self.task], field=f"task {self.task}: {name}")
        if self.network != "QPWCNet" and (self.task != "flow" or self.quantise):
            raise cli.UsageError(f"network {self.network} is trained for flow only, and not quantised in training")
        if (self.network == "QPWCNet") == self.loss.startswith("pwc"):
            raise cli.UsageError(f"loss {self.loss} does not fit {self.network}: pwc and pwc_robust are PWC-Net's")
        if len(self.filters) != len(FILTERS) or min(self.filters) < 1:
            raise cli.UsageError(f"filters {self.filters}: expected {len(FILTERS)} positive numbers")
        size, multiple = self.input_shape, self.multiple
        if len(size) != 2 or min(size) < multiple or any(side % multiple for side in size):
            raise cli.UsageError(f"input_shape {size}: expected height,width in multiples of {multiple}")
        if self.scale_size and (len(self.scale_size) != 2 or min(self.scale_size) < 1):
            raise cli.UsageError(f"scale_size {self.scale_size}: expected height,width, or nothing")
        for name in ("learning_rate", "base_scale", "epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise cli.UsageError(f"{name} {getattr(self, name)}: expected a positive number")
        if not all(0 <= value < math.inf for value in (self.weight_decay, self.clip_factor)):
            raise cli.UsageError("weight_decay, clip_factor: expected numbers of 0 or more")
        if not all(0 < share < 1 for share in self.milestones):
            raise cli.UsageError(f"milestones {self.milestones}: expected shares of the steps, between 0 and 1")
        if self.mode:
            settings.check_run_name(self.mode)

    @property
    def multiple(self) -> int:
        """Of which the sides of the network's input must be multiples."""
        return MULTIPLE if self.network == "QPWCNet" else PWC_MULTIPLE


FLOW_TRAINING = {"task": "flow", "data": "things", "valid_data": "sintel_final", "total_batch": 16, "base_scale": 0.56}
# PWC-Net's training on FlyingChairs, then the fine-tuning on Sintel.
CHAIRS = {
    "task": "flow", "network": "PWC-Net", "data": "chairs", "valid_data": "chairs", "loss": "pwc",
    "input_shape": (320, 448), "max_steps": 1_200_000, "milestones": (1 / 3, 1 / 2, 2 / 3, 5 / 6), "epsilon": 1e-8,
    "weight_decay": 4e-4, "clip_factor": 0.0, "write_log_every_step": 100,
}  # fmt: skip
SINTEL = {
    "data": "sintel_final", "valid_data": "sintel_final", "loss": "pwc_robust", "input_shape": (384, 768),
    "total_batch": 4, "learning_rate": 1e-5, "max_steps": 500_000, "milestones": (0.3, 0.5, 0.6, 0.7, 0.8, 0.9),
}  # fmt: skip
# Runs of minutes on a CPU, on clips that the project makes. Without --set they are those of the table.
TINY = {
    "filters": (16, 16, 24, 32, 48), "activation": "hard_swish", "init": "kaiming", "flow_order": "fixed",
    "scale_size": (4, 6), "input_shape": (64, 96), "augment": False, "learning_rate": 1.5e-3,
    "milestones": (0.5, 0.65, 0.8, 0.9, 0.95), "clip_factor": 0.0, "total_batch": 4, "thread_num": 1,
    "valid_every_epoch": 2, "write_log_every_step": 20, "save_every_step": 60,
}  # fmt: skip
FREE = {
    "task": "flow", "data": "drawn", "filters": (16, 24, 48, 96, 128), "activation": "leaky_relu", "init": "kaiming",
    "match": "cosine", "frozen_norm": True, "amp": "auto", "flow_order": "fixed", "scale_size": (8, 12),
    "input_shape": (96, 128), "loss": "l2", "learning_rate": 7e-4,
    "milestones": (0.5, 0.65, 0.8, 0.9, 0.95), "clip_factor": 0.02, "ema": 0.999, "max_steps": 5000, "thread_num": 1,
    "valid_every_epoch": 10, "valid_samples": 48, "write_log_every_step": 100, "save_every_step": 500,
    "max_ckpt_num": 5,
}  # fmt: skip
TINY_FLOW = TINY | {"task": "flow", "data": "chairs", "valid_data": "chairs", "loss": "l2"}
PRESETS = {
    "pre_train": Config(),
    "flow": Config(**FLOW_TRAINING),
    "flow_fine": Config(**FLOW_TRAINING, start_from="pre_train"),
    # With an activation that int8 computes fast, and then with int8's rounding.
    "pre_train_int8": Config(activation="leaky_relu", flow_order="fixed"),
    "flow_int8": Config(**FLOW_TRAINING, activation="leaky_relu", start_from="pre_train_int8"),
    "flow_int8_qat": Config(
        **FLOW_TRAINING, activation="leaky_relu", start_from="flow_int8", quantise=True, epochs=10, learning_rate=1e-5
    ),
    "pwcnet_chairs": Config(**CHAIRS),
    "pwcnet_sintel": Config(**CHAIRS | SINTEL, start_from="pwcnet_chairs"),
    "pre_train_tiny": Config(**TINY | {"learning_rate": 3e-3}, max_steps=420),
    "flow_tiny": Config(**TINY_FLOW, max_steps=480),
    "flow_tiny_fine": Config(**TINY_FLOW | {"learning_rate": 5e-4}, max_steps=480, start_from="pre_train_tiny"),
    # Of an hour on a core: the weights that come with the repository. Leaky ReLU, so that it goes to int8.
    "QPWCNet_free": Config(**FREE),
    "flow_tiny_qat": Config(**TINY_FLOW | {"learning_rate": 2e-4}, max_steps=90, start_from="flow_tiny", quantise=True),
}
preset = partial(settings.preset, PRESETS)  # the settings of a name


def newest_run(folder: Path, name: str | None) -> str | None:
    """The newest numbered run with saved settings, of the preset `name` if that is given; None: there is none."""
    for run in reversed(numbered_runs(folder)):
        file = folder / run / "config/config.txt"
        if file.is_file() and name in (None, settings.read(Config, file).config):
            return run
    return None


def build_parser() -> cli.Parser:
    """QPWCNet's own flags and those of every paper."""
    parser = cli.Parser(
        prog="qpwcnet/run.py", description="QPWCNet and PWC-Net: train, evaluate, flow of your own video, or export."
    )
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help=f"preset: {', '.join(PRESETS)}; testing without it takes the newest run")
    add("-data", "--data", default=keep, metavar="SET", help=mixtures.help_text(SETS, TRAINING_SETS))
    add("--task", default=keep, choices=TASKS, help="optical flow, or the frame between two frames")
    add("--network", default=keep, choices=NETWORKS, help="which network to train; weights tell theirs")
    add("--protocol", nargs="+", choices=(*FLOW, *INTERPOLATION), help="how to score; the set's own if not given")
    add("--baseline", nargs="?", const="plain", choices=("plain", *CLASSICAL), help="score, without a network, zero "
        "flow or the mean of the two frames; or the flow of OpenCV's DIS or Farnebäck")  # fmt: skip
    group = parser.add_argument_group(
        "your own video", "--flo and --arrows go with --task flow, --multi and --slow with --task interp"
    )
    group.add_argument("--flo", metavar="DIR", help="write the flows there as .flo files, too")
    group.add_argument("--arrows", action="store_true", help="draw arrows onto the colours of the flow")
    frame_rate.add_arguments(group)
    group = parser.add_argument_group("deployment")
    group.add_argument("--export", choices=EXPORTS, help="write the network to --output, with a report beside it")
    group.add_argument("--export_size", metavar="WxH", help="size of the exported network's frames; input_shape if not")
    group.add_argument("--calibrate", metavar="DIR", help="clips that tell the ranges of an int8 network's values")
    cli.add_run_arguments(parser, f"logs/{Config.project}")
    cli.add_common_arguments(parser)
    parser.set_defaults(project=Config.project)
    return parser


def parse(argv: list[str]) -> tuple[argparse.Namespace, Config]:
    """Options of this run, and the settings.

    Raises:
        UsageError: a flag is unknown, has a wrong value, or contradicts another.
    """
    options = build_parser().parse_args(argv)
    folder = Path(options.log_root, options.project)
    begins = options.is_train and not options.resume
    if options.mode is None:
        by_file = options.baseline or (options.ckpt_abs_name and not options.config)  # no run has a part in it
        options.mode = "" if begins or by_file else newest_run(folder, options.config) or ""
    if (options.weights or not options.mode) and not options.baseline:
        interp = options.input and (options.multi or options.slow)
        choose_weights(options, "qpwcnet", "flow", "interp" if interp else "flow")
    if options.is_train and not (options.config or options.mode):
        raise cli.UsageError(f"--is_train: expected --config, one of {', '.join(PRESETS)}, or --mode of an earlier run")
    if options.is_train or (options.mode and not (options.ckpt_abs_name or options.baseline)):
        otherwise = ""  # a run has to tell
    else:
        otherwise = "pwcnet_chairs" if "PWC" in getattr(options, "network", "") else "flow"
    config = settings.choose(Config, options, preset, PRESETS, otherwise)
    if not options.is_train:
        config = _for_task(options, config)
    config = settings.settle(config, options)
    _check(options, config)
    return options, config


def _for_task(options: argparse.Namespace, config: Config) -> Config:
    """The settings with the task that the flags tell, in testing: a run's weights may do another than it trained."""
    data, task = getattr(options, "data", None), getattr(options, "task", None)
    if task is None and data in SETS:
        task = "interp" if data in TRIPLET_SETS else "flow"
    elif task is None and options.input:
        task = "interp" if options.multi or options.slow else "flow"
    if task in (None, config.task):
        return config
    sets = {"data": SETS_OF[task][0], "valid_data": ""}
    return dataclasses.replace(config, task=task, network="QPWCNet", loss=Config.loss, quantise=False, **sets)


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    if options.baseline and options.input:
        raise cli.UsageError("--baseline has no network: it goes with testing, not with --input")
    if options.baseline in CLASSICAL and config.task != "flow":
        raise cli.UsageError(f"--baseline {options.baseline} goes with --task flow")
    cli.check_run_options(options)
    if (options.export and not options.output) or (options.output and not (options.input or options.export)):
        raise cli.UsageError("--output goes with --input and with --export, which needs it")
    if options.input and not (options.output or options.flo):
        raise cli.UsageError("--input needs --output, --flo, or both")
    if not (options.input or options.export):
        mixtures.check_use(config.data, options.is_train, SETS, TRAINING_SETS)
    given = [f"--{name}" for name in ("flo", "arrows", "multi", "slow") if getattr(options, name)]
    if given and not options.input:
        raise cli.UsageError(f"{given[0]} goes with --input")
    of_task = {"flow": ("multi", "slow"), "interp": ("flo", "arrows")}[config.task]
    given = [f"--{name}" for name in of_task if getattr(options, name)]
    if given and options.input:
        raise cli.UsageError(f"{given[0]} does not go with --task {config.task}")
    for name in ("arrows", "fps"):
        if getattr(options, name) and not options.output:
            raise cli.UsageError(f"--{name} goes with --output")
    if options.input and config.task == "interp" and options.multi is None and options.fps is None:
        raise cli.UsageError("--task interp needs --multi 2, 4 or 8, or --fps")
    frame_rate.check_arguments(options)
    if options.calibrate and not options.export:
        raise cli.UsageError("--calibrate goes with --export")
    if options.export == "int8" and not options.calibrate:
        raise cli.UsageError("--export int8 needs --calibrate DIR, a folder of clips like those that it will see")
