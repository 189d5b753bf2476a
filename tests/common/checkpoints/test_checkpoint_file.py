"""Checkpoints as files: whole or not at all, read without running anything, every tensor in its place."""

import os
import random
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file
from common.file_cache import FILES

VALUE = {"weight": torch.arange(6.0).view(2, 3), "epoch": 7, "rates": [1e-4, (2, "text")]}


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_what_was_written_is_read_again(tmp_path):
    path = tmp_path / "new/folder/a.pytorch"
    checkpoint_file.save(VALUE, path)
    found = checkpoint_file.load(path)
    assert torch.equal(found.pop("weight"), VALUE["weight"])
    assert found == {"epoch": 7, "rates": [1e-4, (2, "text")]}
    assert os.listdir(path.parent) == ["a.pytorch"]


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, place):
    path = tmp_path / "a.pytorch"
    checkpoint_file.save({"old": torch.ones(1)}, path)
    before = path.read_bytes()
    monkeypatch.setattr(os, place, full_disk)
    with pytest.raises(OSError, match=r"a\.pytorch: could not be written \(.*No space left on device"):
        checkpoint_file.save(VALUE, path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pytorch"]


def test_a_failure_of_pytorchs_own_names_the_file(tmp_path, monkeypatch):
    def failing(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0\nmore")

    monkeypatch.setattr(torch, "save", failing)
    with pytest.raises(OSError, match=r"a\.pytorch: could not be written \(PytorchStreamWriter .*data/0\)"):
        checkpoint_file.save(VALUE, tmp_path / "a.pytorch")
    assert os.listdir(tmp_path) == []


def test_an_interruption_leaves_no_part(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_file.save(VALUE, tmp_path / "a.pytorch")
    assert os.listdir(tmp_path) == []


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth: no such checkpoint"):
        checkpoint_file.load(tmp_path / "gone.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "network.pth")
    with pytest.raises(ValueError, match=r"network\.pth: refused, it holds more than tensors and plain values"):
        checkpoint_file.load(tmp_path / "network.pth")
    checkpoint_file.save(VALUE, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"cut\.pth: broken or incomplete checkpoint \(RuntimeError .*\); get it"):
        checkpoint_file.load(tmp_path / "cut.pth")


def test_a_kept_file_is_read_once_and_nobody_changes_what_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    checkpoint_file.save({"weight": torch.zeros(3)}, path)
    reads, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: reads.append(1) or load(*args, **options))
    with FILES.keeping(10**6):
        for _ in range(3):
            found = checkpoint_file.load(path)
            assert not found["weight"].any()
            found["weight"] += 1
        assert len(reads) == 1


# State dicts


def test_the_prefix_of_several_processes_is_dropped():
    x = torch.ones(1)
    assert checkpoint_file.state_dict({"module.a.b": x, "module.module.c": x}) == {"a.b": x, "module.c": x}
    names = {"moduleFeatures.a": x, "module.b": x}  # LiteFlowNet's own begin alike
    assert checkpoint_file.state_dict(names) == names


@pytest.mark.parametrize("value", [{}, [1], {"a": 1}, {"a": torch.ones(1), "epoch": 3}, torch.ones(1)])
def test_other_things_are_no_state_dict(value):
    with pytest.raises(ValueError, match=r"^x\.pth: expected a state dict, names and tensors, found"):
        checkpoint_file.state_dict(value, "x.pth")


def test_every_tensor_has_its_place_and_shape():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    state = {f"module.{key}": tensor + 1 for key, tensor in network.state_dict().items()}
    checkpoint_file.load_strict(network, state)
    assert all(torch.equal(tensor, state[f"module.{key}"]) for key, tensor in network.state_dict().items())
    wrong = {key.removeprefix("module."): tensor for key, tensor in state.items() if "bias" not in key}
    wrong |= {"0.weight": torch.ones(2, 1, 5, 5), "a": torch.ones(1), "b": torch.ones(1)}
    wrong |= {f"c.{n}": torch.ones(1) for n in range(3)}
    with pytest.raises(ValueError, match="not a checkpoint of this network") as caught:
        checkpoint_file.load_strict(network, wrong, "x.pth")
    assert str(caught.value) == (
        "x.pth: not a checkpoint of this network; 2 missing: 0.bias, 1.bias; 5 unexpected: a, b, c.0 and 2 more; "
        "1 of another shape: 0.weight (2, 1, 5, 5) instead of (2, 1, 3, 3)"
    )
    assert torch.equal(network[0].weight, state["module.0.weight"])  # nothing was loaded


# Random numbers


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item(), torch.randn(1).item(), np.random.randn()


def test_random_numbers_go_on_where_they_were(tmp_path):
    np.random.randn()  # leaves the second of a pair of normal numbers behind
    checkpoint_file.save(checkpoint_file.random_states(), tmp_path / "state.pth")
    expected = draws()
    draws()
    checkpoint_file.set_random_states(checkpoint_file.load(tmp_path / "state.pth"))
    assert draws() == expected


# Whatever a file holds the state dict in

STATE = {"first.weight": torch.arange(3.0), "first.bias": torch.ones(1)}


def named(prefix):
    return {prefix + key: tensor for key, tensor in STATE.items()}


@pytest.mark.parametrize(
    "value",
    [
        STATE,
        *({key: STATE, "epoch": 3} for key in checkpoint_file.WRAPPERS),
        {"params": {key: 0 * x for key, x in STATE.items()}, "params_ema": STATE},
        {"state_dict": {"net": STATE, "step": 1}},
        *(named(prefix) for prefix in checkpoint_file.PREFIXES),
        named("module._orig_mod.model."),
        {"meta": {}, "state_dict": named("generator.") | {"step_counter": torch.zeros(1)}},
    ],
)  # fmt: skip
def test_unwrap(value):
    found = checkpoint_file.unwrap(value)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in STATE.items())


def test_a_prefix_goes_only_from_all():
    mixed = named("module.") | {"other": torch.zeros(1)}
    assert checkpoint_file.unwrap(mixed).keys() == mixed.keys()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_precisions_load(tmp_path, kind, suffix):
    file = tmp_path / f"w{suffix}"
    layer = torch.nn.Linear(2, 2)
    checkpoint_file.save({key: tensor.to(kind) for key, tensor in layer.state_dict().items()}, file)
    other = torch.nn.Linear(2, 2)
    checkpoint_file.load_strict(other, checkpoint_file.unwrap(checkpoint_file.load(file)), file)
    assert other.weight.dtype == torch.float32
    assert torch.allclose(other.weight, layer.weight, atol=1e-2)


def zip_of(*names):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")

    return write


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_text("\n <!DOCTYPE html><html>"), "a web page"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1"),
            "a pointer of Git LFS",
        ),
        (zip_of("a/one.pth", "a/two.pth", "b", "c"), "a zip of a/one.pth, a/two.pth, b and 1 more: take the weights"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, write, found):
    write(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=f"w.pth: is no checkpoint, but {found}"):
        checkpoint_file.load(tmp_path / "w.pth")


def test_the_keys_of_something_else_are_told():
    with pytest.raises(ValueError, match="found dict of other things with the keys epoch, loss"):
        checkpoint_file.unwrap({"epoch": 1, "loss": [0.1]}, "w.pth")
