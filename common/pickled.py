"""Tensors out of files in which old PyTorch code pickled whole networks, without running anything they ask for.

`torch.load(weights_only=True)` refuses such files, and rightly: unpickling calls whatever a file names. Here nothing
but tensors, numbers, texts and plain containers can be built. Every class that a file names becomes an inert `Record`,
which takes its arguments and its state and does nothing; a network's tensors are found in the records' states.
"""

import pickle
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoint import load


class Record:
    """What stands for an object of any class; `state` is what the class would have been given to restore it."""

    dump_patches = False  # PyTorch asks classes that come with their source
    state = None

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        """Of what stands for a list."""

    def extend(self, values):
        """Of what stands for a list."""


def _plain(data: Tensor, *_) -> Tensor:
    return data


_CALLED = {  # what a file may have called
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _plain,
    ("torch.nn.parameter", "Parameter"): _plain,
    ("torch.autograd.variable", "Variable"): _plain,
}


class _Unpickler(pickle.Unpickler):
    """Finds nothing but `_CALLED` and records."""

    def find_class(self, module: str, name: str):
        """A new function or class for every mention, so that a file that changes it changes nothing of ours."""
        function = _CALLED.get((module, name))
        return (lambda *args: function(*args)) if function else type(name, (Record,), {})


class _Pickle:
    """What `torch.load` takes for the module `pickle`."""

    __name__ = "pickle"
    Unpickler = _Unpickler

    @staticmethod
    def load(file, **options):
        return _Unpickler(file, **options).load()


def load_module(path: str | Path) -> dict[str, Tensor]:
    """State dict, on the CPU, of a file that holds a whole pickled network, of PyTorch 0.3 or later.

    Raises:
        ValueError: it holds none, or is broken.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a class's source is not here
            value = torch.load(path, map_location="cpu", pickle_module=_Pickle, weights_only=False)
    except Exception as error:  # over damaged bytes torch's reader ends in errors of any kind
        what = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise ValueError(f"{path}: broken or incomplete checkpoint ({what}); get it again") from error
    tensors = dict(_tensors(value, ""))
    if not tensors:
        raise ValueError(f"{path}: holds no network with tensors, and nothing else in it can be trusted")
    return tensors


def load_any(path: str | Path) -> object:
    """What `common.checkpoint.load` gives, or, where it refuses a whole pickled network, that network's state dict.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or holds neither.
    """
    try:
        return load(path)
    except ValueError as refused:
        try:
            return load_module(path)
        except ValueError:
            raise refused from None


def _tensors(module: object, prefix: str):
    """Name and value of a recorded network's parameters and buffers."""
    state = module.state if isinstance(module, Record) else None
    if not isinstance(state, dict):
        return
    for kind in ("_parameters", "_buffers"):
        for name, value in (state.get(kind) or {}).items():
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value.detach()
    for name, part in (state.get("_modules") or {}).items():
        yield from _tensors(part, f"{prefix}{name}.")
