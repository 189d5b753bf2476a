"""Every setting of TOFlow in one dataclass, the presets, the command line, and how they meet.

What the command line gives wins over the preset; testing with `--mode` alone takes the settings that the run folder has
saved.
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
from common.sets import mixtures
from toflow.classical import FRAMES, METHODS
from toflow.model import FORMS, MULTIPLE, Form
from toflow.protocols import PROTOCOLS
from toflow.sets import FLOW_SETS, SETS, SUFFIXES, TASKS, TRAINING_SETS, data_set

STAGES = ("flow", "mask", "processing", "joint")
PADDINGS = ("replicate", "reflection", "reflection_circle", "circle")
CHOICES = {
    "network": FORMS, "flow_data": FLOW_SETS, "loss": ("l1", "charbonnier"),
    "amp": cli.AMP,
}  # fmt: skip
LEAST = dict.fromkeys((
    "total_batch", "flow_batch", "flow_crop", "epochs", "valid_every_step", "write_log_every_step", "save_every_step",
    "max_ckpt_num", "max_distance",
), 1) | {"batch_size": 0, "max_steps": 0, "valid_samples": 0, "crop": 0, "thread_num": -1}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the paper, as far as it tells them."""

    project: str = "TOFlow_IJCV2019"  # parent folder of the runs
    mode: str = "TOFlow_denoise"  # name of the run and of its checkpoints
    config: str = "TOFlow_denoise"  # the preset
    network: str = "paper_denoise"  # one of model.FORMS
    align_corners: bool = True  # False: for weights that pytoflow's code trained under PyTorch 1.3 or later
    # One of sets.SETS, a set of clips, with a degradation behind its name, or several: tells task and degradation.
    data: str = "vimeo_mixed"
    valid_data: str = ""  # set that validates; empty: the (first) one that is trained on
    prepared: bool = False  # read degraded frames from files, instead of making them when they are read
    flow_data: str = "sintel"  # of the flow stage; interpolation with flow from the middle takes the labels of `data`
    manual_seed: int = 1234
    save_sample: bool = False  # sample pictures

    stages: tuple[str, ...] = ("flow", "processing", "joint")  # of STAGES, one after the other
    steps: tuple[int, ...] = (50_000, 50_000, 0)  # of each stage; 0: epochs * (samples // total_batch)
    learning_rates: tuple[float, ...] = (1e-4, 1e-4, 1e-4)
    epochs: int = 15
    max_steps: int = 0  # of all stages together, where the run is to end earlier; 0: the stages' own
    spynet: str = ""  # file of a flow network alone, to start from
    total_batch: int = 1  # samples a step over all processes
    batch_size: int = 0  # per process; 0: total_batch (or flow_batch) divided by the processes
    flow_batch: int = 16  # of the flow stage
    flow_crop: int = 256  # side of its crops, pixels
    max_distance: int = 4  # of the two frames from the one between, frames, in clips
    crop: int = 0  # side of the crops of the other stages, pixels; 0: whole frames
    flip: bool = False  # crops are mirrored, turned and played backwards at random
    thread_num: int = -1  # loader workers; -1: as many as there are cores, at most 16

    loss: str = "l1"  # l1 of frames in [0, 1], or charbonnier of normalised ones
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    weight_decay: float = 1e-4  # added to the gradient
    milestones: tuple[int, ...] = ()  # steps of the joint stage at which the rate is multiplied by gamma
    gamma: float = 0.5
    ema: float = 0.0  # moving average of the weights, which is then tested and kept; 0: none
    amp: str = "off"  # auto, off, bf16, fp16
    compile: bool = False

    valid_every_step: int = 5000
    valid_samples: int = 500  # spread over the test list; 0: all
    write_log_every_step: int = 100
    save_every_step: int = 1000  # the newest state, between checkpoints
    max_ckpt_num: int = 20  # checkpoints kept, best first

    @property
    def task(self) -> str:
        """One of `TASKS`, told by the data."""
        return data_set(mixtures.parts(self.data)[0][0]).task

    @property
    def form(self) -> Form:
        """Of the network."""
        return dataclasses.replace(FORMS[self.network], align_corners=self.align_corners)

    def __post_init__(self):
        """Refuse settings that cannot be."""
        settings.check_values(self, CHOICES, LEAST)
        settings.check_average(self.ema)
        mixtures.check(self.data, SETS, suffixes=SUFFIXES)
        names = [name for name, _ in mixtures.parts(self.data)]
        if self.valid_data:
            mixtures.check(self.valid_data, SETS, field="valid_data", suffixes=SUFFIXES)
            names.append(self.valid_data)
        if len({data_set(name).task.replace("deblock", "denoise") for name in names}) > 1:
            raise cli.UsageError(f"data {self.data}, valid_data {self.valid_data}: expected sets for one task")
        if not self.stages or len({len(self.stages), len(self.steps), len(self.learning_rates)}) > 1:
            raise cli.UsageError("stages, steps, learning_rates: expected one value of each for every stage")
        for stage in self.stages:
            if stage not in STAGES:
                raise cli.UsageError(f"stages {stage}: expected some of {', '.join(STAGES)}")
            if stage == "mask" and not FORMS[self.network].mask:
                raise cli.UsageError(f"stages mask: {self.network} has no mask; expected --network paper_interp_mask")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise cli.UsageError(f"betas {self.betas}: expected two numbers from 0 to below 1")
        if not 0 <= self.weight_decay < math.inf or not 0 < self.gamma <= 1:
            raise cli.UsageError("weight_decay, gamma: expected a number of 0 or more, and one above 0, up to 1")
        if self.prepared and not all(name.startswith("vimeo_") for name, _ in mixtures.parts(self.data)):
            raise cli.UsageError(f"--prepared: {self.data} is read as it is; it goes with --data vimeo_<degradation>")
        if min(self.steps) < 0 or not all(0 < rate < math.inf for rate in self.learning_rates):
            raise cli.UsageError("steps, learning_rates: expected numbers of 0 or more, and positive ones")
        if (FORMS[self.network].frames == 2) != (self.task == "interp"):
            raise cli.UsageError(f"--data {self.data} is for {self.task}, --network {self.network} is not: change one")
        multiple = MULTIPLE if self.form.pyramid == "fixed" else 1
        if self.crop % multiple or self.flow_crop % multiple:
            raise cli.UsageError(f"crop {self.crop}, flow_crop {self.flow_crop}: expected multiples of {multiple}")
        settings.check_run_name(self.mode)


def _mmagic(spynet: str) -> Config:
    """MMagic's recipe: one stage, whole frames, a million steps."""
    return Config(
        network="mmagic_vfi", data="vimeo90k", loss="charbonnier", spynet=f"ckpt/pretrained_spynet_{spynet}.pth",
        stages=("joint",), steps=(1_000_000,), learning_rates=(5e-5,), betas=(0.9, 0.99),
        milestones=(200_000, 400_000, 600_000, 800_000), valid_samples=0,
    )  # fmt: skip


def _pytoflow(network: str, data: str, learning_rate: float) -> Config:
    """Pytoflow's recipe: one stage, whole frames, five epochs."""
    return Config(
        network=network, data=data, stages=("joint",), steps=(0,), learning_rates=(learning_rate,), epochs=5,
        spynet="ckpt/network-sintel-final.pytorch",
    )  # fmt: skip


def _tiny(network: str, data: str, steps: int, total_batch: int) -> Config:
    """A run of minutes on a CPU, on clips that the project makes."""
    return Config(
        network=network, data=data, stages=("joint",), steps=(steps,), learning_rates=(1e-3,),
        milestones=(steps * 3 // 5, steps * 4 // 5), total_batch=total_batch, crop=64, flip=True, thread_num=1,
        weight_decay=0.0, valid_samples=0, valid_every_step=100, write_log_every_step=20, save_every_step=50,
    )  # fmt: skip


def _free(degradation: str, tested: str, learning_rate: float) -> Config:
    """Ours, for a laptop: a 640x360 frame in less than a second on two cores, an hour of training on one."""
    steps = 5000
    return Config(
        network="free", data=f"free_{degradation},drawn_{degradation}:0.3", valid_data=f"real_{tested}",
        stages=("joint",), steps=(steps,), learning_rates=(learning_rate,), gamma=0.5, weight_decay=0.0,
        milestones=tuple(int(steps * share) for share in (0.4, 0.6, 0.75, 0.85, 0.92, 0.97)),
        total_batch=4, crop=96, flip=True, ema=0.999, amp="auto", thread_num=1,
        valid_samples=24, valid_every_step=1000, save_every_step=100,
    )  # fmt: skip


_TRIPLETS = {"data": "vimeo90k", "learning_rates": (1e-4, 1e-4, 3e-5), "flow_batch": 8}
PRESETS = {
    "tof_spynet-chair-wobn_1xb1_vimeo90k-triplet": _mmagic("chair_20220321-4d82e91b"),
    "tof_spynet-kitti-wobn_1xb1_vimeo90k-triplet": _mmagic("kitti_20220321-dbcc1cc1"),
    "tof_spynet-sintel-wobn-clean_1xb1_vimeo90k-triplet": _mmagic("sintel_clean_20220321-0756630b"),
    "tof_spynet-sintel-wobn-final_1xb1_vimeo90k-triplet": _mmagic("sintel_final_20220321-5e89dcec"),
    "tof_spynet-pytoflow-wobn_1xb1_vimeo90k-triplet": _mmagic("pytoflow_20220321-5bab842d"),
    "tof_x4_official_vimeo90k": Config(network="official_sr", data="vimeo_bicubic_x4"),
    "pytoflow_interp": _pytoflow("pytoflow_interp", "vimeo90k", 3e-5),
    "pytoflow_denoise": _pytoflow("pytoflow_denoise", "vimeo_pytoflow_mixed", 1e-4),
    "pytoflow_sr": _pytoflow("pytoflow_sr", "vimeo_bicubic_x4", 1e-4),
    "TOFlow_interp": Config(network="paper_interp", **_TRIPLETS),
    "TOFlow_interp_mask": Config(
        network="paper_interp_mask", stages=STAGES, steps=(50_000, 50_000, 50_000, 0),
        **_TRIPLETS | {"learning_rates": (1e-4, 1e-4, 1e-4, 3e-5)},
    ),
    "TOFlow_denoise": Config(),
    "TOFlow_deblock": Config(data="vimeo_j2k_q20"),
    "TOFlow_sr": Config(network="official_sr", data="vimeo_bicubic_x4"),
    "TOFlow_denoise_free": _free("noise_blind", "gaussian_25", 1e-3),
    "TOFlow_deblock_free": _free("compression_blind", "jpeg_q20", 4e-4),
    "TOFlow_interp_tiny": _tiny("tiny_interp", "vimeo90k", steps=800, total_batch=8),
    "TOFlow_denoise_tiny": _tiny("tiny_denoise", "vimeo_mixed", steps=500, total_batch=4),
    "TOFlow_deblock_tiny": _tiny("tiny_denoise", "vimeo_jpeg_q20", steps=500, total_batch=4),
    "TOFlow_sr_tiny": _tiny("tiny_sr", "vimeo_bicubic_x4", steps=600, total_batch=4),
}  # fmt: skip
OF_TASK = {  # the preset whose weights a task takes unless told otherwise
    "interp": "tof_spynet-pytoflow-wobn_1xb1_vimeo90k-triplet",
    "denoise": "pytoflow_denoise",
    "deblock": "TOFlow_deblock",
    "sr": "tof_x4_official_vimeo90k",
}
preset = partial(settings.preset, PRESETS)  # the settings of a name


def build_parser() -> cli.Parser:
    """TOFlow's own flags and those of every paper."""
    parser = cli.Parser(prog="toflow/run.py", description="TOFlow: train, evaluate, or better your own video.")
    keep = argparse.SUPPRESS
    add = parser.add_argument
    add("--config", help=f"preset: {', '.join(PRESETS)}; testing without it reads the run folder's saved one")
    add("--task", choices=TASKS, help="what to do; without --config and --mode its published weights")
    add("-data", "--data", default=keep, metavar="SET",
        help=mixtures.help_text(SETS, TRAINING_SETS) + "; behind the name of a set of clips _mixed, _jpeg_q20 and the "
        "like, as behind vimeo; without it, frames are interpolated")  # fmt: skip
    add("--prepared", action="store_true", default=keep,
        help="read degraded frames that prepare_vimeo90k.py --degrade wrote, instead of making them")  # fmt: skip
    add("--network", default=keep, choices=FORMS, help="form of the network")
    add("--protocol", nargs="+", choices=PROTOCOLS, help="how to score; all that the data set has if not given")
    add("--baseline", nargs="?", const="plain", choices=METHODS,
        help="score or write what a classical method makes, without a network: "
        + "; ".join(f"{name}: {what}" for name, what in METHODS.items()))  # fmt: skip
    add("--export", choices=("onnx", "dynamo"), help="write the network to --output, such as toflow.onnx; dynamo: by "
        "torch.export, see the card")  # fmt: skip
    add("--export_size", metavar="WxH", help="fixed size of the exported network; else sizes are free, see the card")
    group = parser.add_argument_group("your own video")
    group.add_argument("--padding", default="replicate", choices=PADDINGS,
        help="denoise, deblock, sr: which frames stand for those before the first and after the last")  # fmt: skip
    frame_rate.add_arguments(parser.add_argument_group("your own video, --task interp"))
    cli.add_run_arguments(parser, "logs/TOFlow_IJCV2019")
    cli.add_common_arguments(parser)
    parser.set_defaults(project=Config.project)
    return parser


def parse(argv: list[str]) -> tuple[argparse.Namespace, Config]:
    """Options of this run, and the settings.

    Raises:
        UsageError: a flag is unknown, has a wrong value, or contradicts another.
    """
    options = build_parser().parse_args(argv)
    if hasattr(options, "data"):
        mixtures.check(options.data, SETS, suffixes=SUFFIXES)
    asked = options.task or (data_set(mixtures.parts(options.data)[0][0]).task if hasattr(options, "data") else None)
    if asked and not options.baseline:
        choose_weights(options, "toflow", OF_TASK[asked], asked)
    if options.mode is None:
        options.mode = options.config or (OF_TASK[asked] if asked else None)
    if options.mode is None:
        raise cli.UsageError(f"expected --task, one of {', '.join(TASKS)}, or --config, or --mode of an earlier run")
    of_mode = options.mode if options.mode in PRESETS else ""
    otherwise = of_mode or (OF_TASK[asked] if asked and (options.ckpt_abs_name or options.baseline) else "")
    config = settings.choose(Config, options, preset, PRESETS, otherwise)
    if hasattr(options, "data"):  # what a run was trained on may have been prepared, this need not be
        config = dataclasses.replace(config, prepared=False)
    config = mixtures.for_testing(settings.settle(config, options), options)
    _check(options, config)
    return options, config


def _check(options: argparse.Namespace, config: Config) -> None:
    """Refuse flags that contradict each other."""
    cli.check_run_options(options)
    if options.task and options.task != config.task and {options.task, config.task} != {"denoise", "deblock"}:
        raise cli.UsageError(f"--task {options.task} does not go with --data {config.data}, which is for {config.task}")
    if bool(options.output) != bool(options.input or options.export):
        raise cli.UsageError("--output goes with --input and with --export, and they need it")
    if not (options.input or options.export):
        mixtures.check_use(config.data, options.is_train, SETS, TRAINING_SETS)
    if options.baseline and config.form.frames not in FRAMES[options.baseline]:
        raise cli.UsageError(f"--baseline {options.baseline}: {METHODS[options.baseline]}; not for {config.task}")
    if (
        options.is_train
        and config.spynet
        and not Path(config.spynet).is_file()
        and not (options.ckpt_abs_name or options.resume)
    ):
        raise cli.UsageError(
            f"{config.spynet}: no such file; training begins with this flow network (address in "
            "toflow/checkpoints.json); give another with --set spynet=FILE, or none with --set spynet="
        )
    given = [f"--{name}" for name in ("multi", "slow") if getattr(options, name)]
    if given and not (options.input and config.task == "interp"):
        raise cli.UsageError(f"{given[0]} goes with --task interp --input")
    if options.input and config.task == "interp" and options.multi is None and options.fps is None:
        options.multi = 2
    frame_rate.check_arguments(options)
