"""Three lines of Python for every paper: the pictures that its command writes, for every kind of frame."""

import importlib
import os
import runpy
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import ifrnet
import pvdnet
import qpwcnet
import tdan
import toflow
from common import cli
from common.checkpoints import checkpoint_file
from common.media.flow_file import read_flow
from common.media.image import to_uint8
from common.papers import PAPERS, ROOT
from pvdnet.models.deblurnet import DeblurNet
from tests.helpers.clips import pictures, read_folder, write_folder
from tests.helpers.untrained import BETWEEN, CLIPWISE, arguments, save_untrained

FRAMES = pictures(4, 38, 50)
KINDS = {
    "array": (lambda frame: frame, lambda frame: frame),
    "PIL": (Image.fromarray, np.asarray),
    "float": (
        lambda frame: torch.from_numpy(frame).permute(2, 0, 1)[None].float().contiguous() / 255,
        lambda result: to_uint8(result[0].permute(1, 2, 0).numpy()),
    ),
    "levels": (
        lambda frame: torch.from_numpy(frame).permute(2, 0, 1)[None].contiguous(),
        lambda result: result[0].permute(1, 2, 0).numpy(),
    ),
}  # there, and back to HxWx3 uint8


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with frames, and weights for what has none in the box."""
    folder = tmp_path_factory.mktemp("api")
    write_folder(folder / "in", FRAMES)
    write_folder(folder / "small", [frame[:12, :16] for frame in FRAMES])
    save_untrained(folder)
    return folder


def loaded(name, place, **more):
    """The model, and the arguments of its command."""
    paper, _, task = name.partition(" ")
    weights, how = place / f"{name}.pth", {"device": "cpu", **more}
    if weights.is_file():
        how |= {"weights": weights}
    if paper == "toflow":
        how |= {"task": task, "config": f"TOFlow_{task}_tiny" if weights.is_file() else ""}
    if paper == "qpwcnet":
        how |= {"task": task}
    if paper == "pvdnet":
        how |= {"config": "config_PVDNet_small"}
    return importlib.import_module(paper).load(**how), paper, [*arguments(name, place), "--device", "cpu"]


def source(name):
    """Folder of the frames; enlarged ones take long."""
    return "small" if name == "toflow sr" else "in"


def written(place, paper, argv, *more, source="in"):
    """What the command writes."""
    run = importlib.import_module(f"{paper}.run")
    target = place / f"command_{len(list(place.iterdir()))}"
    argv = [*argv, "--input", str(place / source), "--output", str(target), *more]
    assert cli.run(run.main, argv) == 0
    return read_folder(target)


@pytest.mark.parametrize("name", BETWEEN)
def test_between_frames(name, place):
    model, *command = loaded(name, place)
    expected = written(place, *command, "--multi", "4")
    for there, back in KINDS.values():
        first, second = map(there, FRAMES[1:3])
        for t, number in ((0.5, 6), (0.25, 5)):
            made = model(first, second, t)
            assert type(made) is type(first)
            assert np.array_equal(back(made), expected[number])
    assert np.array_equal(model(*FRAMES[1:3]), expected[6])
    with pytest.raises(ValueError, match="above 0 and below 1"):
        model(*FRAMES[:2], 1)


@pytest.mark.parametrize("name", CLIPWISE)
def test_clips(name, place):
    model, *command = loaded(name, place)
    expected, frames = written(place, *command, source=source(name)), read_folder(place / source(name))
    for there, back in KINDS.values():
        clip = list(map(there, frames))
        made = model(clip)
        assert isinstance(made, list) == (name != "pvdnet")
        for result, frame, right in zip(made, clip, expected, strict=True):
            assert type(result) is type(frame)
            assert np.array_equal(back(result), right)
    assert np.array_equal(next(model(iter(frames))), expected[0])
    two = torch.cat([KINDS["float"][0](frame) for frame in frames[:2]])  # a frame of one clip and of another
    *_, both = model([two, two.flip(0), two])
    *_, alone = model([two[1:], two[:1], two[1:]])
    assert torch.allclose(both[1], alone[0], atol=1e-5)


def test_flow(place):
    model, *command = loaded("qpwcnet flow", place)
    expected = written(place, *command, "--flo", str(place / "flo"))
    vectors, _ = read_flow(place / "flo/shot_0.flo")
    for there, back in KINDS.values():
        flow = model(*map(there, FRAMES[:2]))
        found = flow.vectors if isinstance(flow.vectors, np.ndarray) else flow.vectors[0].permute(1, 2, 0).numpy()
        assert np.array_equal(found, vectors)
        assert type(flow.colours) is type(there(FRAMES[0]))
        assert np.array_equal(back(flow.colours), expected[0])
    assert np.array_equal(np.asarray(model(*FRAMES[:2])), vectors)
    single = KINDS["float"][0](FRAMES[0])[0]
    flow = model(single, single.flip(2))
    assert (flow.vectors.shape, flow.colours.shape) == ((2, 38, 50), (3, 38, 50))


@pytest.mark.parametrize("name", [*BETWEEN, *CLIPWISE, "qpwcnet flow"])
def test_files(name, place, tmp_path):
    model, *command = loaded(name, place)
    expected = written(place, *command, *(["--multi", "2"] if name in BETWEEN else []), source=source(name))
    model.clip(place / source(name), tmp_path / "out")
    assert all(np.array_equal(a, b) for a, b in zip(read_folder(tmp_path / "out"), expected, strict=True))
    with pytest.raises(ValueError, match="exists"):
        model.clip(place / "in", tmp_path / "out")


def test_flags_reach_the_network(place):
    for name in ("ifrnet", "tdan", "toflow denoise", "pvdnet"):
        model, *command = loaded(name, place, tile=32, amp="bf16")
        more = ("--multi", "2") if name == "ifrnet" else ()
        expected = written(place, *command, "--tile", "32", "--amp", "bf16", *more)
        found = [model(*FRAMES[:2])] if name == "ifrnet" else list(model(FRAMES))
        assert np.array_equal(found[0], expected[1 if name == "ifrnet" else 0])


@pytest.mark.parametrize("name", [*BETWEEN, *CLIPWISE, "qpwcnet flow"])
def test_the_network_is_a_module_that_trains(name, place):
    model, *_ = loaded(name, place)
    assert isinstance(model.network, torch.nn.Module)
    assert not model.network.training
    assert all(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: ifrnet.load("IFRNet_Vimeo"), r"no weights of ifrnet have that name; did you mean IFRNet_Vimeo90K\?"),
        (lambda: ifrnet.load("IFRNet_GoPro"), r"IFRNet_GoPro.pth: not here, and nothing is fetched"),
        (lambda: ifrnet.load(device="gpu"), "--device gpu: expected auto, cpu, cuda"),
        (lambda: ifrnet.load(scale=0.3), "--scale 0.3: expected 16 divided by a whole number"),
        *((partial(importlib.import_module(paper).load, amp="int8"), "amp int8: expected one of") for paper in PAPERS),
        *((partial(importlib.import_module(paper).load, tile=-1), "tile -1: expected a side") for paper in PAPERS),
        (lambda: tdan.load(tile=64, chop=True), "chop and tile both cut frames"),
        (lambda: tdan.load(padding="none")(FRAMES), "unknown padding 'none'"),
        (lambda: tdan.load(padding="reflection")(FRAMES[:1]), "a clip of 1 frames is too short"),
        (lambda: tdan.load()(FRAMES[0]), "found one frame: expected the frames of a clip"),
        (lambda: toflow.load(), "toflow: no weights in the box: name a published file"),
        (lambda: toflow.load(task="sr"), "toflow: no weights in the box for sr: name a published file .tof_vfi"),
        (lambda: toflow.load(task="upscale"), "task upscale: expected one of interp, denoise, deblock, sr"),
        (lambda: toflow.load("TOFlow_denoise_free", task="sr"), "its weights are for denoise, not for sr"),
        (lambda: qpwcnet.load(task="depth"), "task depth: expected one of flow, interp"),
        (lambda: qpwcnet.load("pwcnet-things.ckpt"), "pwcnet-things.ckpt: not here"),
    ],
)
def test_what_cannot_be_is_one_line(load, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_an_empty_box_says_so(monkeypatch):
    monkeypatch.setattr("common.checkpoints.by_name.boxed", lambda paper: [])
    for paper in (pvdnet, qpwcnet):
        with pytest.raises(ValueError, match=f"^{paper.__name__}: no weights in the box.*name a published file"):
            paper.load()


def test_weights_of_something_else(place, tmp_path):
    with pytest.raises(ValueError, match=r"not a checkpoint of IFRNet: no tensor .*, found mean"):
        ifrnet.load(place / "toflow sr.pth")
    with pytest.raises(ValueError, match="does not tell its task: expected task="):
        toflow.load(place / "toflow sr.pth")
    with pytest.raises(ValueError, match="holds a flow network, which makes no frames"):
        qpwcnet.load(place / "qpwcnet flow.pth", task="interp")
    checkpoint_file.save(DeblurNet("PVDNet_small").BIMNet.state_dict(), tmp_path / "b.pth")
    with pytest.raises(ValueError, match="holds BIMNet alone, which deblurs nothing"):
        pvdnet.load(tmp_path / "b.pth")


def test_importing_a_paper_is_light():
    code = f"import {', '.join(PAPERS)}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("paper", PAPERS)
def test_a_module_is_the_command(paper, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [paper, "--unknown"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module(paper, run_name="__main__")
    assert capsys.readouterr().err.startswith("error: unknown argument --unknown")
    assert os.path.isfile(ROOT / paper / "__main__.py")
