"""Pickles as PyTorch 0.3 wrote them, and such that ask for a call."""

import pickle
from collections import OrderedDict

import torch
from torch import nn

# PyTorch 0.3.1 reduced a parameter to its class, its tensor and three flags, and a tensor to its storage.


class Stored:
    """A storage of a tensor's elements."""

    def __init__(self, tensor):
        self.tensor = tensor


class OldPickler(pickle._Pickler):
    """What PyTorch 0.3.1's `torch.save` made of a network on a GPU."""

    def __init__(self, file, variable):
        super().__init__(file, protocol=2)
        self.variable, self.storages, self.sources = variable, {}, set()

    def persistent_id(self, value):
        if isinstance(value, Stored):
            key = str(len(self.storages) + 93_000_000)
            self.storages[key] = value.tensor
            return "storage", torch.cuda.FloatStorage, key, "cuda:0", value.tensor.numel(), None
        if isinstance(value, type) and issubclass(value, nn.Module) and value not in self.sources:
            self.sources.add(value)
            return "module", value, "/home/me/model.py", "class TDAN_VSR(nn.Module): ..."
        return None

    def reducer_override(self, value):
        if isinstance(value, nn.Parameter):
            kind = torch.autograd.Variable if self.variable else nn.Parameter
            return kind, (value.data.clone(),), (True, False, OrderedDict())
        if isinstance(value, torch.Tensor):
            return torch._utils._rebuild_tensor, (Stored(value), 0, tuple(value.shape), value.stride())
        return NotImplemented


class Asks:
    """Reduces to any call."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args, state) if state is not None else (function, args)

    def __call__(self):
        """The pickler wants to see that what it will call can be."""

    def __reduce__(self):
        return self.call


def must_equal(found, expected):
    """Two state dicts, tensor by tensor; a failure names those that differ."""
    assert found.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []
