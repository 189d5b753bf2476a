"""Checkpoints: what network a file holds, and that network with the file's weights.

QPWCNet's weights are known by our names alone: its author published none. Of PWC-Net's the published files are read,
in every naming (`pwcnet_tensor_names.py`), also NVIDIA's whole pickled ones, of which nothing is run.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from common.checkpoints.safe_unpickle import load_any
from qpwcnet.config import preset
from qpwcnet.deploy import quantize
from qpwcnet.model import ACTIVATIONS, FLOW_ORDERS, MATCHES, Flower, Interpolator, settings
from qpwcnet.pwcnet import INSIDE, INSIDE_OLD, PWCNet
from qpwcnet.pwcnet_tensor_names import adapt, layers

FIRST = "encoder.0.conv_a.weight"  # tells QPWCNet


def build(value: object, source: str | Path) -> nn.Module:
    """The network whose weights `value` holds, with them, on the CPU, ready to run.

    Args:
        value: whatever `checkpoint_file.unwrap` takes a state dict out of. QPWCNet's without the tensor `settings` are
            taken for the original's: mish, the original order of flows.
        source: names the checkpoint in errors.

    Raises:
        ValueError: it is of neither network, or tensors are missing, unexpected or of another shape.
    """
    state = checkpoint_file.unwrap(value, source)
    network, state = _qpwcnet(state, source) if FIRST in state else _pwcnet(state, source)
    if quantize.has_ranges(state):
        quantize.prepare(network, state)
    checkpoint_file.load_strict(network, state, source)
    return network.eval()


def _qpwcnet(state: dict[str, Tensor], source: str | Path) -> tuple[Flower, dict[str, Tensor]]:
    filters = tuple(len(weight) for key, weight in state.items() if key.endswith(".conv_a.weight"))
    state = {"settings": settings("mish", "original", None)} | state
    numbers = state["settings"].flatten().tolist()
    known = list(ACTIVATIONS), FLOW_ORDERS, MATCHES
    chosen = *numbers[:2], *(numbers[4:] or [0])
    if len(numbers) not in (4, 5) or not all(0 <= n < len(names) for n, names in zip(chosen, known, strict=True)):
        raise ValueError(f"{source}: its tensor settings is {numbers}: expected numbers of activation and flow order")
    activation, order, match = (names[n] for n, names in zip(chosen, known, strict=True))
    how = {"activation": activation, "scale_size": tuple(numbers[2:4]) if all(numbers[2:4]) else None, "match": match}
    if any(key.startswith("interpolator.") for key in state):
        return Interpolator(filters, **how, flow_order=order), state
    return Flower(filters, **how), state


def _pwcnet(state: dict[str, Tensor], source: str | Path) -> tuple[PWCNet, dict[str, Tensor]]:
    state, variant = adapt(state, source)
    return PWCNet(variant), state


def new_network(config) -> nn.Module:
    """The network of the settings, at its start."""
    if config.network != "QPWCNet":
        return PWCNet(config.network)
    how = {"activation": config.activation, "scale_size": config.scale_size or None, "match": config.match}
    if config.task == "interp":
        network = Interpolator(config.filters, **how, flow_order=config.flow_order)
    else:
        network = Flower(config.filters, **how)
    for level in network.flower:
        level.norm.frozen = config.frozen_norm
    return network


def read(path: str | Path, config: str = "") -> nn.Module:
    """The network of a published file, or of ours, with its weights.

    Args:
        path: the file.
        config: preset whose network it must have; "": the file tells it.

    Raises:
        ValueError: it is of none of the networks, or of another.
    """
    network = build(load_any(path), path)
    if config and isinstance(network, PWCNet) == (preset(config).network == "QPWCNet"):
        found = network.variant if isinstance(network, PWCNet) else "QPWCNet"
        raise ValueError(f"{path}: holds {found}, expected {preset(config).network}, the network of {config}")
    return network


def write(network: nn.Module, layout: str) -> dict[str, Tensor]:
    """What a published file of that layout holds; QPWCNet has none.

    Raises:
        ValueError: there is no such layout of this network, or its weights need another rule of the warp's mask.
    """
    variant = network.variant if isinstance(network, PWCNet) else ""
    layouts = {"PWC-Net": ("nvlabs", "ptlflow", "sniklaus"), "PWC-Net_old": ("nvlabs",), "PWC-Net_small": ("ptlflow",)}
    if layout not in layouts.get(variant, ()):
        raise ValueError(f"--layout {layout}: expected {' or '.join(['ours', *layouts.get(variant, ())])}")
    rule = INSIDE_OLD if layout == "sniklaus" or variant == "PWC-Net_old" else INSIDE
    if not torch.isclose(network.inside, torch.tensor(rule)):
        raise ValueError(f"--layout {layout}: goes with {rule} in the warp's mask, the weights with {network.inside:g}")
    state = {}
    for own, (nvlabs, sniklaus) in layers(variant).items():
        theirs = sniklaus.replace("net", "module") if layout == "sniklaus" else nvlabs
        for kind in ("weight", "bias"):
            state[f"{theirs}.{kind}"] = network.get_parameter(f"{own}.{kind}").detach()
    if layout == "nvlabs":  # has a layer whose result nothing reads
        state |= {"deconv2.weight": torch.zeros(2, 2, 4, 4), "deconv2.bias": torch.zeros(2)}
    return {"state_dict": state} if layout == "ptlflow" else state


def load(options, config, device: torch.device) -> tuple[nn.Module | None, Path | None]:
    """The network that the options ask for, on the device and ready to run, and its checkpoint's path.

    Both are None under `--baseline`. The file tells which network it is of; an exported one (.onnx, .tflite) is run by
    its own runtime. QPWCNet's flow is in units of the diagonal of the frames: where the weights do not tell which
    one, it is that of the size that they were trained at, `input_shape`.

    Raises:
        ValueError: there is no such checkpoint, or it cannot do the task.
    """
    if options.baseline:
        return None, None
    path = find_weights(options, config, "qpwcnet")
    return open_network(path, config.task, config.input_shape, device, config.compile), path


def open_network(
    path: Path, task: str, input_shape: tuple[int, int], device: torch.device, compiled: bool = False
) -> nn.Module:
    """The network of a file, on the device and ready to run.

    Args:
        path: weights, or an exported file.
        task: "flow" or "interp".
        input_shape: (H, W) of the frames that it was trained on, for weights that do not tell their unit.
        device: where it goes.
        compiled: compile it.

    Raises:
        ValueError: it is none, or cannot do the task.
    """
    if path.suffix in (".onnx", ".tflite"):
        from qpwcnet.deploy.exported_file import open_exported

        return open_exported(path)
    network = build(load_any(path), path).to(device)
    if task == "interp" and not isinstance(network, Interpolator):
        raise ValueError(f"{path}: holds a flow network, which makes no frames; use --task flow, or other weights")
    if isinstance(network, Flower) and network.scale_size is None:
        network.scale_size = input_shape
    if compiled:
        network.compile()
    return network
