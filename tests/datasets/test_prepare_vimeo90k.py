"""The script that checks Vimeo-90K and labels it with flow."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checkpoints import checkpoint_file
from common.media.flow_file import read_flow, write_flow
from common.media.image import read_image, write_image
from common.ops.liteflownet import estimate_flow
from tests.helpers.folders import tree
from tests.helpers.networks import lively_liteflownet
from tests.helpers.runs import call, dataset_script, make_clips

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def vimeo():
    """datasets/prepare_vimeo90k.py, which is in no package, as a module."""
    return dataset_script("prepare_vimeo90k")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both layouts, two training clips and a test clip."""
    root = tmp_path_factory.mktemp("vimeo")
    for layout in ("vimeo_triplet", "vimeo_septuplet"):
        make_clips(root, layout, "--clips", 2, "--test_clips", 1)
    return root


@pytest.fixture
def root(made, tmp_path):
    """A set with its exact flow."""
    shutil.copytree(made, tmp_path / "datasets")
    return tmp_path / "datasets"


@pytest.fixture
def bare(root):
    """A set as it comes out of the archive, without flow."""
    shutil.rmtree(root / "vimeo_triplet/flow")
    return root


@pytest.fixture(scope="module")
def network():
    return lively_liteflownet()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "network-default.pytorch"
    checkpoint_file.save(dict(network.state_dict()), path)
    return path


@pytest.fixture
def run(vimeo, capsys):
    def run(*argv):
        """Exit code, printed lines, error line."""
        code, out, error = call(capsys, vimeo.main, *argv)
        return code, out.splitlines(), error

    return run


def frame(path):
    return torch.from_numpy(read_image(path)).permute(2, 0, 1)[None].float() / 255


def labels(root):
    """Every file of the labels with its bytes."""
    return tree(root / "vimeo_triplet/flow")


# Labels


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_labels_are_the_flow_from_the_middle_frame(run, bare, network, weights, channels):
    triplets = bare / "vimeo_triplet"
    (triplets / "tri_testlist.txt").write_text("00001/0003\n\n")  # the published one ends so, too
    command = ("--root", bare, "--flow", "--weights", weights, "--device", "cpu", "--batch_size", 4)
    code, lines, _ = run(*command, *(() if channels == "rgb" else ("--channels", "bgr")))
    assert (code, lines) == (0, [f"{triplets}/flow: 6 labels, 6 of them new"])
    assert len(labels(bare)) == 7
    for position in (1, 2, 3):
        clip = f"00001/{position:04d}"
        first, middle, last = (frame(triplets / "sequences" / clip / f"im{t}.png") for t in (1, 2, 3))
        for name, other in (("flow_t0.flo", first), ("flow_t1.flo", last)):
            flow, valid = read_flow(triplets / "flow" / clip / name)
            expected = estimate_flow(network, middle, other, channels=channels)[0].permute(1, 2, 0).numpy()
            assert valid.all()
            assert np.abs(flow - expected).max() < 1e-3
            assert np.abs(expected).max() > 0.1
    record = json.loads((triplets / "flow/labels.json").read_text())
    assert (record["network"], record["channels"], len(record["weights_sha256"])) == ("LiteFlowNet", channels, 64)
    assert run("--root", bare, "--check") == (0, [f"{triplets}: complete, every frame readable"], "")


def test_whole_labels_stay_and_others_are_made_again(run, bare, weights):
    command = ("--root", bare, "--flow", "--weights", weights, "--device", "cpu", "--batch_size", 1)
    assert run(*command)[0] == 0
    flow, before = bare / "vimeo_triplet/flow", labels(bare)
    (flow / "00001/0001/flow_t0.flo").unlink()
    (flow / "00001/0002/flow_t1.flo").write_bytes(before["00001/0002/flow_t1.flo"][:-1])
    write_flow(flow / "00001/0003/flow_t0.flo", np.zeros((48, 60, 2), np.float32))
    write_flow(flow / "00001/0003/flow_t1.flo", np.zeros((48, 64, 2), np.float32))  # whole, so it stays
    code, lines, _ = run("--root", bare, "--check")
    assert (code, lines[0]) == (
        1,
        f"{flow}: 3 of 6 labels missing or damaged, first {flow}/00001/0001/flow_t0.flo",
    )
    assert run(*command)[:2] == (0, [f"{flow}: 6 labels, 3 of them new"])
    after = labels(bare)
    assert after.pop("00001/0003/flow_t1.flo") != before.pop("00001/0003/flow_t1.flo")
    assert after == before
    assert run(*command)[:2] == (0, [f"{flow}: 6 labels, 0 of them new"])


def test_ctrl_c_ends_between_two_batches_and_the_same_command_goes_on(run, bare, vimeo, weights, monkeypatch):
    command = ("--root", bare, "--flow", "--weights", weights, "--device", "cpu", "--batch_size", 2)

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return estimate_flow(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(vimeo, "estimate_flow", interrupted)
        for left in (4, 2):
            code, lines, _ = run(*command)
            message = f"{bare}/vimeo_triplet/flow: stopped, {left} of 6 labels left; the same command goes on"
            assert (code, lines) == (130, [message])
            assert len(labels(bare)) == 7 - left
    assert run(*command)[0] == 0
    assert len(labels(bare)) == 7


def test_kinds_of_labels_are_not_mixed(run, bare, network, weights, tmp_path):
    command = ("--root", bare, "--device", "cpu", "--flow", "--weights")
    assert run(*command, weights)[0] == 0
    before = labels(bare)
    code, _, error = run(*command, weights, "--channels", "bgr")
    assert code == 2
    assert "holds labels of another kind (channels rgb): go on with it, or move it away" in error
    other = tmp_path / "other.pytorch"
    checkpoint_file.save({key: 2 * value for key, value in network.state_dict().items()}, other)
    code, _, error = run(*command, other)
    assert code == 2
    assert "another kind (weights_sha256" in error
    assert labels(bare) == before
    (bare / "vimeo_triplet/flow/labels.json").write_text("[")
    code, _, error = run(*command, weights)
    assert code == 1
    assert "labels.json: damaged" in error


def test_flow_that_something_else_made_is_not_touched(run, root, weights):
    before = labels(root)
    command = ("--root", root, "--device", "cpu", "--flow", "--weights", weights)
    code, lines, error = run(*command)
    assert (code, lines) == (2, [])
    assert error.startswith(f"error: {root}/vimeo_triplet/flow holds the exact flow of synthetic clips: train on it")
    (root / "vimeo_triplet/.synthetic").unlink()
    code, _, error = run(*command)
    assert code == 2
    assert "holds labels of unknown origin, without labels.json" in error
    assert labels(root) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00001/0001\n../../x\n", "tri_trainlist.txt, line 2: expected a clip such as 00001/0001, found '../../x'"),
        (None, "tri_trainlist.txt: no such list, or not readable"),
        ("00001/0001\n00001/0099\n", "00001/0099/im2.png: No such file"),
    ],
)
def test_labelling_stops_at_bad_lists_and_frames(run, bare, weights, text, message):
    path = bare / "vimeo_triplet/tri_trainlist.txt"
    path.unlink() if text is None else path.write_text(text)
    code, _, error = run("--root", bare, "--device", "cpu", "--flow", "--weights", weights)
    assert code == 1
    assert message in error
    assert len(error.splitlines()) == 1


def test_weights_of_something_else(run, bare, tmp_path):
    command = ("--root", bare, "--device", "cpu", "--flow", "--weights", tmp_path / "w.pytorch")
    assert "w.pytorch: no such checkpoint" in run(*command)[2]
    checkpoint_file.save({"moduleFeatures.moduleOne.0.bias": torch.zeros(32)}, tmp_path / "w.pytorch")
    assert "w.pytorch: not a checkpoint of this network; 211 missing" in run(*command)[2]
    assert not (bare / "vimeo_triplet/flow").exists()


# Checking


def test_whole_sets_have_no_fault(run, root):
    for layout in ("vimeo_triplet", "vimeo_septuplet"):
        code, lines, _ = run("--layout", layout, "--root", root, "--check")
        assert (code, lines) == (0, [f"{root}/{layout}: complete, every frame readable"])


def test_every_fault_is_listed(run, root):
    folder = root / "vimeo_septuplet"
    clips = folder / "sequences/00001"
    whole = (clips / "0001/im1.png").read_bytes()
    (clips / "0001/im3.png").write_bytes(whole[:-20])
    (clips / "0001/im7.png").unlink()
    write_image(clips / "0002/im1.png", np.zeros((64, 48, 3), np.uint8))
    shutil.rmtree(clips / "0003")
    (folder / "sep_trainlist.txt").write_text("00001/0001\n\nclip\n00001/0002\n00001/0003\n")
    command = ("--layout", "vimeo_septuplet", "--root", root, "--check")
    code, lines, _ = run(*command, "--workers", 3)
    assert code == 1
    assert lines == [
        f"{folder}/sep_trainlist.txt, line 3: expected a clip such as 00001/0001, found 'clip'",
        f"{folder}/sep_trainlist.txt: 3 clips, expected 2",
        f"{folder}: clip 00001/0003 is in the lists 2 times",
        f"{clips}/0001/im3.png is a truncated PNG file; copy, download or extract it again",
        f"cannot read {clips}/0001/im7.png: No such file or directory; check the path and its permissions",
        f"{clips}/0002/im1.png: 48x64 pixels, expected 64x48 as every frame; get it again",
        f"{clips}/0003: no such folder",
        f"{folder}: 7 faults",
    ]
    assert run(*command, "--workers", 1)[1] == lines


def test_sets_without_a_marker_are_held_against_the_published_numbers(run, bare):
    folder = bare / "vimeo_triplet"
    (folder / ".synthetic").unlink()
    code, lines, _ = run("--root", bare, "--check")
    assert code == 1
    assert lines[:3] == [
        f"{folder}/tri_trainlist.txt: 2 clips, expected 51313",
        f"{folder}/tri_testlist.txt: 1 clips, expected 3782",
        f"{folder}/sequences/00001/0001/im1.png: 64x48 pixels, expected 448x256 as every frame; get it again",
    ]
    assert lines[-1] == f"{folder}: 11 faults"


def test_missing_sets_and_exact_flow_that_was_lost(run, bare, tmp_path):
    folder = bare / "vimeo_triplet"
    code, lines, _ = run("--root", bare, "--check")
    assert (code, lines[0]) == (
        1,
        f"{folder}/flow: 6 of 6 labels missing or damaged, first {folder}/flow/00001/0001/flow_t0.flo",
    )
    (folder / ".synthetic").write_text("{}")
    assert "vimeo_triplet/.synthetic: damaged; make the clips again" in run("--root", bare, "--check")[2]
    code, lines, _ = run("--root", tmp_path / "none", "--check")
    assert code == 1
    assert lines[0].endswith("tri_trainlist.txt: no such list, or not readable; unpack the archive again")
    assert lines[-2].endswith("vimeo_triplet/sequences: no such folder")


# Command line


@pytest.mark.parametrize("layout", ["vimeo_triplet", "vimeo_septuplet"])
def test_without_a_flag_it_tells_what_to_download(run, vimeo, layout):
    code, lines, _ = run("--layout", layout, "--root", "elsewhere")
    text = "\n".join(lines)
    assert code == 0
    assert "http://toflow.csail.mit.edu" in text
    assert f"elsewhere/{layout}\n" in text
    assert not any(left in text for left in ("{script}", "{root}", "{{"))
    for count in vimeo.SETS[layout].clips.values():
        assert f"{count:,}" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--chek"], "did you mean --check?"),
        (["--flow"], "name LiteFlowNet's weights, --weights FILE"),
        (["--weights", "x"], "--weights is for --flow"),
        (["--flow", "--weights", "x", "--layout", "vimeo_septuplet"], "only vimeo_triplet has flow labels"),
        (["--flow", "--weights", "x", "--channels", "grb"], "invalid choice: 'grb'"),
        (["--flow", "--weights", "x", "--device", "tpu9"], "--device tpu9: expected auto, cpu, cuda or cuda:N"),
        (["--check", "--workers", "0"], "--workers 0: expected 1 or more"),
        (["--check", "--batch_size", "0"], "--batch_size 0: expected 1 or more"),
        (["--degrade", "mixed"], "only septuplets are degraded, --layout vimeo_septuplet"),
        (["--layout", "vimeo_septuplet", "--degrade", "fog"], "invalid choice: 'fog'"),
        (["--layout", "vimeo_septuplet", "--degrade", "mixed", "--seed", "-1"], "--seed -1: expected 0 or more"),
        (["--layout", "vimeo_septuplet", "--check", "--seed", "1"], "--seed is for --degrade"),
        (["--layout", "vimeo_septuplet", "--split", "test"], "--split is for --degrade"),
    ],
)
def test_usage_errors(run, argv, message):
    code, lines, error = run(*argv)
    assert (code, lines, len(error.splitlines())) == (2, [], 1)
    assert message in error


def test_as_a_script_from_another_folder(root):
    command = [sys.executable, str(ROOT / "datasets/prepare_vimeo90k.py"), "--check", "--root", root.name]
    result = subprocess.run(command, cwd=root.parent, capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "datasets/vimeo_triplet: complete, every frame readable\n"
