"""Published checkpoints: which layout a file has, and which of our tensors each of its tensors is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import find_weights
from toflow.config import preset
from toflow.model import FORMS, LEVELS, MEAN, STD, Form, SPyNet, TOFlow

# Of the forms below "pytoflow": one file holds the layers of all tasks; those of the others have no effect.
PYTOFLOW = {
    "pytoflow_interp": ("conv_3x2_64_9x9", "conv_64_64_1x1", "conv_64_3_1x1"),
    "pytoflow_denoise": ("conv_3x7_64_9x9", "conv_64_64_1x1", "conv_64_3_1x1"),
    "pytoflow_sr": ("conv_3x7_64_9x9", "conv_64_64_9x9", "conv_64_64_1x1", "conv_64_3_1x1"),
}
PYTOFLOW_LAYERS = {name for names in PYTOFLOW.values() for name in names}
TASKS_OF = {  # of the forms that published files have
    "mmagic_vfi": ("interp",), "mmagic_vfi_bn": ("interp",), "mmagic_vsr": ("sr",), "official_sr": ("sr",),
    "pytoflow_interp": ("interp",), "pytoflow_denoise": ("denoise", "deblock"), "pytoflow_sr": ("sr",),
}  # fmt: skip
# Layout: a tensor that tells it, and the forms that its files may have; one without forms is a flow network alone.
LAYOUTS = {
    "ours": ("processing.0.weight", tuple(FORMS)),
    "mmagic_vfi": ("resnet.res_block.0.weight", ("mmagic_vfi", "mmagic_vfi_bn")),
    "mmagic_vsr": ("conv1.weight", ("official_sr", "mmagic_vsr")),
    "basicsr": ("conv_1.weight", ("official_sr", "mmagic_vsr")),
    "pytoflow": ("ResNet.conv_3x2_64_9x9.weight", tuple(PYTOFLOW)),
    "mmagic_spynet": ("basic_module.0.basic_module.4.conv.weight", ()),
    "moduleBasic": ("moduleBasic.0.moduleBasic.8.weight", ()),
    "netBasic": ("netBasic.0.netBasic.8.weight", ()),
    "our_spynet": ("levels.0.0.weight", ()),
}


def unwrap(value: object, source: str | Path) -> tuple[dict[str, Tensor], str]:
    """The bare state dict in a checkpoint, and its layout.

    Raises:
        ValueError: it is not TOFlow's.
    """
    state = checkpoint_file.unwrap(value, source)
    for layout, (sign, _) in LAYOUTS.items():
        if sign in state:
            return state, layout
    expected, found = LAYOUTS["ours"][0], ", ".join([*state][:3])
    raise ValueError(f"{source}: not a checkpoint of TOFlow: expected a tensor {expected}, or its like, found {found}")


def spynet_names(layout: str, batch_norm: bool, levels: int = LEVELS) -> Iterator[tuple[str, str]]:
    """Published and own names of a flow network's tensors."""
    stride = 3 if batch_norm else 2  # layers from one convolution to the next
    for level in range(levels):
        for number in range(5):
            hidden = batch_norm and number < 4
            for what in ("weight",) if hidden else ("weight", "bias"):
                index = stride * number
                yield _published(layout, level, number, index, "conv", what), f"{level}.{index}.{what}"
            for what in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked") if hidden else ():
                index = stride * number + 1
                yield _published(layout, level, number, index, "bn", what), f"{level}.{index}.{what}"


def _published(layout: str, level: int, number: int, index: int, kind: str, what: str) -> str:
    if layout.startswith("mmagic"):
        return f"basic_module.{level}.basic_module.{number}.{kind}.{what}"
    name = {"basicsr": "basic_module", "netBasic": "netBasic"}.get(layout, "moduleBasic")
    return f"{name}.{level}.{name}.{index}.{what}"


def names(layout: str, form_name: str) -> dict[str, str]:
    """Published -> own name of every tensor that counts, for a file of that layout and form."""
    form = FORMS[form_name]
    prefix = "SpyNet" if layout == "pytoflow" else "spynet"
    table = {f"{prefix}.{a}": f"spynets.0.levels.{b}" for a, b in spynet_names(layout, form.batch_norm)}
    layers = {
        "mmagic_vfi": [f"resnet.res_block.{2 * k}" for k in range(3)],
        "mmagic_vsr": [f"conv{k}" for k in range(1, 5)],
        "basicsr": [f"conv_{k}" for k in range(1, 5)],
        "pytoflow": [f"ResNet.{name}" for name in PYTOFLOW.get(form_name, ())],
    }[layout]
    for number, layer in enumerate(layers):
        table |= {f"{layer}.{what}": f"processing.{2 * number}.{what}" for what in ("weight", "bias")}
    return table | ({"mean": "mean", "std": "std"} if layout == "basicsr" else {})


def convert(state: dict[str, Tensor], layout: str, form_name: str) -> dict[str, Tensor]:
    """A published state dict under our own names; tensors that no table knows keep theirs, so that loading refuses."""
    if layout == "ours":
        return state
    without_effect = set()
    if layout == "pytoflow":
        unused = PYTOFLOW_LAYERS - set(PYTOFLOW[form_name])
        without_effect = {f"ResNet.{name}.{what}" for name in unused for what in ("weight", "bias")}
    table = names(layout, form_name)
    own = {table.get(key, key): x for key, x in state.items() if key not in without_effect}
    counters = {key: torch.tensor(0) for key in table.values() if key.endswith("num_batches_tracked")}  # no effect
    # MMagic's interpolation files hold a mean and a deviation that their network never reads.
    normalisation = {"mean": torch.tensor(MEAN).view(1, 3, 1, 1), "std": torch.tensor(STD).view(1, 3, 1, 1)}
    return counters | own | (normalisation if layout != "basicsr" else {})


def choose_form(state: dict[str, Tensor], layout: str, asked: str, task: str | None, source: str | Path) -> str:
    """Name of the form in `FORMS` that a file has.

    Args:
        state: its tensors.
        layout: one of `LAYOUTS`.
        asked: the form of the settings.
        task: what the network is for, where it need not be the form asked for; None: it must be that one.
        source: names the file in errors.

    Raises:
        ValueError: it is a flow network alone, of another form than the one asked for, or for another task.
    """
    forms = LAYOUTS[layout][1]
    if not forms:
        raise ValueError(
            f"{source}: holds a flow network alone, not TOFlow: train from it (--set spynet={source}), or name the "
            "whole model with --ckpt_abs_name"
        )
    if layout == "mmagic_vfi":
        forms = forms[1:] if any(".bn." in key for key in state) else forms[:1]
    if asked in forms:
        return asked
    of_task = [name for name in forms if task in TASKS_OF[name]] if task else []
    if not of_task:
        tasks = " or ".join(dict.fromkeys(one for name in forms for one in TASKS_OF[name]))
        wanted = f"it is for {tasks}, not for {task}" if task else f"{asked} was asked for; give --network {forms[0]}"
        raise ValueError(f"{source}: holds {' or '.join(forms)}: {wanted}")
    return of_task[0]


def load_network(path: str | Path, asked: str, *, task: str | None = None, align_corners: bool = True) -> TOFlow:
    """The network of a checkpoint file with its weights, on the CPU, ready to run; see `choose_form`.

    Raises:
        ValueError: another form, or tensors missing, unexpected or of another shape.
    """
    state, layout = unwrap(checkpoint_file.load(path), path)
    name = choose_form(state, layout, asked, task, path)
    network = TOFlow(replace(FORMS[name], align_corners=align_corners))
    checkpoint_file.load_strict(network, convert(state, layout, name), path)
    return network.eval()


def load_spynet(spynet: SPyNet, path: str | Path) -> None:
    """Fill a flow network from a file that holds one alone; of six published levels the four coarsest.

    Raises:
        ValueError: it holds something else, or tensors are missing, unexpected or of another shape.
    """
    state, layout = unwrap(checkpoint_file.load(path), path)
    if LAYOUTS[layout][1]:
        raise ValueError(f"{path}: holds a whole model, expected a flow network alone; start with --ckpt_abs_name")
    if _batch_norm(state) != spynet.form.batch_norm:
        with_it, without = ("it", "no") if spynet.form.batch_norm else ("none", "")
        raise ValueError(
            f"{path}: has {without or 'a'} batch normalisation, but the network to train has {with_it}: choose another "
            "--network, or start from nothing (--set spynet=)"
        )
    whole = _spynet(state, layout, spynet.form, path)
    del whole.levels[len(spynet.levels) :]
    checkpoint_file.load_strict(spynet, whole.state_dict(), path)


def _batch_norm(state: dict[str, Tensor]) -> bool:
    return any(key.endswith("running_mean") for key in state)


def _spynet(state: dict[str, Tensor], layout: str, form: Form, source: str | Path) -> SPyNet:
    """The flow network alone whose tensors these are, with as many levels as they have."""
    finest = {"our_spynet": "levels.5.0.weight"}.get(layout, f"{layout}.5.{layout}.0.weight")
    levels = 6 if finest in state else LEVELS
    table = dict(spynet_names(layout, form.batch_norm, levels))
    renamed = {f"levels.{table[key]}" if key in table else key: x for key, x in state.items()}
    spynet = SPyNet(form, levels=levels)
    checkpoint_file.load_strict(spynet, renamed, source)
    return spynet


def read(path: str | Path, config: str = "") -> TOFlow | SPyNet:
    """The network of a published file, or of ours, with its weights: TOFlow, or a flow network alone.

    Args:
        path: the file.
        config: preset whose form it must have; "": the file tells it, and pytoflow's name the task.

    Raises:
        ValueError: it holds something else, or `config` is needed and absent.
    """
    state, layout = unwrap(checkpoint_file.load(path), path)
    forms = LAYOUTS[layout][1]
    if not forms:
        return _spynet(state, layout, FORMS["mmagic_vfi_bn" if _batch_norm(state) else "mmagic_vfi"], path).eval()
    if config:
        settings = preset(config)
        return load_network(path, settings.network, align_corners=settings.align_corners)
    if layout == "ours" or (layout == "pytoflow" and f"pytoflow_{Path(path).stem}" not in PYTOFLOW):
        raise ValueError(f"{path}: does not tell which form of the network it holds: give --config")
    return load_network(path, "", task=Path(path).stem if layout == "pytoflow" else TASKS_OF[forms[0]][0])


def write(network: TOFlow | SPyNet, layout: str) -> dict:
    """What a published file of that layout holds; of pytoflow's layers those without effect are zero.

    Raises:
        ValueError: this network has no such layout.
    """
    alone, form = isinstance(network, SPyNet), replace(network.form, align_corners=True)
    fits = [name for name, (_, forms) in LAYOUTS.items() if not forms or form in [FORMS[one] for one in forms]]
    fits = [name for name in fits if alone == (not LAYOUTS[name][1]) and not name.startswith("our")]
    if layout not in fits:
        raise ValueError(f"--layout {layout}: expected {' or '.join(['ours', *fits])}")
    own = network.state_dict()
    if alone:
        table = spynet_names(layout, form.batch_norm, len(network.levels))
        return {theirs: own[f"levels.{name}"] for theirs, name in table}
    form_name = next(name for name in LAYOUTS[layout][1] if FORMS[name] == form)
    state = {theirs: own[name] for theirs, name in names(layout, form_name).items()}
    if layout == "pytoflow":
        inputs = {"conv_3x2_64_9x9": 6, "conv_3x7_64_9x9": 21, "conv_64_64_9x9": form.channels}
        for name in PYTOFLOW_LAYERS - set(PYTOFLOW[form_name]):
            state[f"ResNet.{name}.weight"] = torch.zeros(form.channels, inputs[name], 9, 9)
            state[f"ResNet.{name}.bias"] = torch.zeros(form.channels)
        return state
    if layout == "basicsr":
        return {"params": state}
    state |= {name: own[name] for name in ("mean", "std") if layout == "mmagic_vfi"}
    return {"meta": {}, "state_dict": {f"generator.{name}": tensor for name, tensor in state.items()}}


def load(options, config, device: torch.device) -> tuple[TOFlow | None, Path | None]:
    """The network that the options ask for, on the device and ready to run, and its checkpoint's path.

    Both are None under `--baseline`.

    Raises:
        ValueError: there is no such checkpoint, or it is of another form.
    """
    if options.baseline:
        return None, None
    path = find_weights(options, config, "toflow")
    named = options.config or hasattr(options, "network") or any(x.startswith("network=") for x in options.set)
    task = None if named else config.task
    network = load_network(path, config.network, task=task, align_corners=config.align_corners)
    return on_device(network, device, config.compile), path


def on_device(network: TOFlow, device: torch.device, compiled: bool) -> TOFlow:
    """The network there, compiled if asked for."""
    network = network.to(device)
    if compiled:
        network.compile()
    return network
