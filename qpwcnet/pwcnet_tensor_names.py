"""Names of PWC-Net's tensors: our own, and those of every published file.

NVlabs' `pwc_net.pth.tar` and `pwc_net_chairs.pth.tar` and ptlflow's `pwcnet-*` (without the context network) and
`pwcdcnet-*` share one naming; the two-convolution network, PWCDCNet_old, has it too. sniklaus' code says
`netExtractor.netOne.0` where his files say `moduleExtractor.moduleOne.0`. No tensor is transposed.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoints import checkpoint_file
from qpwcnet.pwcnet import CHANNELS, CONTEXT, DENSE, INSIDE, INSIDE_OLD, LEVELS

UNUSED = ("deconv2.weight", "deconv2.bias")  # of NVlabs': enlarges the finest flow, which nothing reads
NUMBERS = ("One", "Two", "Thr", "Fou", "Fiv", "Six")  # sniklaus' 1 to 6


def layers(variant: str) -> dict[str, tuple[str, str]]:
    """Our name of each layer of a variant -> NVlabs' and sniklaus' names of it."""
    names = {}
    for level in CHANNELS:
        if variant == "PWC-Net_old":
            steps = ("a", "b")
        else:
            steps = ("aa", "a", "b") if level == 6 else ("a", "aa", "b")
        for place, step in enumerate(steps):
            theirs = f"netExtractor.net{NUMBERS[level - 1]}.{2 * place}"
            names[f"pyramid.{level - 1}.{place}"] = (f"conv{level}{step}.0", theirs)
    for level in LEVELS:
        own, theirs = f"decoder.{level}", f"net{NUMBERS[level - 1]}"
        if level != LEVELS[0]:  # NVlabs counts what enlarges by where it comes from
            names[f"{own}.up_flow"] = (f"deconv{level + 1}", f"{theirs}.netUpflow")
            names[f"{own}.up_feature"] = (f"upfeat{level + 1}", f"{theirs}.netUpfeat")
        for place in range(len(DENSE)):
            names[f"{own}.dense.{place}"] = (f"conv{level}_{place}.0", f"{theirs}.net{NUMBERS[place]}.0")
        names[f"{own}.flow"] = (f"predict_flow{level}", f"{theirs}.netSix.0")
    if variant != "PWC-Net_small":
        last = len(CONTEXT)
        for place in range(last + 1):
            nvlabs = f"dc_conv{place + 1}" + ("" if place == last else ".0")
            names[f"context.{place}"] = (nvlabs, f"netRefiner.netMain.{2 * place}")
    return names


def adapt(value: object, source: str | Path = "the checkpoint") -> tuple[dict[str, Tensor], str]:
    """The state dict in a checkpoint under our names, and the variant of its network.

    Args:
        value: whatever `checkpoint_file.unwrap` takes a state dict out of, in any of the namings.
        source: names the checkpoint in errors.

    Returns:
        What `checkpoint.load_strict` takes, which compares the shapes, and one of `VARIANTS`.

    Raises:
        ValueError: it is not PWC-Net's, or tensors are missing or unexpected; the line lists the first of each under
            the file's names.
    """
    state = checkpoint_file.unwrap(value, source)

    def has(pattern: str) -> bool:
        return any(re.match(pattern, key) for key in state)

    if has(r"conv\da+\."):
        variant = _variant(old=not has(r"conv\daa\."), small=not has("dc_conv"))
        published = {own: nvlabs for own, (nvlabs, _) in layers(variant).items()}
        state = {key: tensor for key, tensor in state.items() if key not in UNUSED}
        inside = INSIDE_OLD if variant == "PWC-Net_old" else INSIDE
    elif has("(net|module)Extractor"):
        variant, word, inside = "PWC-Net", "net" if has("netExtractor") else "module", INSIDE_OLD
        published = {own: sniklaus.replace("net", word) for own, (_, sniklaus) in layers(variant).items()}
    elif has(r"pyramid\.\d"):
        variant = _variant(old=not has(r"pyramid\.\d\.2\."), small=not has(r"context\."))
        published, inside = {own: own for own in layers(variant)}, None
    else:
        raise ValueError(
            f"{source}: not a checkpoint of PWC-Net: expected tensors named as NVlabs' (conv1a.0.weight), sniklaus' "
            f"(moduleExtractor.moduleOne.0.weight) or ours (pyramid.0.0.weight), found {next(iter(state))}"
        )
    names = {f"{own}.{kind}": f"{theirs}.{kind}" for own, theirs in published.items() for kind in ("weight", "bias")}
    if inside is None:
        names["inside"] = "inside"
    faults = {
        "missing": [name for name in names.values() if name not in state],
        "unexpected": sorted(state.keys() - set(names.values())),
    }
    if any(faults.values()):
        told = "; ".join(f"{len(keys)} {what}: {_some(keys)}" for what, keys in faults.items() if keys)
        raise ValueError(f"{source}: not a checkpoint of {variant}; {told}")
    rule = {} if inside is None else {"inside": torch.tensor(inside)}
    return {own: state[name] for own, name in names.items()} | rule, variant


def _variant(old: bool, small: bool) -> str:
    return "PWC-Net_old" if old else "PWC-Net_small" if small else "PWC-Net"


def _some(keys: list[str]) -> str:
    """The first few of them."""
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
