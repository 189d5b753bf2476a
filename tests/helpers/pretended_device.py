"""A device that is not there, for tests of what a GPU would meet: its tensors wrap those of the CPU and really compute.

An operation that mixes them with the CPU's raises, as on CUDA (a CPU tensor of one number is no mixing there). What
goes up to the device is listed, and what makes the program wait for it. `install` is for a process of its own: PyTorch
keeps a device for as long as it runs. Autocast changes nothing on it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from common import cli
from common.training.minimiser import Minimiser

NAME = "pretended"
CPU = torch.device("cpu")
aten = torch.ops.aten
COPIES = (aten.copy_.default, aten._to_copy.default, aten._copy_from.default)
WAITS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default)
_libraries = []


class Traffic:
    """What went up (type and shape) and what was waited for (operation), while `on`; `steps` of an optimiser."""

    def __init__(self):
        self.uploads, self.waits, self.steps, self.on = [], [], 0, False

    def note(self, function: Callable, args: tuple, results) -> None:
        """Look at an operation that was done."""
        if not self.on:
            return
        if function in COPIES:
            source = args[1] if function is aten.copy_.default else args[0]
            target = {aten.copy_.default: args[0], aten._to_copy.default: results}.get(function, args[1:2] and args[1])
            if not isinstance(source, OnDevice):
                self.uploads.append([str(source.dtype), list(source.shape)])
            elif not isinstance(target, OnDevice):
                self.waits.append(str(function))
        masks = [x for x in tree_flatten(args[1:])[0] if isinstance(x, Tensor) and x.dtype == torch.bool]
        if function in WAITS or (masks and function in (aten.index.Tensor, aten.index_put_.default)):
            self.waits.append(str(function))


TRAFFIC = Traffic()


class OnDevice(Tensor):
    """A tensor of the device; `plain` holds its numbers."""

    @staticmethod
    def __new__(cls, real: Tensor):
        like = {"strides": real.stride(), "storage_offset": real.storage_offset(), "dtype": real.dtype}
        with torch.inference_mode(False):  # PyTorch cannot make a wrapper for inference a view
            made = Tensor._make_wrapper_subclass(cls, real.shape, device=f"{NAME}:0", **like)
        made.plain = real
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _compute(function, *args, **(kwargs or {}))

    def tolist(self) -> list:
        """PyTorch's own is not for subclasses."""
        return self.cpu().tolist()


def _compute(function, *args, **kwargs):
    leaves, tree = tree_flatten((args, kwargs))
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    strangers = [x for x in tensors if not isinstance(x, OnDevice) and x.dim()]
    if strangers and len(strangers) < len(tensors) and function not in COPIES:
        raise RuntimeError(f"{function}: all tensors on one device, but one of {strangers[0].shape} is on the CPU")
    wrappers = {id(x.plain): x for x in tensors if isinstance(x, OnDevice)}
    plain = [x.plain if isinstance(x, OnDevice) else CPU if isinstance(x, torch.device) else x for x in leaves]
    args_, kwargs_ = tree_unflatten(plain, tree)
    results = function(*args_, **kwargs_)
    if CPU not in leaves and not (function is aten.copy_.default and not isinstance(args[0], OnDevice)):
        results = tree_map_only(Tensor, lambda x: wrappers[id(x)] if id(x) in wrappers else OnDevice(x), results)
    TRAFFIC.note(function, args, results)
    return results


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    TRAFFIC.note(aten._copy_from.default, (source, target), target)
    both = [x.plain if isinstance(x, OnDevice) else x for x in (source, target)]
    both[1].copy_(both[0])
    return target


class _Guard(torch._C._acc.DeviceGuard):
    def type_(self):
        return torch._C._autograd.DeviceType.PrivateUse1


class _Module:
    @staticmethod
    def get_amp_supported_dtype():
        return [torch.bfloat16, torch.float16]

    @staticmethod
    def device_count():
        return 1

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def _is_in_bad_fork():
        return False

    @staticmethod
    def manual_seed_all(seed):
        pass


def install(report: str, training: bool) -> None:
    """Make the device, and let a command write `TRAFFIC` to a file when it ends.

    Args:
        report: file, json: `uploads`, `waits`, `steps`.
        training: note steps, from the first module that is called to the end of the optimiser's step; else all from
            the first module on.
    """
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module(), device_guard=_Guard())
    every, own = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    every.fallback(_compute, "PrivateUse1")
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    own.impl("_copy_from", _copy_from, "PrivateUse1")
    _libraries.extend((every, own))

    def begin(*_) -> None:
        TRAFFIC.on = TRAFFIC.on or torch.is_grad_enabled() == training

    step, run = Minimiser.step, cli.run

    def counted_step(*given):
        values = step(*given)
        TRAFFIC.on, TRAFFIC.steps = False, TRAFFIC.steps + 1
        return values

    def reported_run(*given):
        code = run(*given)
        Path(report).write_text(json.dumps({key: getattr(TRAFFIC, key) for key in ("uploads", "waits", "steps")}))
        return code

    torch.nn.modules.module.register_module_forward_pre_hook(begin)
    Minimiser.step, cli.run = counted_step, reported_run
