"""TDAN's checkpoint files: every published layout, as its authors write it, and what is refused."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints import checkpoint_file, run_checkpoints
from common.checkpoints.published import entries
from common.checkpoints.run_checkpoints import CheckpointManager, find_weights
from tdan import checkpoints
from tdan.checkpoints import AUTHORS, LAYOUTS, MMAGIC, load, load_network, own_name
from tdan.config import PRESETS, Config, parse
from tdan.model import SCALES, TDAN
from tests.helpers.golden import Case
from tests.helpers.runs import ROOT

GOLDENS = Path(__file__).parents[1] / "goldens" / "tdan"
CPU = torch.device("cpu")
RULES = {"mmagic": "torchvision", "authors": "tdan"}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No runs, no weights."""
    monkeypatch.chdir(tmp_path)


def weights(scale=4, seed=0, blocks=(1, 2)):
    """A narrow network's state dict in which every tensor is random, so that two mistaken for each other differ."""
    generator = torch.Generator().manual_seed(seed)
    state = TDAN(8, *blocks, scale=scale).state_dict()
    return {key: torch.rand(x.shape, generator=generator) for key, x in state.items() if key != "border"}


def named(own, layout, scale=4):
    """Our state dict under the names of a published layout, written out as its code would."""
    table = dict(LAYOUTS[layout][1])
    if layout == "mmagic":  # of the two last layers that it knows
        table.pop("reconstruct.3" if scale == 4 else "reconstruct.4")
        if scale == 2:
            table.pop("reconstruct.3.upsample_conv")
    state = {}
    for key, tensor in own.items():
        names = {name: layer for name, layer in table.items() if key.startswith(f"{layer}.")}
        name = max(names, key=lambda name: len(names[name]), default="")
        state[name + key.removeprefix(names.get(name, ""))] = tensor
    assert len(state) == len(own)
    return state


def write(value, name="x.pth"):
    torch.save(value, name, _use_new_zipfile_serialization=name.endswith(".pth"))
    return name


def same(network, own, border):
    found = dict(network.state_dict())
    assert (found.pop("border").item() == 1) == (border == "tdan")
    assert {layer.border for layer in network.deform} == {border}
    assert found.keys() == own.keys()
    assert [key for key in own if not torch.equal(found[key], own[key])] == []


def old_mmcv(state):
    return {key.replace(".conv_offset.", "_offset."): x for key, x in state.items()}


def prefixed(prefix):
    return lambda state: {f"{prefix}{key}": x for key, x in state.items()}


def of_mmagic(state):
    extra = {
        "step_counter": torch.tensor(5),
        "data_preprocessor.mean": torch.zeros(3),
        "data_preprocessor.std": torch.ones(3),
    }
    return {"meta": {"epoch": 3, "iter": 7}, "state_dict": prefixed("generator.")(state) | extra}


def split(state):
    """With the authors' other classes' two parts."""
    before = tuple(
        name for name, own in AUTHORS.items() if own not in ("fuse", "blocks_after", "enlarge.0", "enlarge.1", "last")
    )
    return {f"{'align_net' if key.startswith(before) else 'rec_net'}.{key}": x for key, x in state.items()}


WRAPPERS = {
    "bare": dict,
    "generator": prefixed("generator."),
    "module": prefixed("module."),
    "module.generator": prefixed("module.generator."),
    "generator.module": prefixed("generator.module."),
    "state_dict": lambda state: {"state_dict": state},
    "params": lambda state: {"params": state, "epoch": 3},
    "model": lambda state: {"model": prefixed("module.")(state), "optimizer": {"state": {}}},
    "mmagic": of_mmagic,
}


FILES = [(layout, how) for layout in LAYOUTS for how in WRAPPERS]
MORE = {"old mmcv": lambda state: of_mmagic(old_mmcv(state)), "align_net and rec_net": split}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("layout", "how"), [*FILES, ("mmagic", "old mmcv"), ("authors", "align_net and rec_net")])
def test_files_of_every_layout_load(layout, how, scale):
    own = weights(scale)
    border = RULES.get(layout, "tdan")
    state = named(own, layout, scale) if layout != "ours" else own | {"border": torch.tensor(1, dtype=torch.uint8)}
    file = write((WRAPPERS | MORE)[how](state), "x.pth" if scale == 4 else "x.pt")
    network = load_network(file)
    assert not network.training
    assert network.scale == scale
    same(network, own, border)


def test_old_mmcv_names_are_others():
    state = named(weights(), "mmagic")
    assert set(old_mmcv(state)) - set(state) == {
        f"{layer}_offset.{kind}"
        for layer in ("feat_aggregate.1", "feat_aggregate.2", "align_1", "align_2")
        for kind in ("weight", "bias")
    }


def test_ours_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="1 missing: border"):
        load_network(write(weights()))


@pytest.mark.parametrize("folder", ["mmagic_net_n2_odd", "tdan2018_net_n2_odd", "mmagic_net_mid16"])
@torch.no_grad()
def test_loaded_files_compute_what_the_reference_does(folder):
    case = Case.load(GOLDENS / folder)
    value = prefixed("module.")(case.state) if "2018" in folder else of_mmagic(case.state)
    network = load_network(write(value))
    case.check("sr", network(case.tensor("lr").float() / 255)["pred"] - 0.5, atol=1e-4)


@pytest.mark.parametrize(("folder", "table"), [("mmagic_net_n2_odd", MMAGIC), ("tdan2018_net_n2_odd", AUTHORS)])
def test_tables_name_what_the_references_keep(folder, table):
    state = Case.load(GOLDENS / folder).state
    own = {own_name(key, table): x.shape for key, x in state.items()}
    assert own == {key: x.shape for key, x in TDAN().named_parameters()}
    layout = "mmagic" if table is MMAGIC else "authors"
    ours = dict(TDAN().named_parameters())
    assert {key: x.shape for key, x in named(ours, layout).items()} == {key: x.shape for key, x in state.items()}


@torch.no_grad()
def test_equal_weights_of_both_families_give_different_frames():
    torch.manual_seed(0)
    own = {key: x for key, x in TDAN(8, 1, 1, init="authors").state_dict().items() if key != "border"}
    frames = torch.rand(1, 5, 3, 12, 13)
    one, other = (load_network(write(named(own, layout)))(frames)["pred"] for layout in RULES)
    assert (one - other).abs().max() > 1e-3


# What is refused


def faults():
    state = named(weights(), "mmagic")
    gone = {key: x for key, x in state.items() if key != "to_rgb.bias"}
    yield gone, "1 missing: to_rgb.bias"
    yield state | {"reconstruct.9.weight": torch.zeros(1)}, "1 unexpected: reconstruct.9.weight"
    yield state | {"to_rgb.bias": torch.zeros(5)}, "1 of another shape: to_rgb.bias (5,) instead of (3,)"
    yield {key: x for key, x in state.items() if ".0.conv1" not in key}, "4 missing: blocks_before.0.conv1.weight"
    yield {key: x for key, x in state.items() if "align_1" not in key}, "3 missing: deform.2.weight"
    yield state | {"feat_extract.0.conv.weight": torch.zeros(12, 3, 3, 3)}, "channels 12"
    yield weights() | {"border": torch.tensor(7)}, "border 7: expected the place of one of torchvision, tdan"
    yield nn.Conv2d(3, 3, 3).state_dict(), "not a checkpoint of TDAN: expected a tensor first.weight"
    yield {}, "expected a state dict"
    yield {"state_dict": {"meta": "text"}}, "expected a state dict"
    yield [torch.zeros(3)], "expected a state dict"
    yield {"state_dict": Config()}, "expected a state dict"
    yield nn.Conv2d(3, 3, 3), "not a checkpoint of TDAN"
    yield Config(), "refused, it holds more than tensors"


@pytest.mark.parametrize(("value", "message"), [pytest.param(*x, id=x[1]) for x in faults()])
def test_faults_are_told_in_a_line(value, message):
    for file in ("x.pth", "x.pt"):
        with pytest.raises(ValueError, match=r"^x\.pth?: ") as caught:
            load_network(write(value, file))
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_files_that_are_none():
    Path("x.pth").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"x\.pth: "):
        load_network("x.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth: no such checkpoint"):
        load_network("gone.pth")


# What is published, and what is taken unasked


def test_the_list_of_published_files_fits_the_presets():
    for entry in entries("tdan"):
        assert entry.config in {"", *PRESETS}
        assert Path(entry.file).name == entry.file
        if entry.sha256:
            assert entry.file.endswith(f"-{entry.sha256[:8]}.pth")
    configs = [entry.config for entry in entries("tdan") if entry.config]
    assert len(configs) == len(set(configs)) >= 2


def test_checkpoints_are_listed_once():
    listed = json.loads((ROOT / "tdan/checkpoints.json").read_text())["checkpoints"]
    assert len({entry["file"] for entry in listed}) == len(listed) == 4
    for entry in listed:
        assert list(entry) == ["name", "file", "config", "urls", "sha256", "bytes", "licence", "source"]
        assert entry["config"] in PRESETS or entry["config"] == ""
        found = re.search(r"-([0-9a-f]{8})\.pth$", entry["file"])
        assert entry["sha256"] == (found[1] if found else None)
    assert PRESETS[next(entry["config"] for entry in listed if entry["file"] == "model.pt")].border == "tdan"


@pytest.mark.parametrize("asked", [["--data", "vid4_bi"], ["--data", "spmcs_bd"]])
def test_published_weights_are_found_in_their_place(asked):
    options, config = parse(asked)
    file = next(entry.file for entry in entries("tdan") if entry.config == config.config)
    assert asked[1][-2:] in file
    with pytest.raises(ValueError, match=rf"no weights: put the published ones at ckpt.{file}.*tdan/checkpoints.json"):
        find_weights(options, config, "tdan")
    for entry in entries("tdan"):
        if entry.file != file:
            checkpoint_file.save({}, Path("ckpt", entry.file))
    with pytest.raises(ValueError, match="no weights"):
        find_weights(options, config, "tdan")
    checkpoint_file.save({}, Path("ckpt", file))
    assert find_weights(options, config, "tdan") == Path("ckpt", file)
    assert find_weights(*parse([*asked, "--ckpt_abs_name", "mine.pth"]), "tdan") == Path("mine.pth")


def test_a_runs_weights_win_over_published_ones(monkeypatch):
    entry = dataclasses.replace(entries("tdan")[0], file="a.pth", config="TDAN_tiny_bi")
    monkeypatch.setattr(run_checkpoints, "entries", lambda paper: [entry])
    checkpoint_file.save({}, Path("ckpt/a.pth"))
    options, config = parse(["--config", "TDAN_tiny_bi"])
    assert find_weights(options, config, "tdan") == Path("ckpt/a.pth")
    folder = Path("logs/TDAN_CVPR2020/TDAN_tiny_bi/checkpoint/train/epoch")
    manager = CheckpointManager(folder, "TDAN_tiny_bi", 3)
    for epoch, score in ((1, 30.0), (2, 20.0)):
        manager.save(TDAN(16, 2, 4).state_dict(), {}, epoch, [score])
    for given, epoch in ((), 2), (("--ckpt_sc",), 1), (("--ckpt_epoch", "1"), 1), (("--ckpt_epoch", "2"), 2):
        asked = parse(["--config", "TDAN_tiny_bi", *given])
        assert find_weights(*asked, "tdan").name == f"TDAN_tiny_bi_{epoch:05}.pytorch"
    network, path = load(options, config, CPU)
    assert path.name == "TDAN_tiny_bi_00002.pytorch"
    assert len(network.first.weight) == 16


def test_another_form_than_the_settings_is_refused():
    file = write(named(weights(2), "mmagic", 2))
    form = ["--set=channels=8", "--set=blocks_before=1", "--set=blocks_after=2"]
    assert load(*parse(["--ckpt_abs_name", file, *form, "--set=scale=2"]), CPU)[0].scale == 2
    with pytest.raises(ValueError, match=r"has scale 2 instead of 4: give the --config .*, or --set scale=2$"):
        load(*parse(["--ckpt_abs_name", file, *form]), CPU)


def test_the_file_tells_groups_and_whether_it_adds_to_bicubic():
    network = TDAN(8, 1, 2, groups=2, add_bicubic=True)
    checkpoint_file.save(network.state_dict(), Path("own.pth"))
    form = ["--set=channels=8", "--set=blocks_before=1", "--set=blocks_after=2", "--set=groups=2"]
    found, _ = load(*parse(["--ckpt_abs_name", "own.pth", *form, "--set=add_bicubic=true"]), CPU)
    assert (found.groups, found.add_bicubic) == (2, True)
    with pytest.raises(ValueError, match="has add_bicubic True instead of False"):
        load(*parse(["--ckpt_abs_name", "own.pth", *form]), CPU)
    with pytest.raises(ValueError, match="--layout mmagic: no published network adds to a bicubic enlargement"):
        checkpoints.write(network, "mmagic")


def test_a_file_without_its_last_block_is_refused():
    state = {key: x for key, x in named(weights(), "mmagic").items() if not key.startswith("reconstruct.1.1.")}
    file = write(state)
    with pytest.raises(ValueError, match=r"has blocks_after 1 instead of 2"):
        load(
            *parse(["--ckpt_abs_name", file, "--set=channels=8", "--set=blocks_before=1", "--set=blocks_after=2"]), CPU
        )


def test_presets_without_published_weights():
    with pytest.raises(ValueError, match=r"no weights: name a file with --ckpt_abs_name, or train \(--is_train\)"):
        find_weights(*parse(["--config", "TDAN_tiny_bd"]), "tdan")


def test_the_baseline_needs_no_weights():
    assert load(*parse(["--baseline"]), CPU) == (None, None)
