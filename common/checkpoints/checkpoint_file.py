"""Checkpoints: written whole or not at all, loaded without running anything, resumed exactly."""

import copy
import pickle
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from common import atomic
from common.file_cache import FILES

SAFETENSORS = ".safetensors"
# Keys under which files keep the state dict, or a dictionary with it, beside other things; an average wins.
WRAPPERS = (
    "params_ema", "ema", "state_dict", "model_state_dict", "net_state_dict", "params", "net", "model", "weights",
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.", "generator.", "model.", "net.")  # before all names, also one behind the other
IGNORED = ("data_preprocessor.", "step_counter", "pixel_loss.", "lq_pixel_loss.")  # of MMagic's files, without weights


def save(value: object, path: str | Path) -> None:
    """Write plain tensors and Python values; a crash at any moment leaves the old file or the new one, never a part.

    Args:
        value: what `torch.load(weights_only=True)` can read back; for a .safetensors file a state dict.
        path: the file; its folder is made if needed.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    try:
        with atomic.replacing(path) as file:
            if Path(path).suffix == SAFETENSORS:
                file.write(safetensors.torch.save({key: tensor.contiguous() for key, tensor in value.items()}))
            else:
                torch.save(value, file)
    except RuntimeError as error:  # torch turns a failed write into one of its own
        raise OSError(f"{path}: could not be written ({str(error).splitlines()[0]}); is the disk full?") from error


def load(path: str | Path, device: torch.device | str = "cpu"):
    """Read a checkpoint of plain tensors and Python values, or a .safetensors file; nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or holds something other than plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    bytes_of = path.stat().st_size
    return FILES.get(path, str(device), lambda: _read(path, device), copy.deepcopy, lambda _: bytes_of)


def _read(path: Path, device: torch.device | str):
    if found := _no_checkpoint(path):
        raise ValueError(f"{path}: is no checkpoint, but {found}")
    try:
        if path.suffix == SAFETENSORS:
            return safetensors.torch.load_file(path, str(device))
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: refused, it holds more than tensors and plain values, or is no checkpoint; "
            "only state dicts of tensors are loaded"
        ) from error
    except Exception as error:  # over damaged bytes torch's reader ends in errors of any kind
        what = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise ValueError(f"{path}: broken or incomplete checkpoint ({what}); get it again") from error


def _no_checkpoint(path: Path) -> str:
    """What a file is that holds no weights, as far as its first bytes tell; empty if they do not."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "an empty file"
    if head.lstrip().startswith(b"<"):
        return "a web page"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS instead of the file: get it with `git lfs pull`"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if not any(name.endswith("/data.pkl") for name in names):
            return f"a zip of {_some(names)}: take the weights out of it"
    return ""


def _some(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    return (", ".join(map(str, names[:3])) or "nothing") + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def unwrap(value: object, source: str | Path = "the checkpoint") -> dict[str, torch.Tensor]:
    """The bare state dict in whatever a file holds: out of `WRAPPERS`, without `PREFIXES` and `IGNORED`.

    Raises:
        ValueError: there is none; the line tells which keys were found.
    """
    while isinstance(value, dict):
        inner = next((value[key] for key in WRAPPERS if isinstance(value.get(key), dict) and value[key]), None)
        if inner is None:
            break
        value = inner
    state = {key: x for key, x in state_dict(value, source).items() if not key.startswith(IGNORED)}
    while state and (prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), "")):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def state_dict(value: object, source: str | Path = "the checkpoint") -> dict[str, torch.Tensor]:
    """Check that `value` is a state dict and drop the `module.` that DataParallel and DDP put before every key.

    Only a leading `module.` with its dot goes: LiteFlowNet's own names begin with `module` too.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, dict) or not value or not all(isinstance(v, torch.Tensor) for v in value.values()):
        keys = f" with the keys {_some(list(value))}" if isinstance(value, dict) and value else ""
        raise ValueError(
            f"{source}: expected a state dict, names and tensors, found {type(value).__name__} of other things{keys}"
        )
    if all(key.startswith("module.") for key in value):
        return {key.removeprefix("module."): tensor for key, tensor in value.items()}
    return dict(value)


def load_strict(model: nn.Module, value: object, source: str | Path = "the checkpoint") -> None:
    """Load a state dict, with or without `module.`; every tensor must have its place and its shape.

    Raises:
        ValueError: tensors are missing, unexpected or of another shape; the line lists the first of each.
    """
    state = state_dict(value, source)
    own = model.state_dict()
    faults = []
    for title, keys in (
        ("missing", [key for key in own if key not in state]),
        ("unexpected", [key for key in state if key not in own]),
        (
            "of another shape",
            [
                f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
                for key in own
                if key in state and state[key].shape != own[key].shape
            ],
        ),
    ):
        if keys:
            faults.append(f"{len(keys)} {title}: {_some(keys)}")
    if faults:
        raise ValueError(f"{source}: not a checkpoint of this network; {'; '.join(faults)}")
    model.load_state_dict(state)


def random_states() -> dict:
    """The state of every random generator of this process, as plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict) -> None:
    """Undo to what `random_states` saw. The number of CUDA devices may have changed: extra ones keep their state."""
    random.setstate(states["python"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), position, has_gauss, gauss))
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available():
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state.cpu(), device)
