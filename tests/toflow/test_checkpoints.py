"""TOFlow's checkpoint files: every published layout, as its authors write it, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from common.ops.pad import pad_to_multiple
from tests.helpers.golden import Case
from toflow.checkpoints import (
    LAYOUTS,
    PYTOFLOW_LAYERS,
    load,
    load_network,
    load_spynet,
    names,
    spynet_names,
    unwrap,
)
from toflow.config import Config, parse
from toflow.model import FORMS, MEAN, STD, SPyNet, TOFlow

GOLDENS = Path(__file__).parents[1] / "goldens" / "toflow"
CPU = torch.device("cpu")


UNUSED = {"conv_3x2_64_9x9": (64, 6, 9, 9), "conv_3x7_64_9x9": (64, 21, 9, 9), "conv_64_64_9x9": (64, 64, 9, 9)}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No runs, no weights."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def narrow(monkeypatch):
    """Few channels, to save time; which tensors a file has does not depend on it."""
    for name, form in FORMS.items():
        monkeypatch.setitem(FORMS, name, replace(form, widths=(4, 6, 5, 3 + form.widths[0] // 16), channels=8))


def randomise(network, seed):
    """Every tensor random, so that two that are mistaken for each other differ."""
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point() and key not in ("mean", "std"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator))
    return network.state_dict()


def state_of(layout, form, seed=0):
    """The state dict of a published file, and ours for it."""
    own = randomise(TOFlow(FORMS[form]), seed)
    if layout == "ours":
        return own, own
    if layout == "basicsr":
        own |= {"mean": torch.full((1, 3, 1, 1), 0.45), "std": torch.full((1, 3, 1, 1), 0.225)}
    state = {key: own[name] for key, name in names(layout, form).items()}
    if layout == "mmagic_vfi":  # saved, but never read
        state |= {"mean": torch.full((1, 3, 1, 1), 0.45), "std": torch.full((1, 3, 1, 1), 0.225)}
    if layout == "pytoflow":  # every task's layers lie in every file
        for layer, shape in UNUSED.items():
            state.setdefault(f"ResNet.{layer}.weight", torch.zeros(shape))
            state.setdefault(f"ResNet.{layer}.bias", torch.zeros(64))
    return state, own


def spynet_state(layout, batch_norm=False, levels=4, seed=0, form="pytoflow_interp"):
    """The state dict of a published flow network, and ours for it."""
    own = randomise(SPyNet(replace(FORMS[form], batch_norm=batch_norm), levels=levels), seed)
    return {key: own[f"levels.{name}"] for key, name in spynet_names(layout, batch_norm, levels)}, own


def wrap(state, how):
    """As a file of that origin keeps its state dict."""
    if how == "mmagic":
        extra = {"step_counter": torch.tensor(5), "data_preprocessor.mean": torch.zeros(3)}
        inner = {f"generator.{key}": x for key, x in state.items()} | extra
        return {"meta": {"epoch": 3, "iter": 7, "exp_name": "tof"}, "state_dict": inner}
    if how == "basicsr":
        return {"params": state}
    if how == "pytoflow":
        return {"net_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": []}, "epoch": 4,
                "losses": [0.1, 0.2]}  # fmt: skip
    if how == "module":
        return {f"module.{key}": x for key, x in state.items()}
    return state


def write(state, how="bare", name="x.pth"):
    """Write a file; what PyTorch 0.4 wrote is no zip archive."""
    torch.save(wrap(state, how), name, _use_new_zipfile_serialization=not name.endswith((".pkl", ".pytorch", ".ckpt")))
    return name


def ask(given):
    """The network that a command line loads."""
    return load(*parse(given.split()), CPU)[0]


def same(network, own):
    found = network.state_dict()
    assert found.keys() == own.keys()
    assert [key for key in own if not torch.equal(found[key], own[key])] == []


# Layouts

FILES = [  # layout, form, wrapper, file, what is asked for
    ("mmagic_vfi", "mmagic_vfi", "mmagic", "a.pth", "--task interp"),
    ("mmagic_vfi", "mmagic_vfi", "bare", "a.pth", "--config TOFlow_interp --network mmagic_vfi"),
    ("mmagic_vfi", "mmagic_vfi_bn", "mmagic", "a.pth", "--task interp"),
    ("mmagic_vfi", "mmagic_vfi_bn", "module", "a.pth", "--task interp --network mmagic_vfi_bn"),
    ("mmagic_vsr", "official_sr", "mmagic", "a.pth", "--task sr"),
    ("mmagic_vsr", "mmagic_vsr", "mmagic", "a.pth", "--task sr --network mmagic_vsr"),
    ("basicsr", "official_sr", "basicsr", "a.pth", "--task sr"),
    ("basicsr", "official_sr", "basicsr", "a.pth", "--config tof_x4_official_vimeo90k"),
    ("pytoflow", "pytoflow_interp", "bare", "interp.pkl", "--task interp"),
    ("pytoflow", "pytoflow_denoise", "bare", "denoise.pkl", "--task denoise"),
    ("pytoflow", "pytoflow_denoise", "module", "denoise.pkl", "--config pytoflow_denoise"),
    ("pytoflow", "pytoflow_sr", "bare", "sr.pkl", "--task sr --network pytoflow_sr"),
    ("pytoflow", "pytoflow_sr", "pytoflow", "checkpoint_5epoch.ckpt", "--config pytoflow_sr"),
    ("ours", "paper_denoise", "bare", "a.pytorch", "--config TOFlow_denoise"),
    ("ours", "paper_interp_mask", "module", "a.pth", "--config TOFlow_interp_mask"),
    ("ours", "tiny_sr", "bare", "a.pth", "--config TOFlow_sr_tiny"),
]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("layout", "form", "how", "file", "asked"), FILES)
def test_published_files_load(layout, form, how, file, asked):
    state, own = state_of(layout, form)
    network = ask(f"{asked} --ckpt_abs_name {write(state, how, file)}")
    assert network.form == FORMS[form]
    assert not network.training
    same(network, own)
    expected = (0.45, 0.225) if layout == "basicsr" else (MEAN[0], STD[0])
    assert (network.mean[0, 0].item(), network.std[0, 0].item()) == pytest.approx(expected)


CASES = [  # folder, wrapper, file, what is asked for, the space of its output
    ("mm_vfi_padded", "mmagic", "a.pth", "--task interp", "normalised"),
    ("mm_vsr_official", "mmagic", "a.pth", "--task sr", "normalised"),
    ("mm_vsr_scratch", "mmagic", "a.pth", "--task sr --network mmagic_vsr", "normalised"),
    ("basicsr_vsr_official", "basicsr", "a.pth", "--task sr", "unit"),
    ("py_interp_small", "bare", "interp.pkl", "--task interp", "unit"),
    ("py_interp_newtorch", "bare", "interp.pkl", "--config pytoflow_interp --set align_corners=false", "unit"),
    ("py_sr", "pytoflow", "5.ckpt", "--config pytoflow_sr", "unit"),
]


@pytest.mark.parametrize(("folder", "how", "file", "asked", "space"), CASES)
@torch.no_grad()
def test_loaded_files_compute_what_the_reference_does(folder, how, file, asked, space):
    case = Case.load(GOLDENS / folder)
    network = ask(f"{asked} --ckpt_abs_name {write(case.state, how, file)}")
    frames = case.tensor("frames").float() / 255
    if network.form.pyramid == "fixed":
        frames, _ = pad_to_multiple(frames, 16, "reflect")
    output = network(frames)["pred"]
    if space == "normalised":
        output = (output - network.mean) / network.std
    case.check("output", output, atol=case.meta["atol"]["output"])


@pytest.mark.parametrize(
    ("folder", "layout", "form"),
    [
        ("mm_vfi_padded", "mmagic_vfi", "mmagic_vfi"),
        ("mm_vsr_official", "mmagic_vsr", "official_sr"),
        ("basicsr_vsr_official", "basicsr", "official_sr"),
        ("py_interp_small", "pytoflow", "pytoflow_interp"),
        ("py_sr", "pytoflow", "pytoflow_sr"),
        ("spynet_mm_vsr", "mmagic_spynet", None),
        ("spynet_py", "moduleBasic", None),
    ],
)
def test_tables_name_what_the_references_keep(folder, layout, form):
    tensors = json.loads((GOLDENS / folder / "weights.json").read_text())["tensors"]
    assert unwrap({key: torch.zeros(1) for key in tensors}, folder)[1] == layout
    if form is None:
        table = [key for key, _ in spynet_names(layout, folder == "spynet_mm_vsr")]
        assert sorted(table) == sorted(tensors)
        return
    own = TOFlow(FORMS[form]).state_dict()
    table = names(layout, form)
    assert {key: list(own[name].shape) for key, name in table.items()} == {key: tensors[key][0] for key in table}
    left = {key.rsplit(".", 1)[0].removeprefix("ResNet.") for key in tensors.keys() - table.keys()}
    assert left <= ({"mean", "std"} if layout == "mmagic_vfi" else PYTOFLOW_LAYERS if layout == "pytoflow" else set())
    assert sorted(own.keys() - set(table.values())) == ([] if layout == "basicsr" else ["mean", "std"])


@pytest.mark.usefixtures("narrow")
def test_layouts_are_told_apart():
    for layout, (_, forms) in LAYOUTS.items():
        for form in forms[:1]:
            assert unwrap(state_of(layout, form)[0], "x")[1] == layout
    for layout, levels in (("mmagic_spynet", 4), ("moduleBasic", 6), ("netBasic", 6)):
        assert unwrap(spynet_state(layout, levels=levels)[0], "x")[1] == layout


# Flow networks


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("layout", "levels", "batch_norm", "how", "file"),
    [
        ("moduleBasic", 6, False, "bare", "network-sintel-final.pytorch"),
        ("netBasic", 6, False, "bare", "network-chairs-clean.pytorch"),
        ("moduleBasic", 4, False, "module", "a.pkl"),
        ("mmagic_spynet", 4, False, "bare", "spynet.pth"),
        ("mmagic_spynet", 4, True, "mmagic", "spynet.pth"),
    ],
)
def test_flow_networks_load(layout, levels, batch_norm, how, file):
    state, own = spynet_state(layout, batch_norm, levels)
    spynet = SPyNet(replace(FORMS["mmagic_vfi"], batch_norm=batch_norm))
    load_spynet(spynet, write(state, how, file))
    same(spynet, {key: x for key, x in own.items() if int(key.split(".")[1]) < 4})


def without(state, *parts):
    kept = {key: x for key, x in state.items() if not any(part in key for part in parts)}
    assert len(kept) < len(state)
    return kept


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["moduleBasic.5.moduleBasic.8.bias"], "1 missing: levels.5.8.bias"),
        (["moduleBasic.5.moduleBasic.0.weight"], "unexpected: moduleBasic.4.moduleBasic.0.weight"),
        (["moduleBasic.5."], "10 unexpected: moduleBasic.4.moduleBasic.0.weight"),
        (["moduleBasic.2.moduleBasic.4."], "2 missing: levels.2.4.weight, levels.2.4.bias"),
        (["moduleBasic.0."], "not a checkpoint of TOFlow"),
    ],
)
def test_truncated_flow_networks_are_refused(parts, message):
    file = write(without(spynet_state("moduleBasic", levels=6)[0], *parts), name="network.pytorch")
    spynet = SPyNet(FORMS["mmagic_vfi"])
    before = {key: x.clone() for key, x in spynet.state_dict().items()}
    with pytest.raises(ValueError, match=message) as caught:
        load_spynet(spynet, file)
    assert file in str(caught.value)
    same(spynet, before)


@pytest.mark.usefixtures("narrow")
def test_flow_networks_of_another_kind_are_refused():
    plain = write(spynet_state("moduleBasic", levels=6)[0], name="network.pytorch")
    for form, line in (("paper_denoise", "has no batch normalisation, but"), ("tiny_interp", "of another shape")):
        with pytest.raises(ValueError, match=rf"network\.pytorch: .*{line}"):
            load_spynet(SPyNet(FORMS[form]), plain)
    for layout, form in (("mmagic_vfi", "mmagic_vfi"), ("pytoflow", "pytoflow_sr"), ("ours", "tiny_sr")):
        with pytest.raises(ValueError, match=r"a\.pth: holds a whole model, expected a flow network alone"):
            load_spynet(SPyNet(FORMS["mmagic_vfi"]), write(state_of(layout, form)[0], name="a.pth"))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("layout", "levels"), [("moduleBasic", 6), ("netBasic", 6), ("mmagic_spynet", 4)])
def test_a_flow_network_is_no_model(layout, levels):
    file = write(spynet_state(layout, levels=levels)[0], name="spynet.pth")
    with pytest.raises(ValueError, match=r"spynet\.pth: holds a flow network alone.*--set spynet=spynet\.pth"):
        ask(f"--task interp --ckpt_abs_name {file}")


# What is refused


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("layout", "form", "asked", "message"),
    [
        (
            "mmagic_vfi",
            "mmagic_vfi",
            "--task interp --network mmagic_vfi_bn",
            "holds mmagic_vfi: mmagic_vfi_bn was asked for; give --network mmagic_vfi",
        ),
        (
            "mmagic_vfi",
            "mmagic_vfi_bn",
            "--task interp --network mmagic_vfi",
            "holds mmagic_vfi_bn: mmagic_vfi was asked for; give --network mmagic_vfi_bn",
        ),
        ("mmagic_vfi", "mmagic_vfi", "--config pytoflow_interp", "give --network mmagic_vfi"),
        ("mmagic_vfi", "mmagic_vfi", "--task sr", "holds mmagic_vfi: it is for interp, not for sr"),
        (
            "mmagic_vsr",
            "official_sr",
            "--task denoise",
            "holds official_sr or mmagic_vsr: it is for sr, not for denoise",
        ),
        ("basicsr", "official_sr", "--config pytoflow_sr", "pytoflow_sr was asked for; give --network official_sr"),
        ("pytoflow", "pytoflow_sr", "--config TOFlow_sr", "official_sr was asked for; give --network pytoflow_interp"),
    ],
)
def test_another_form_than_asked_for_is_refused(layout, form, asked, message):
    file = write(state_of(layout, form)[0])
    with pytest.raises(ValueError, match=message) as caught:
        ask(f"{asked} --ckpt_abs_name {file}")
    line = str(caught.value)
    assert line.startswith(f"{file}: ")
    assert len(line.splitlines()) == 1


def test_a_file_of_pytoflow_does_not_tell_its_task_the_command_does():
    file = write(state_of("pytoflow", "pytoflow_sr")[0], name="all.pkl")
    for task in ("interp", "denoise", "deblock", "sr"):
        form = f"pytoflow_{'denoise' if task == 'deblock' else task}"
        assert ask(f"--task {task} --ckpt_abs_name {file}").form == FORMS[form]
    with pytest.raises(ValueError, match=r"all\.pkl: .*pytoflow_sr: paper_denoise was asked for; give --network"):
        load_network(file, "paper_denoise")


@pytest.mark.usefixtures("narrow")
def test_our_own_file_under_another_form_lists_what_differs():
    file = write(state_of("ours", "tiny_denoise")[0])
    with pytest.raises(ValueError, match=r"of another shape: spynets\.0\.levels\.0\.6\.weight"):
        ask(f"--config TOFlow_denoise_tiny --network pytoflow_denoise --ckpt_abs_name {file}")


@pytest.mark.usefixtures("narrow")
def test_faults_are_listed():
    state, _ = state_of("mmagic_vfi", "mmagic_vfi")
    bias = "spynet.basic_module.2.basic_module.1.conv.bias"
    for changed, message in (
        (without(state, bias), r"1 missing: spynets\.0\.levels\.2\.2\.bias"),
        (state | {"extra.weight": torch.zeros(1)}, r"1 unexpected: extra\.weight"),
        (
            state | {"resnet.res_block.0.bias": torch.zeros(5)},
            r"1 of another shape: processing\.0\.bias \(5,\) instead of \(8,\)",
        ),
        (without(state, "spynet."), r"40 missing: spynets\.0\.levels\.0\.0\.weight.* and 37 more"),
    ):
        file = write(changed, "mmagic")
        with pytest.raises(ValueError, match=message) as caught:
            ask(f"--task interp --ckpt_abs_name {file}")
        assert str(caught.value).startswith(f"{file}: ")
    state, _ = state_of("basicsr", "official_sr")
    del state["mean"]
    with pytest.raises(ValueError, match="1 missing: mean"):
        ask(f"--task sr --ckpt_abs_name {write(state)}")
    state, _ = state_of("pytoflow", "pytoflow_denoise")
    with pytest.raises(ValueError, match=r"1 missing: processing\.4\.bias"):
        ask(f"--task denoise --ckpt_abs_name {write(without(state, 'conv_64_3_1x1.bias'), name='denoise.pkl')}")


def test_foreign_files_are_refused():
    for value, message in (
        (nn.Conv2d(3, 3, 3).state_dict(), "not a checkpoint of TOFlow: expected a tensor processing.0.weight"),
        ({}, "expected a state dict"),
        ({"state_dict": {"meta": "text"}}, "expected a state dict"),
        ([torch.zeros(3)], "expected a state dict"),
        (torch.zeros(3), "expected a state dict"),
        ({"state_dict": Config()}, "refused, it holds more than tensors"),
        (TOFlow(FORMS["tiny_interp"]), "refused, it holds more than tensors"),
    ):
        for legacy in (False, True):
            torch.save(value, "x.pth", _use_new_zipfile_serialization=not legacy)
            with pytest.raises(ValueError, match=message) as caught:
                ask("--task interp --ckpt_abs_name x.pth")
            assert str(caught.value).startswith("x.pth: ")
    Path("x.pth").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"x\.pth: "):
        ask("--task interp --ckpt_abs_name x.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth: no such checkpoint"):
        ask("--task interp --ckpt_abs_name gone.pth")
