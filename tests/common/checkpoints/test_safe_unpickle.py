"""Whole pickled networks of any age: their tensors come out."""

import importlib.util
import pickle
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.checkpoints.run_checkpoints import CheckpointManager
from common.checkpoints.safe_unpickle import load_any, load_module
from tdan.checkpoints import AUTHORS, MMAGIC, load_network, own_name
from tdan.model import TDAN
from tests.helpers.pickles import Asks, OldPickler, must_equal

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


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_of_whole_modules(authors, zipped, wrapped):
    def save(network):
        value = nn.DataParallel(network) if wrapped else network
        torch.save(value, "model.pt", _use_new_zipfile_serialization=zipped)

    expected = authors(save)
    prefix = "module." if wrapped else ""
    must_equal(load_module("model.pt"), {f"{prefix}{key}": x for key, x in expected.items()})
    must_equal(load_any("model.pt"), load_module("model.pt"))
    network = load_network("model.pt")
    assert {layer.border for layer in network.deform} == {"tdan"}
    own = {own_name(key, AUTHORS): x for key, x in expected.items()}
    must_equal(network.state_dict(), {key: own.get(key, torch.tensor(1)) for key in network.state_dict()})
    assert len(own) == len(network.state_dict()) - 1


@pytest.mark.parametrize("zipped", [False, True])
def test_a_block_that_is_there_ten_times(authors, zipped):
    expected = authors(lambda x: torch.save(x, "model.pt", _use_new_zipfile_serialization=zipped), shared=10)
    assert sum(key.startswith("recon_layer.") for key in expected) == 40
    must_equal(load_module("model.pt"), expected)
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
    must_equal(load_module("model.pt"), {f"module.{key}": x for key, x in expected.items()})
    assert {layer.border for layer in load_network("model.pt").deform} == {"tdan"}


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
        must_equal(found["state_dict"], state)
        must_equal(load_network("iter_400000.pth").state_dict(), network.state_dict())


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
        must_equal(found, network.state_dict())
        assert {key: x.dtype for key, x in found.items()} == {key: x.dtype for key, x in network.state_dict().items()}


def test_missing_files():
    for read in (load_module, load_any):
        with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
            read("gone.pt")
