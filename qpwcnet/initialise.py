"""What a training starts from: the weights of another one, or kernels that are drawn anew; int8's first ranges.

`start_kaiming` learns to match in hundreds of steps; the published start (Keras's, which a network is made with) takes
ten thousands. Without it the costs are a thousandth of the features beside them, and a mean colour that matches
everywhere hides what matches somewhere: for long the best flow that training finds is none.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.cli import UsageError
from qpwcnet.checkpoints import read
from qpwcnet.config import Config, newest_run
from qpwcnet.deploy import quantize
from qpwcnet.model import COSTS, Flower, Interpolator
from qpwcnet.samples import TrainingSamples

STARTING = 16  # samples that tell the spreads of `start_kaiming`
CALIBRATING = 64  # samples that tell the first ranges of values that are to be rounded
FEATURES = 0.3  # spread of what goes into a flow level beside the costs, whose spread is 1


def initialise(
    network: nn.Module, options, config: Config, samples: TrainingSamples, say: Callable[[str], None]
) -> None:
    """Give a new network the weights that its training starts from, and if they are to be rounded, the first ranges.

    Args:
        network: as `new_network` makes it.
        options: of the command line: ckpt_abs_name and log_root are read.
        config: the settings.
        samples: of the training, of which the first tell spreads and ranges; the same in all processes.
        say: prints a line.

    Raises:
        UsageError: the run to start from is not there.
        ValueError: its weights do not fit.
    """
    file = start_file(options, config)
    if file:
        source = read(file)
        transfer(network, source, file)
        say(f"starts from the weights of {file}")
        for name in ("activation", "scale_size", "match"):
            old, new = getattr(source, name, None), getattr(network, name, None)
            if old != new:
                say(f"warning: {name} was {old} there and is {new} here")
    elif config.init == "kaiming" and isinstance(network, Flower):  # PWC-Net has its own start
        start_kaiming(network, *first_frames(samples, STARTING, network))
    if config.quantise:
        quantize.prepare(network)
        prv, nxt = first_frames(samples, CALIBRATING, network)
        quantize.calibrate(network, zip(prv.split(1), nxt.split(1), strict=True))


def start_file(options, config: Config) -> Path | None:
    """File of the weights to start from, --ckpt_abs_name or the newest of the run that `start_from` names; None: none.

    Raises:
        UsageError: there is no such run.
    """
    if options.ckpt_abs_name:
        return Path(options.ckpt_abs_name)
    if not config.start_from:
        return None
    runs = Path(options.log_root, config.project)
    run = newest_run(runs, config.start_from)
    manager = CheckpointManager(runs / (run or "") / "checkpoint/train/epoch", run or "", config.max_ckpt_num)
    if not run or not manager.lines():
        raise UsageError(
            f"{runs}: no weights of {config.start_from} to start from: train them (--is_train --config "
            f"{config.start_from}), name others with --ckpt_abs_name, or start anew with --set start_from="
        )
    return manager.select()


def first_frames(samples: TrainingSamples, count: int, network: nn.Module) -> list[Tensor]:
    """`prv` and `nxt` (B, 3, h, w) of the training's first samples, on the device of `network`."""
    device = next(network.parameters()).device
    first = [samples[position] for position in range(count)]
    return [torch.stack([sample[key] for sample in first]).to(device) for key in ("prv", "nxt")]


def transfer(network: nn.Module, source: nn.Module, path: str | Path) -> None:
    """Start `network` from the weights of `source`: all of them, or those of the flow network in an interpolator.

    Raises:
        ValueError: `source` is another kind of network, or of other widths.
    """
    quantize.take_ranges(source)
    weights = source.state_dict()
    own = network.state_dict()
    if isinstance(source, Interpolator) and type(network) is Flower:
        weights = {name: value for name, value in weights.items() if name in own}
    if "settings" in own:  # activation and size may change between two trainings; they are the new one's
        weights["settings"] = own["settings"]
    checkpoint_file.load_strict(network, weights, path)


@torch.no_grad()
def start_kaiming(network: Flower, prv: Tensor, nxt: Tensor) -> None:
    """Draw the network's kernels anew.

    Values keep their size through all layers, the first convolution sees no mean colour, flows start at zero, each
    channel that goes into a flow level is scaled to a spread of its own, and the norms know the samples' statistics.

    Args:
        network: in training.
        prv: (B, 3, H, W) RGB, samples whose values tell the spreads.
        nxt: the frames after them.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if name.endswith("depthwise") else "relu")
    first = network.encoder[0].conv_a.weight
    first.sub_(first.mean((1, 2, 3), keepdim=True))
    for level in network.flower:
        level.flow.weight.zero_()

    def scale(depthwise: nn.Module, inputs: tuple[Tensor]) -> None:
        spread = inputs[0].std((0, 2, 3))
        spread = torch.where(spread > 0, spread, 1.0)  # of the coarser flow, which is still zero: in pixels
        wanted = torch.full_like(spread, FEATURES)
        wanted[:COSTS] = 1.0
        depthwise.weight.mul_((wanted / spread)[:, None, None, None])

    def measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3), correction=0))

    hooks = [level.feat[0].depthwise.register_forward_pre_hook(scale) for level in network.flower]
    hooks += [level.norm.register_forward_pre_hook(measure) for level in network.flower]
    network.levels(*network.features(prv, nxt))
    for hook in hooks:
        hook.remove()
