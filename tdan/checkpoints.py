"""Published checkpoints: which layout a file has, and which of our tensors each of its tensors is.

MMagic's files hold a state dict. The authors' two (`model.pt`, `model_gaussian.pt`) hold the whole network as PyTorch
0.3.1 pickled it; `safe_unpickle` takes the tensors out without running anything that such a file asks for. Which of
the two degradations a file was trained for, only its name tells.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from common.checkpoints.safe_unpickle import load_any
from common.ops.deform_conv import BORDERS
from tdan.config import PRESETS
from tdan.model import GROUPS, TAPS, TDAN

PREFIXES = ("align_net.", "rec_net.")  # of the parts of the authors' network
# Published -> own name of each layer. The longest fits first: "reconstruct.3" is the last layer of a twofold network.
MMAGIC = {
    "feat_extract.0.conv": "first",
    "feat_extract.1": "blocks_before",
    "feat_aggregate.0": "aggregate",
    "feat_aggregate.1.conv_offset": "deform.0.offset",
    "feat_aggregate.1": "deform.0",
    "feat_aggregate.2.conv_offset": "deform.1.offset",
    "feat_aggregate.2": "deform.1",
    "align_1.conv_offset": "deform.2.offset",
    "align_1": "deform.2",
    "align_2.conv_offset": "deform.3.offset",
    "align_2": "deform.3",
    "to_rgb": "to_rgb",
    "reconstruct.0.conv": "fuse",
    "reconstruct.1": "blocks_after",
    "reconstruct.2.upsample_conv": "enlarge.0",
    "reconstruct.3.upsample_conv": "enlarge.1",
    "reconstruct.3": "last",
    "reconstruct.4": "last",
}
AUTHORS = {
    "conv_first": "first",
    "residual_layer": "blocks_before",
    "cr": "aggregate",
    "off2d_1": "deform.0.offset",
    "dconv_1": "deform.0",
    "off2d_2": "deform.1.offset",
    "deconv_2": "deform.1",
    "off2d_3": "deform.2.offset",
    "deconv_3": "deform.2",
    "off2d": "deform.3.offset",
    "dconv": "deform.3",
    "recon_lr": "to_rgb",
    "fea_ex.0": "fuse",
    "recon_layer": "blocks_after",
    "up.0.0": "enlarge.0",
    "up.0.2": "enlarge.1",
    "up.1": "last",
}
# Layout: a tensor that tells it, its names, the border rule that its weights were trained by.
LAYOUTS = {
    "ours": ("first.weight", {}, None),
    "mmagic": ("feat_extract.0.conv.weight", MMAGIC, "torchvision"),
    "authors": ("conv_first.weight", AUTHORS, "tdan"),
}


def own_name(name: str, table: dict[str, str]) -> str:
    """Our name of a published tensor; one that the table does not know keeps its name."""
    layers = [layer for layer in table if name.startswith(f"{layer}.")]
    if not layers:
        return name
    layer = max(layers, key=len)
    return table[layer] + name.removeprefix(layer)


def convert(value: object, source: str | Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint of any layout, under our own names and with its border rule.

    Raises:
        ValueError: it is not TDAN's.
    """
    state = {}
    for name, tensor in checkpoint_file.unwrap(value, source).items():
        if name.startswith(PREFIXES):
            name = name.partition(".")[2]
        state[re.sub(r"(?<!\.conv)_offset\.", ".conv_offset.", name)] = tensor  # as old mmcv named them
    for sign, table, border in LAYOUTS.values():
        if sign in state:
            own = {own_name(name, table): tensor for name, tensor in state.items()}
            rule = {} if border is None else {"border": torch.tensor(BORDERS.index(border), dtype=torch.uint8)}
            return own | rule
    expected, found = LAYOUTS["ours"][0], ", ".join([*state][:3])
    raise ValueError(f"{source}: not a checkpoint of TDAN: expected a tensor {expected}, or of its kind, found {found}")


def build(state: dict[str, Tensor], source: str | Path) -> TDAN:
    """The network that a state dict with our names is of, on the CPU, with its weights, ready to run.

    Raises:
        ValueError: tensors are missing, unexpected or of another shape.
    """
    rule = state["border"].tolist() if "border" in state else 0
    if rule not in range(len(BORDERS)):
        raise ValueError(f"{source}: border {rule}: expected the place of one of {', '.join(BORDERS)}")
    before, after = (
        len({name.split(".")[1] for name in state if name.startswith(f"{part}.")})
        for part in ("blocks_before", "blocks_after")
    )
    scale = 4 if any(name.startswith("enlarge.1.") for name in state) else 2
    channels, offsets = len(state["first.weight"]), state.get("deform.0.offset.weight", ())
    groups = len(offsets) // (2 * TAPS) or GROUPS
    form = {"scale": scale, "groups": groups, "border": BORDERS[rule], "add_bicubic": "bicubic" in state}
    try:
        network = TDAN(channels, before, after, **form)
    except ValueError as error:
        raise ValueError(f"{source}: not a checkpoint of this network; {error}") from error
    checkpoint_file.load_strict(network, state, source)
    return network.eval()


def load_network(path: str | Path) -> TDAN:
    """The network of a checkpoint file with its weights, on the CPU, ready to run; the file tells its form.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint of TDAN.
    """
    return build(convert(load_any(path), path), path)


def check_form(network: TDAN, config, source: str | Path) -> None:
    """Refuse a network of another form than the settings have: a file may be of another run, or lack whole blocks.

    Raises:
        ValueError: it is.
    """
    form = {
        "channels": len(network.first.weight),
        "blocks_before": len(network.blocks_before),
        "blocks_after": len(network.blocks_after),
        "scale": network.scale,
        "groups": network.groups,
        "add_bicubic": network.add_bicubic,
    }
    other = {name: value for name, value in form.items() if value != getattr(config, name)}
    if other:
        told = ", ".join(f"{name} {value} instead of {getattr(config, name)}" for name, value in other.items())
        flags = " ".join(f"--set {name}={value}" for name, value in other.items())
        raise ValueError(f"{source}: has {told}: give the --config that it was trained with, or {flags}")


def read(path: str | Path, config: str = "") -> TDAN:
    """The network of a published file, or of ours, with its weights.

    Args:
        path: the file.
        config: preset whose form it must have; "": the file tells it.

    Raises:
        ValueError: it is no checkpoint of TDAN, or of another form.
    """
    network = load_network(path)
    if config:
        check_form(network, PRESETS[config], path)
    return network


def write(network: TDAN, layout: str) -> dict:
    """What a published file of that layout holds; of the authors', which hold the whole network, the state dict.

    Raises:
        ValueError: there is no such layout, or its weights need another border rule.
    """
    published = {name: value for name, value in LAYOUTS.items() if name != "ours"}
    if layout not in published:
        raise ValueError(f"--layout {layout}: expected ours or one of {', '.join(published)}")
    if network.add_bicubic:
        raise ValueError(f"--layout {layout}: no published network adds to a bicubic enlargement, as this one does")
    _, table, border = published[layout]
    own_border = BORDERS[int(network.border)]
    if border != own_border:
        raise ValueError(f"--layout {layout}: goes with the border rule {border}, these weights with {own_border}")
    table = dict(table)
    if layout == "mmagic":  # the last layer comes behind one or two that enlarge; the table has both names
        table.pop("reconstruct.3" if network.scale == 4 else "reconstruct.4")
        if network.scale == 2:
            table.pop("reconstruct.3.upsample_conv")
    theirs = {own: name for name, own in table.items()}
    state = {key: tensor for key, tensor in network.state_dict().items() if key != "border"}
    state = {own_name(key, theirs): tensor for key, tensor in state.items()}
    if layout == "authors":
        return state
    return {"meta": {}, "state_dict": {f"generator.{key}": tensor for key, tensor in state.items()}}


def load(options, config, device: torch.device) -> tuple[TDAN | None, Path | None]:
    """The network that the options ask for, on the device and ready to run, and its checkpoint's path.

    Both are None under `--baseline`.

    Raises:
        ValueError: there is no such checkpoint, or it is of another form.
    """
    if options.baseline:
        return None, None
    path = find_weights(options, config, "tdan")
    network = load_network(path)
    check_form(network, config, path)
    return on_device(network, device, config.compile), path


def on_device(network: TDAN, device: torch.device, compiled: bool) -> TDAN:
    """The network there, compiled if asked for."""
    network = network.to(device)
    if compiled:
        for name in ("extract", "fuse_window"):  # `stream.Enhancer` calls these, not the network as a whole
            setattr(network, name, torch.compile(getattr(network, name)))
    return network
