"""Tensors out of files in which old PyTorch code pickled whole networks, without running anything they ask for.

`torch.load(weights_only=True)` refuses such files, and rightly: unpickling calls whatever a file names, and reading one
without that guard even writes files that it names (for classes that come with their source) and runs TorchScript. So
both formats are read here, and nothing but tensors, numbers, texts and plain containers can be built. Every class that
a file names becomes an inert `Record`, which keeps its arguments and its state and does nothing; a network's tensors
are found in the records' states.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from common.checkpoints.checkpoint_file import load

ZIP = b"PK\x03\x04"  # the first bytes of files since PyTorch 1.6
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Record:
    """What stands for an object of any class: a parameter, a layer, whatever a file names.

    Attributes:
        args: what the class would have been called with; a parameter's first is its tensor.
        state: what it would have been given then, to restore the object.
    """

    def __new__(cls, *args, **_):
        record = super().__new__(cls)
        record.args, record.state = args, None
        return record

    def __init__(self, *_, **__):
        pass

    def __call__(self, *args, **_):
        return Record(*args)

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        """Of what stands for a list."""

    def extend(self, values):
        """Of what stands for a list."""


class _Rebuild:
    """Makes a tensor that looks at a storage. It has no attribute that a file could change."""

    __slots__ = ()

    def __call__(self, storage: Tensor, offset: int, size: tuple, stride: tuple, *_) -> Tensor:
        return storage.as_strided(size, stride, offset)


class _Unpickler(pickle.Unpickler):
    """Finds ordered dictionaries, tensors and records; `storage(key, dtype, count)` gives the elements of a storage."""

    def __init__(self, file: BinaryIO, storage: Callable[[str, torch.dtype, int], Tensor]):
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str):
        """A new class for every mention, so that a file that changes it changes nothing of ours."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module.startswith("torch") and name in STORAGES:
            return STORAGES[name]
        return type(name, (Record,), {})

    def persistent_load(self, reference: tuple):
        """A class that comes with its source, or a storage."""
        kind, found, *rest = reference
        if kind == "module":
            return found
        key, _, count, *view = rest
        storage = self.storage(key, found, count)
        return storage.narrow(0, *view[0][1:]) if view and view[0] else storage  # of its key, first element, count


def _read_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        place = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix(".pkl")

        def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
            return _elements(archive.read(f"{place}/{key}"), dtype, count)

        return _Unpickler(io.BytesIO(archive.read(f"{place}.pkl")), storage).load()


def _read_legacy(path: Path) -> object:
    """The format before PyTorch 1.6: pickles, and then the elements of the storages that the fourth one names."""
    storages: dict[str, Tensor] = {}
    largest = path.stat().st_size

    def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
        if key not in storages:
            if count * dtype.itemsize > largest:
                raise EOFError(f"{count} elements")
            storages[key] = torch.zeros(count, dtype=dtype)
        return storages[key]

    with path.open("rb") as file:
        *_, value, keys = (_Unpickler(file, storage).load() for _ in range(5))
        for key in keys:
            found = storages[key]
            count = int.from_bytes(file.read(8), "little")
            found.copy_(_elements(file.read(count * found.element_size()), found.dtype, count))
    return value


def _elements(data: bytes, dtype: torch.dtype, count: int) -> Tensor:
    if len(data) < count * dtype.itemsize:
        raise EOFError(f"{len(data)} bytes of {count} elements")
    return torch.frombuffer(bytearray(data), dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)


def _read(path: Path) -> object:
    """What a file holds, tensors on the CPU, and records instead of objects.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or no file of PyTorch.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(ZIP)) == ZIP
        return _read_zip(path) if zipped else _read_legacy(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # over damaged bytes unpickling ends in errors of any kind
        what = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise ValueError(f"{path}: broken or incomplete checkpoint ({what}); get it again") from error


def load_module(path: str | Path) -> dict[str, Tensor]:
    """State dict, on the CPU, of a file that holds a whole pickled network, of PyTorch 0.3 or later.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds none, or is broken.
    """
    return _state_dict(_read(Path(path)), path)


def load_any(path: str | Path) -> object:
    """What `checkpoint_file.load` gives; where it refuses, a whole pickled network's state dict, or a dictionary.

    Dictionaries are what MMEngine writes while it trains: the state dict among objects, which are records here.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken, or holds neither.
    """
    try:
        return load(path)
    except ValueError as refused:
        try:
            value = _read(Path(path))
            return value if isinstance(value, dict) else _state_dict(value, path)
        except ValueError:
            raise refused from None


def _state_dict(module: object, source: str | Path) -> dict[str, Tensor]:
    try:
        tensors = dict(_tensors(module, ""))
    except (AttributeError, TypeError, RuntimeError):  # records in each other, or other things where tensors belong
        tensors = {}
    if not tensors:
        raise ValueError(f"{source}: holds no network with tensors, and nothing else in it can be trusted")
    return tensors


def _tensors(module: object, prefix: str):
    """Name and value of a recorded network's parameters and buffers."""
    state = module.state if isinstance(module, Record) else None
    if not isinstance(state, dict):
        return
    for kind in ("_parameters", "_buffers"):
        for name, value in (state.get(kind) or {}).items():
            if isinstance(value, Record):
                value = next(iter(value.args), None)
            if isinstance(value, Tensor):
                yield f"{prefix}{name}", value
    for name, part in (state.get("_modules") or {}).items():
        yield from _tensors(part, f"{prefix}{name}.")
