"""Pickled networks that ask for more: nothing is called, nothing written, one line tells what is wrong."""

import importlib.util
import io
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints.safe_unpickle import load_module
from tdan.checkpoints import load_network
from tests.helpers.pickles import Asks, OldPickler, Stored, must_equal


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def network_with(value):
    """A network that has something beside its weights."""
    network = nn.Sequential(nn.Conv2d(3, 3, 3))
    network.more = value
    return network


def write_legacy(body: bytes):
    """A file whose fourth pickle is `body`."""
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    Path("evil.pt").write_bytes(b"".join([*head, body, pickle.dumps([], 2)]))


def text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


RUNS = (
    (__import__("os").system, "touch ran"),
    (exec, "open('ran', 'w')"),
    (eval, "open('ran', 'w')"),
    (open, "ran", "w"),
    (getattr, Asks(__import__, "os"), "system"),
    (Asks(getattr, Asks(__import__, "os"), "system"), "touch ran"),
    (torch.load, "other.pt"),
    (torch.save, 1, "ran"),
    (importlib.import_module, "this"),
    (__import__("numpy").save, "ran", [1]),
    (__import__("subprocess").Popen, ["touch", "ran"]),
    (Path.touch, Path("ran")),
)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("call", RUNS, ids=lambda call: getattr(call[0], "__name__", "nested"))
def test_nothing_is_called(call, zipped):
    for value, holds in ((Asks(*call), False), ({"state_dict": Asks(*call)}, False), (network_with(Asks(*call)), True)):
        torch.save(value, "evil.pt", _use_new_zipfile_serialization=zipped)
        assert not Path("ran").exists()
        if holds:
            must_equal(load_module("evil.pt"), value.state_dict())
        else:
            refused("evil.pt")
        assert sorted(path.name for path in Path().iterdir()) == ["evil.pt"]


def test_the_files_above_are_dangerous():
    torch.save(Asks(*RUNS[0]), "evil.pt")
    torch.load("evil.pt", weights_only=False)
    assert Path("ran").exists()


def refused(name):
    for read in (load_module, load_network):
        with pytest.raises(ValueError, match=name.replace(".", r"\.")) as caught:
            read(name)
        assert len(str(caught.value).splitlines()) == 1


def test_a_class_with_its_source_writes_no_patch():
    """`torch.load` writes NAME.patch for a class that differs from its source, if asked to; here one that asks."""
    for found in (b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cmodel\nTDAN\n"):
        for state in (
            b"N(" + text("__name__") + text("owned") + text("dump_patches") + b"\x88d\x86b",
            b"(" + text("dump_patches") + b"\x88db",
            b"",
        ):
            write_legacy(
                b"\x80\x02(" + text("module") + found + state + text("a.py") + text("class TDAN: pass") + b"tQ."
            )
            refused("evil.pt")
            assert [path.name for path in Path().iterdir()] == ["evil.pt"]


def test_what_a_file_changes_is_not_ours():
    """Attributes of functions, classes and containers that a file names stay as they are."""
    expected = network_with(0)
    torch.save(expected, "good.pt")
    for name in (b"torch._utils\n_rebuild_tensor", b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict",
                 b"builtins\nlist", b"common.checkpoints.safe_unpickle\nRecord", b"torch\nFloatStorage"):  # fmt: skip
        for state in (b"(" + text("__call__") + b"Nd", b"N(" + text("__call__") + b"Nd\x86"):
            write_legacy(b"\x80\x02c" + name + b"\n" + state + b"b.")
            refused("evil.pt")
            must_equal(load_module("good.pt"), expected.state_dict())


class Script(nn.Module):
    """Restored by code that writes a file."""

    def __init__(self):
        super().__init__()
        self.x = torch.zeros(1)

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return self.x, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        self.x, self.training = state[0], state[1]
        torch.save(self.x, "ran")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_does_not_run():
    torch.jit.script(Script()).save("evil.pt")
    Path("ran").unlink(missing_ok=True)
    refused("evil.pt")
    assert not Path("ran").exists()
    torch.jit.load("evil.pt")
    assert Path("ran").exists()


def test_networks_of_other_things():
    """Parts that contain themselves, lists where dictionaries belong, records where tensors belong."""
    for change in (
        lambda network: network._modules.update(self=network),
        lambda network: setattr(network, "_parameters", [1, 2]),
        lambda network: setattr(network, "_parameters", {"weight": "text"}),
        lambda network: setattr(network, "_parameters", torch.ones(3)),
        lambda network: setattr(network, "_modules", "text"),
    ):
        network = nn.ReLU()
        change(network)
        torch.save(network, "evil.pt")
        refused("evil.pt")


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_files(zipped):
    torch.save(network_with(0), "whole.pt", _use_new_zipfile_serialization=zipped)
    data = Path("whole.pt").read_bytes()
    for length in (0, 1, 3, 10, len(data) // 3, len(data) // 2, len(data) - 300, len(data) - 1):
        Path("x.pt").write_bytes(data[:length])
        refused("x.pt")
    generator = torch.Generator().manual_seed(0)
    for start in (b"", data[:4], data[:100], data[:-200]):
        rest = torch.randint(256, (300,), generator=generator, dtype=torch.uint8).numpy().tobytes()
        Path("x.pt").write_bytes(start + rest if start != data[:-200] else start[:200] + rest)
        refused("x.pt")


def test_a_storage_larger_than_its_file_is_not_made():
    file = io.BytesIO()
    pickler = OldPickler(file, False)
    pickler.persistent_id = lambda value: (
        ("storage", torch.FloatStorage, "0", "cpu", 10**13, None) if isinstance(value, Stored) else None
    )
    pickler.dump(torch.zeros(1))
    write_legacy(file.getvalue())
    refused("evil.pt")
