"""Published checkpoints: the authors' state dicts of the whole network, `module.` before every name, and BIMNet's."""

from pathlib import Path

import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from common.ops.liteflownet import LiteFlowNet
from pvdnet.classical import FILTERS
from pvdnet.config import Config, preset
from pvdnet.models.deblurnet import DeblurNet, compile_parts

FIRST = "moduleFeatures.moduleOne.0.weight"  # of BIMNet alone
LARGE = "PVDNet.RBs.12.0.weight"  # a block that only PVDNet-large has


def read(path: str | Path, config: str = "") -> nn.Module:
    """The network of a published file, or of ours, with its weights: PVDNet, or BIMNet alone.

    Args:
        path: the file.
        config: preset whose network it must have; "": the file tells which of the published ones it is.

    Raises:
        ValueError: it is of another network.
    """
    state = checkpoint_file.unwrap(checkpoint_file.load(path), path)
    if not config:
        config = "config_BIMNet" if FIRST in state else "config_PVDNet_large" if LARGE in state else "config_PVDNet"
    settings = preset(config)
    network = LiteFlowNet() if settings.network == "BIMNet" else _build(settings)
    checkpoint_file.load_strict(network, state, path)
    return network.eval()


def write(network: nn.Module, layout: str) -> dict:
    """What the authors' file holds.

    Raises:
        ValueError: `layout` is not "authors", the only one.
    """
    if layout != "authors":
        raise ValueError(f"--layout {layout}: expected ours or authors")
    prefix = "" if isinstance(network, LiteFlowNet) else "module."
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def load(options, config: Config, device: torch.device) -> tuple[DeblurNet | None, Path | None]:
    """The network that the options ask for, on the device and ready to run, and its checkpoint's path.

    Under `--identity` the path is None, and the network too, or a filter in its place.

    Raises:
        ValueError: there is no such checkpoint, or it is of another network.
    """
    if options.identity:
        return FILTERS.get(options.identity), None
    path = find_weights(options, config, "pvdnet")
    network = _build(config)
    checkpoint_file.load_strict(network, checkpoint_file.unwrap(checkpoint_file.load(path), path), path)
    return on_device(network.eval(), device, config.compile), path


def on_device(network: DeblurNet, device: torch.device, compiled: bool) -> DeblurNet:
    """The network there, compiled if asked for."""
    network = network.to(device)
    if compiled:
        compile_parts(network)
    return network


def _build(config: Config) -> DeblurNet:
    return DeblurNet(config.network, config.PV_ksize, with_BIMNet=config.with_BIMNet)
