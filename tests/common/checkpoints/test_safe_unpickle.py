"""Whole pickled networks: their tensors come out, and nothing that a file asks for happens."""

import importlib.util
import io
import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.checkpoints.safe_unpickle import load_any, load_module
from tdan.checkpoints import AUTHORS, MMAGIC, load_network, own_name
from tdan.model import TDAN

MODEL = """
import torch
from torch import nn
from modules.deform_conv import ConvOffset2d

class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.relu, self.conv2 = nn.Conv2d(c, c, 3), nn.ReLU(), nn.Conv2d(c, c, 3)

class TDAN_VSR(nn.Module):
    def __init__(self, c=8, shared=0):
        super().__init__()
        self.scale, self.name = 4, "TDAN"
        self.conv_first, self.relu = nn.Conv2d(3, c, 3), nn.ReLU(inplace=True)
        self.residual_layer = nn.Sequential(Block(c))
        self.cr = nn.Conv2d(2 * c, c, 3)
        for name in ("off2d_1", "off2d_2", "off2d_3", "off2d"):
            setattr(self, name, nn.Conv2d(c, 144, 3))
        for name in ("dconv_1", "deconv_2", "deconv_3", "dconv"):
            setattr(self, name, ConvOffset2d(c))
        self.recon_lr = nn.Conv2d(c, 3, 3)
        self.fea_ex = nn.Sequential(nn.Conv2d(15, c, 3), nn.ReLU())
        block = Block(c)
        self.recon_layer = nn.Sequential(*[block] * shared) if shared else nn.Sequential(block)
        twice = [nn.Conv2d(c, 4 * c, 3), nn.PixelShuffle(2), nn.Conv2d(c, 4 * c, 3), nn.PixelShuffle(2)]
        self.up = nn.Sequential(nn.Sequential(*twice), nn.Conv2d(c, 3, 3, bias=False))
"""
DEFORM = """
import torch
from torch import nn

class ConvOffset2d(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(c, c, 3, 3))
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def authors(tmp_path, monkeypatch):
    """A function that makes a network of the authors' classes; when it is done nobody can import them."""
    code = tmp_path / "code"
    (code / "modules").mkdir(parents=True)
    (code / "model.py").write_text(MODEL)
    (code / "modules/deform_conv.py").write_text(DEFORM)

    def write(save, **options):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(code)
            network = importlib.import_module("model").TDAN_VSR(**options)
            expected = {key: x.clone() for key, x in network.state_dict().items()}
            save(network)
        for name in ("model", "modules.deform_conv", "modules"):
            del sys.modules[name]
        importlib.invalidate_caches()
        assert importlib.util.find_spec("model") is None
        assert importlib.util.find_spec("modules") is None
        return expected

    return write


def published_state(network, table):
    """A network's weights under the names of a table of `tdan.checkpoints`."""
    layers = {own: name for name, own in table.items()}  # last is that of fourfold networks
    state = {}
    for key, tensor in network.state_dict().items():
        own = max((own for own in layers if key.startswith(f"{own}.")), key=len, default=None)
        if own:
            state[layers[own] + key.removeprefix(own)] = tensor
    return state


def same(found, expected):
    assert found.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_of_whole_modules(authors, zipped, wrapped):
    def save(network):
        value = nn.DataParallel(network) if wrapped else network
        torch.save(value, "model.pt", _use_new_zipfile_serialization=zipped)

    expected = authors(save)
    prefix = "module." if wrapped else ""
    same(load_module("model.pt"), {f"{prefix}{key}": x for key, x in expected.items()})
    same(load_any("model.pt"), load_module("model.pt"))
    network = load_network("model.pt")
    assert {layer.border for layer in network.deform} == {"tdan"}
    own = {own_name(key, AUTHORS): x for key, x in expected.items()}
    same(network.state_dict(), {key: own.get(key, torch.tensor(1)) for key in network.state_dict()})
    assert len(own) == len(network.state_dict()) - 1


@pytest.mark.parametrize("zipped", [False, True])
def test_a_block_that_is_there_ten_times(authors, zipped):
    expected = authors(lambda x: torch.save(x, "model.pt", _use_new_zipfile_serialization=zipped), shared=10)
    assert sum(key.startswith("recon_layer.") for key in expected) == 40
    same(load_module("model.pt"), expected)
    blocks = load_network("model.pt").blocks_after
    assert len(blocks) == 10
    assert len({block.conv1.weight.data_ptr() for block in blocks}) == 10  # weights of their own
    assert all(torch.equal(block.conv1.weight, expected["recon_layer.0.conv1.weight"]) for block in blocks)


def test_the_border_rule_stays(authors):
    authors(lambda x: torch.save(x, "model.pt"))
    network = load_network("model.pt")
    manager = CheckpointManager("epochs", "run", 3)
    manager.save(network.state_dict(), {}, 1, [0.0])
    again = load_network(manager.resume(1)[0])
    fresh = TDAN(8, 1, 1, init="authors")
    checkpoint_file.load_strict(fresh, checkpoint_file.load(manager.select()))
    frames = torch.rand(1, 5, 3, 9, 8)
    with torch.no_grad():
        expected = network(frames)["pred"]
        for other in (again, fresh.eval()):
            assert {layer.border for layer in other.deform} == {"tdan"}
            assert torch.equal(other(frames)["pred"], expected)


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


@pytest.mark.parametrize("variable", [False, True])
def test_a_file_as_pytorch_0_3_wrote_it(authors, variable):
    def save(network):
        with open("model.pt", "wb") as file:
            for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
                pickle.dump(value, file, protocol=2)
            pickler = OldPickler(file, variable)
            pickler.dump(nn.DataParallel(network))
            pickle.dump(sorted(pickler.storages), file, protocol=2)
            for key in sorted(pickler.storages):
                elements = pickler.storages[key].numpy()
                file.write(elements.size.to_bytes(8, "little") + elements.tobytes())

    expected = authors(save)
    assert b"_rebuild_tensor\n" in Path("model.pt").read_bytes()
    assert b"class TDAN_VSR(nn.Module): ..." in Path("model.pt").read_bytes()
    same(load_module("model.pt"), {f"module.{key}": x for key, x in expected.items()})
    assert {layer.border for layer in load_network("model.pt").deform} == {"tdan"}


# Files that ask for more


class Asks:
    """Reduces to any call."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args, state) if state is not None else (function, args)

    def __call__(self):
        """The pickler wants to see that what it will call can be."""

    def __reduce__(self):
        return self.call


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
            same(load_module("evil.pt"), value.state_dict())
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
            same(load_module("good.pt"), expected.state_dict())


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


def test_dictionaries_with_objects_beside_the_weights():
    """MMEngine's checkpoints hold its history and its optimiser's state."""
    network = TDAN(8, 1, 1)
    state = {f"generator.{name}": x for name, x in published_state(network, MMAGIC).items()}
    value = {"meta": {"cfg": Asks(dict)}, "state_dict": state, "message_hub": {"x": Asks(print, "ran")}, "epoch": 3}
    for zipped in (False, True):
        torch.save(value, "iter_400000.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match="refused"):
            checkpoint_file.load("iter_400000.pth")
        found = load_any("iter_400000.pth")
        assert found["epoch"] == 3
        same(found["state_dict"], state)
        same(load_network("iter_400000.pth").state_dict(), network.state_dict())


def test_types_views_and_sizes():
    network = nn.Module()
    large = torch.arange(24.0).view(4, 6)
    for name, tensor in {
        "wide": torch.rand(2, 3, dtype=torch.float64), "short": torch.rand(5).half(), "count": torch.arange(7),
        "brain": torch.rand(3).bfloat16(), "flag": torch.tensor([True, False]), "level": torch.tensor(3).byte(),
        "empty": torch.empty(0), "rows": large[1:3], "turned": large.t(), "part": large[2, 1::2],
    }.items():  # fmt: skip
        network.register_buffer(name, tensor)
    for zipped in (False, True):
        torch.save(network, "x.pt", _use_new_zipfile_serialization=zipped)
        found = load_module("x.pt")
        same(found, network.state_dict())
        assert {key: x.dtype for key, x in found.items()} == {key: x.dtype for key, x in network.state_dict().items()}


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


def test_missing_files():
    for read in (load_module, load_any):
        with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
            read("gone.pt")
