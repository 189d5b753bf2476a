"""Every setting of PVDNet in one dataclass, the command line, and how the two meet.

A preset is a file in `configs/` with `config = Config(...)`. What the command line gives wins over the preset; testing
with `--mode` alone takes the settings that the run folder has saved.
"""

import argparse
import dataclasses
import importlib
import math
from dataclasses import dataclass
from pathlib import Path

from common import cli, settings
from common.checkpoints.choose_weights import choose_weights
from common.sets import mixtures
from pvdnet.classical import FILTERS
from pvdnet.sets import SETS, TRAINING_SETS

HERE = Path(__file__).parent
CHOICES = {"LRS": ("CA", "LD"), "amp": cli.AMP}
LEAST = dict.fromkeys((
    "PV_ksize", "batch_size", "crop_tries", "frame_itr_num", "total_itr", "max_ckpt_num", "write_ckpt_every_epoch",
    "write_log_every_itr", "refresh_image_log_every_epoch",
), 1) | {"thread_num": -1, "save_every_itr": 0}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the published code, whose names they keep."""

    project: str = "PVDNet_TOG2021"  # parent folder of the runs
    mode: str = "PVDNet_DVD"  # name of the run and of its checkpoints
    config: str = "config_PVDNet"  # the preset's file in configs/
    network: str = "PVDNet"  # file in models/archs
    trainer: str = "trainer"  # file in models/trainers
    data: str = "DVD"  # one of sets.SETS, a set of clips, or several to train on: free,drawn:0.5
    valid_data: str = ""  # set that validates; empty: the (first) one that is trained on
    manual_seed: int = 0
    is_verbose: bool = False  # a line per iteration
    save_sample: bool = False  # sample pictures while training

    PV_ksize: int = 5  # window of the pixel volume
    with_BIMNet: bool = True  # False: no motion is estimated, nothing moves
    fix_BIMNet: bool = True  # BIMNet is loaded and frozen; else trained along
    BIMNet_ckpt: str = "ckpt/BIMNet.pytorch"  # the frozen BIMNet; empty: random weights, or what is trained along
    wi: float = 1.0  # gain of the Xavier initialisation
    quiet: bool = False  # the deblurring network begins by changing nothing: its last layer is zero

    batch_size: int = 8  # per process
    thread_num: int = -1  # loader workers; -1: as many as there are cores
    height: int = 256  # of the random crop, pixels
    width: int = 256
    crop_tries: int = 1  # random crops of a sample, of which the one with the strongest blur is taken
    frame_itr_num: int = 13  # frames deblurred in a row per sample, one optimiser step each
    noise_sigma: float = 5e-5  # of the noise on half of the training frames, range [0, 1]

    total_itr: int = 600_000  # optimiser steps
    lr_init: float = 1e-4
    beta1: float = 0.9
    weight_decay: float = 0.01  # decoupled
    gc: float = 1.0  # gradients are clipped to this norm
    LRS: str = "CA"  # CA: cosine annealing with restarts; LD: stepwise decay
    T_period: tuple[int, ...] = (50_000, 100_000, 150_000, 150_000, 150_000)  # CA, steps
    restarts: tuple[int, ...] = (50_000, 150_000, 300_000, 450_000)  # CA, steps
    restart_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)  # CA
    eta_min: float = 1e-7  # CA
    decay_period: tuple[int, ...] = (400_000,)  # LD, steps
    decay_rate: float = 0.25  # LD
    ema: float = 0.0  # moving average of the weights, which is then tested and kept; 0: none
    amp: str = "off"  # auto, off, bf16, fp16
    compile: bool = False

    max_ckpt_num: int = 100  # checkpoints kept, best first
    write_ckpt_every_epoch: int = 4
    save_every_itr: int = 0  # the newest state, within an epoch, too; 0: only at its end
    write_log_every_itr: int = 16  # sample pictures every so many iterations
    refresh_image_log_every_epoch: int = 65  # older sample pictures are deleted

    def __post_init__(self):
        """Refuse settings that contradict each other."""
        cycles = len(self.T_period)
        settings.check_values(self, CHOICES, LEAST)
        settings.check_average(self.ema)
        mixtures.check(self.data, SETS)
        if self.valid_data:
            mixtures.check(self.valid_data, TRAINING_SETS, field="valid_data")
        for name in ("lr_init", "gc", "wi"):
            if not 0 < getattr(self, name) < math.inf:
                raise cli.UsageError(f"{name} {getattr(self, name)}: expected a positive number")
        if self.PV_ksize % 2 == 0:
            raise cli.UsageError(f"PV_ksize {self.PV_ksize}: expected an odd number")
        settings.check_run_name(self.mode)
        if not self.with_BIMNet and (not self.fix_BIMNet or self.BIMNet_ckpt):
            raise cli.UsageError("with_BIMNet=False: there is no BIMNet to train or to load")
        if len(self.restarts) != cycles - 1 or len(self.restart_weights) != cycles - 1:
            raise cli.UsageError(
                f"{cycles} entries in T_period need {cycles - 1} in restarts and restart_weights, "
                f"found {len(self.restarts)} and {len(self.restart_weights)}"
            )
        if min(self.height, self.width) < 32 or self.height % 4 or self.width % 4:
            raise cli.UsageError(f"crop of {self.width}x{self.height}: expected multiples of 4, at least 32")


def plugin_names(folder: str) -> list[str]:
    """Names that --config, --trainer or --network may take: the files of `folder` that define what it needs."""
    return sorted(path.stem for path in (HERE / folder).glob("*.py") if path.stem != "__init__")


def check_plugin(flag: str, folder: str, name: str) -> None:
    """Refuse a name that `folder` has no file of.

    Raises:
        UsageError: the line lists what there is.
    """
    if name not in plugin_names(folder):
        there = ", ".join(plugin_names(folder))
        raise cli.UsageError(f"{flag} {name}: no file pvdnet/{folder}/{name}.py; there are {there}")


def preset(name: str) -> Config:
    """The `config` of `configs/<name>.py`."""
    check_plugin("--config", "configs", name)
    config = importlib.import_module(f"pvdnet.configs.{name}").config
    return dataclasses.replace(config, config=name)


def build_parser() -> cli.Parser:
    """Flags of the published code under their names and short forms, and those of every paper."""
    parser = cli.Parser(prog="pvdnet/run.py", description="PVDNet: train, evaluate, deblur your own video, or export.")
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help="preset: a file in pvdnet/configs; testing without it reads the run folder's saved one")
    add("-data", "--data", default=keep, metavar="SET", help=mixtures.help_text(SETS, TRAINING_SETS)
        + "; random: frames without truth")  # fmt: skip
    add(
        "-LRS",
        "--learning_rate_scheduler",
        dest="LRS",
        default=keep,
        choices=CHOICES["LRS"],
        help="CA cosine, LD steps",
    )
    add("-trainer", "--trainer", default=keep, help="file in pvdnet/models/trainers")
    add("-net", "--network", default=keep, help="file in pvdnet/models/archs")
    add("-lr", "--lr_init", type=float, default=keep, help="first learning rate")
    add("-vs", "--is_verbose", action="store_true", default=keep, help="print a line per iteration")
    add("-wi", "--weights_init", dest="wi", type=float, default=keep, help="gain of the Xavier initialisation")
    add("-gc", "--gc", type=float, default=keep, help="norm that gradients are clipped to")
    add("-proc", "--proc", default="proc", help="a label for your process list; changes nothing")
    add("-eval_mode", "--eval_mode", default="quan", help="label in the score file")
    add("--protocol", nargs="+", default=["pvdnet_code", "pvdnet_paper"], choices=("pvdnet_code", "pvdnet_paper"),
        help="how to score: as the published code, as the paper's MATLAB scripts")  # fmt: skip
    add("--identity", nargs="?", const="identity", choices=("identity", *FILTERS), help="score or write, without a "
        "network, the blurry input itself, or what a classical filter makes of it")  # fmt: skip
    add("--parity", action="store_true", help="with --input: crop to multiples of 4 and leave BIMNet's rest out, "
        "as the published code does; else pad")  # fmt: skip
    add("--export", choices=("onnx", "dynamo"), help="write the network to --output, such as pvdnet.onnx; dynamo: by "
        "torch.export, see the card")  # fmt: skip
    add("--export_size", metavar="WxH", help="fixed size of the exported network, which BIMNet needs; else any "
        "multiples of 4")  # fmt: skip
    cli.add_run_arguments(parser, "logs/PVDNet_TOG2021")
    cli.add_common_arguments(parser)
    parser.set_defaults(project=Config.project)
    return parser


def parse(argv: list[str]) -> tuple[argparse.Namespace, Config]:
    """Options of this run, and the settings.

    Raises:
        UsageError: a flag is unknown, has a wrong value, or contradicts another.
    """
    options = build_parser().parse_args(argv)
    if not options.identity:
        choose_weights(options, "pvdnet", "config_PVDNet", run=Config.mode)
    if options.mode is None:
        options.mode = (preset(options.config) if options.config else Config).mode
    otherwise = "config_PVDNet" if options.mode in ("PVDNet_DVD", "PVDNet_nah") else ""
    if options.mode.startswith("PVDNet_large"):
        otherwise = "config_PVDNet_large"
    config = settings.choose(Config, options, preset, plugin_names("configs"), otherwise)
    config = settings.settle(config, options)
    _check(options, config)
    return options, config


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    check_plugin("--network", "models/archs", config.network)
    check_plugin("--trainer", "models/trainers", config.trainer)
    cli.check_run_options(options, ("identity",))
    if bool(options.output) != bool(options.input or options.export):
        raise cli.UsageError("--output goes with --input and with --export, and they need it")
    alone = config.network == "BIMNet"
    if options.is_train and (alone, config.trainer) in ((True, "trainer"), (False, "trainer_BIMNet")):
        raise cli.UsageError(f"--network {config.network} does not go with --trainer {config.trainer}")
    if alone and not options.identity and (options.input or options.export or config.data == "random"):
        raise cli.UsageError("BIMNet alone deblurs nothing: --input, --export and --data random need a PVDNet")
    if not (options.input or options.export):
        mixtures.check_use(config.data, options.is_train, SETS, TRAINING_SETS)
