"""Published checkpoints: the authors' bare state dicts and MMEditing's, told apart from each other and by size."""

from pathlib import Path

import torch
from torch import Tensor, nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from common.ops.liteflownet import LiteFlowNet
from ifrnet.classical import Classical
from ifrnet.config import PRESETS
from ifrnet.model import SIZES, IFRNet

FIRST = "encoder.pyramid1.0.0.weight"
SIZE_OF_SHAPE = {(size.widths[0], 3, size.kernel, size.kernel): name for name, size in SIZES.items()}


def adapt(value: object, source: str | Path) -> tuple[dict[str, Tensor], str]:
    """The bare state dict in a checkpoint and the size of its network.

    Args:
        value: whatever `checkpoint_file.unwrap` takes a state dict out of.
        source: names the checkpoint in errors.

    Raises:
        ValueError: it is not IFRNet's.
    """
    state = checkpoint_file.unwrap(value, source)
    if FIRST not in state:
        raise ValueError(f"{source}: not a checkpoint of IFRNet: no tensor {FIRST}, found {', '.join([*state][:3])}")
    shape = tuple(state[FIRST].shape)
    if shape not in SIZE_OF_SHAPE:
        raise ValueError(f"{source}: {FIRST} is {shape}: expected one of {', '.join(map(str, SIZE_OF_SHAPE))}")
    return state, SIZE_OF_SHAPE[shape]


def load_network(path: str | Path, size: str | None = None) -> IFRNet:
    """The network of a checkpoint file with its weights, on the CPU, ready to run.

    Args:
        path: any form that `adapt` reads.
        size: what the network must be; None: whatever the file holds.

    Raises:
        ValueError: another size, or tensors missing, unexpected or of another shape.
    """
    state, found = adapt(checkpoint_file.load(path), path)
    if size not in (None, found):
        raise ValueError(
            f"{path}: holds {found}, but {size} was asked for; choose --config or --ckpt_abs_name to match"
        )
    network = IFRNet(found)
    checkpoint_file.load_strict(network, state, path)
    return network.eval()


def read(path: str | Path, config: str = "") -> nn.Module:
    """The network of a published file, or of ours, with its weights: IFRNet, or the flow network that labels triplets.

    Args:
        path: the file.
        config: preset whose size it must have; "": the file tells it.

    Raises:
        ValueError: it is of neither network, or of another size.
    """
    state = checkpoint_file.load(path)
    if isinstance(state, dict) and any("moduleFeatures." in key for key in state):
        network = LiteFlowNet(half_pixel_warp=True)
        checkpoint_file.load_strict(network, state, path)
        return network.eval()
    return load_network(path, PRESETS[config].network if config else None)


def write(network: nn.Module, layout: str) -> dict:
    """What a published file of that layout holds; "authors" is ours too.

    Raises:
        ValueError: there is no such layout of this network.
    """
    layouts = ("authors", "mmediting") if isinstance(network, IFRNet) else ("authors",)
    if layout not in layouts:
        raise ValueError(f"--layout {layout}: expected ours or one of {', '.join(layouts)}")
    state = network.state_dict()
    if layout == "authors":
        return state
    return {"meta": {}, "state_dict": {f"generator.{name}": tensor for name, tensor in state.items()}}


def load(options, config, device: torch.device) -> tuple[IFRNet | Classical | None, Path | None]:
    """The network that the options ask for, on the device and ready to run, and its checkpoint's path.

    Both are None under `--blend`, and the path under `--dis`. The file tells the size of the network; one that
    `--config` or `--network` names must agree.

    Raises:
        ValueError: there is no such checkpoint, or it is of another size.
    """
    if options.blend or options.dis:
        return (Classical() if options.dis else None), None
    path = find_weights(options, config, "ifrnet")
    size = config.network if options.config or hasattr(options, "network") else None
    return on_device(load_network(path, size), device, config.compile), path


def on_device(network: IFRNet, device: torch.device, compiled: bool) -> IFRNet:
    """The network there, its two parts compiled if asked for."""
    network = network.to(device)
    if compiled:
        network.encode, network.decode = torch.compile(network.encode), torch.compile(network.decode)
    return network
