"""PVDNet's checkpoints: which are loaded and which refused."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checkpoints.run_checkpoints import find_weights
from common.ops.liteflownet import LiteFlowNet
from common.papers import ROOT
from pvdnet.checkpoints import load
from pvdnet.config import parse
from pvdnet.models.deblurnet import DeblurNet

SMALL = ["--config", "config_PVDNet_small"]


def evaluate(call, data_root, path, *argv):
    return call("--mode", "x", "--data_root", data_root, "--ckpt_abs_name", path, *argv, "--protocol", "pvdnet_code")


def scored(out):
    """PSNR and SSIM of the last line of an evaluation."""
    return re.search(r"\[TOTAL \w+\|DVD\] PSNR: ([\d.]+) SSIM: ([-\d.]+) ", out).groups()


def test_published_layouts(logs, call, data_root, small_weights, tmp_path):
    scores, prefixed = [], {f"module.{key}": value for key, value in small_weights.items()}
    for name, state in (("with", prefixed), ("without", small_weights)):
        torch.save(state, tmp_path / f"{name}.pytorch")
        code, out, error = evaluate(call, data_root, tmp_path / f"{name}.pytorch", *SMALL)
        assert code == 0, error
        scores.append(scored(out))
    torch.save(small_weights, tmp_path / "old.pytorch", _use_new_zipfile_serialization=False)
    code, out, error = evaluate(call, data_root, tmp_path / "old.pytorch", *SMALL)
    assert code == 0, error
    assert scores == [scored(out)] * 2


class Hostile:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (Path(self.target),)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: Path(path).write_bytes(pickle.dumps(value, 2))])
def test_hostile_checkpoints_do_not_run(logs, call, data_root, tmp_path, small_weights, save):
    bait, path = tmp_path / "it ran", tmp_path / "hostile.pytorch"
    save({**small_weights, "payload": Hostile(bait)}, path)
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert bait.exists()  # the bait works
    bait.unlink()
    code, _, error = evaluate(call, data_root, path, *SMALL)
    assert (code, len(error.splitlines())) == (1, 1)
    assert f"{path}: refused, it holds more than tensors" in error
    assert not bait.exists()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: torch.save(DeblurNet("PVDNet_large").state_dict(), path), "not a checkpoint of this network"),
        (lambda path: torch.save(DeblurNet("PVDNet").state_dict(), path), "of another shape"),
        (lambda path: torch.save(LiteFlowNet().state_dict(), path), "unexpected: moduleFeatures"),
        (lambda path: torch.save({"epoch": 3, "itr": {}}, path), "expected a state dict"),
        (lambda path: torch.save([1, 2], path), "expected a state dict"),
        (lambda path: torch.save(torch.zeros(3), path), "expected a state dict"),
        (lambda path: path.write_bytes(b""), "other.pytorch: "),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "is no checkpoint"),
        (lambda path: path.write_text("<html>404</html>"), "is no checkpoint"),
        (lambda path: path.mkdir(), "other.pytorch: no such checkpoint"),
    ],
    ids=["large", "PVDNet", "BIMNet", "state", "list", "tensor", "empty", "random", "html", "folder"],
)
def test_checkpoints_of_something_else(logs, call, data_root, tmp_path, make, part):
    path = tmp_path / "other.pytorch"
    make(path)
    code, out, error = evaluate(call, data_root, path, *SMALL)
    assert (code, out, len(error.splitlines())) == (1, "", 1), error
    assert str(path) in error
    assert part in error
    assert len(error) < 1000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_truncated_checkpoints(logs, call, data_root, tmp_path, small_file, share):
    data, path = small_file.read_bytes(), tmp_path / "cut.pytorch"
    path.write_bytes(data[: int(share * len(data))])
    code, _, error = evaluate(call, data_root, path, *SMALL)
    assert (code, len(error.splitlines())) == (1, 1)
    assert f"{path}: broken or incomplete checkpoint" in error


# Without flags


PUBLISHED = {
    "--mode PVDNet_DVD --data DVD": "PVDNet_DVD.pytorch",
    "--mode PVDNet_nah --data nah": "PVDNet_nah.pytorch",
    "--mode PVDNet_large_nah --data nah": "PVDNet_large_nah.pytorch",
    "--mode flow --config config_BIMNet": "BIMNet.pytorch",
}


@pytest.mark.parametrize("given", PUBLISHED)
def test_published_weights_are_taken_where_the_run_has_none(logs, given):
    asked, file = parse(given.split()), Path("ckpt", PUBLISHED[given])
    with pytest.raises(ValueError, match=f"no weights: .* fetch {file.name}; .* name a file with --ckpt_abs_name"):
        find_weights(*asked, "pvdnet")
    for other in PUBLISHED.values():
        if other != file.name:
            Path("ckpt", other).parent.mkdir(exist_ok=True)
            Path("ckpt", other).touch()
    with pytest.raises(ValueError, match=f"fetch {file.name}"):  # never those of another set
        find_weights(*asked, "pvdnet")
    file.touch()
    assert find_weights(*asked, "pvdnet") == file


def test_own_video_takes_the_published_weights_or_else_the_box(logs):
    given = ["--input", "a.mp4", "--output", "b.mp4"]
    assert find_weights(*parse(given), "pvdnet") == ROOT / "pvdnet/weights/PVDNet_free.safetensors"
    Path("ckpt").mkdir()
    Path("ckpt/PVDNet_DVD.pytorch").touch()
    assert find_weights(*parse(given), "pvdnet") == Path("ckpt/PVDNet_DVD.pytorch")


@pytest.mark.parametrize("given", ["--mode PVDNet_nah --config config_PVDNet_large", "--mode x --config config_PVDNet"])
def test_a_run_of_another_name_takes_none_unasked(logs, given):
    Path("ckpt").mkdir()
    for file in PUBLISHED.values():
        Path("ckpt", file).touch()
    with pytest.raises(ValueError, match="no weights: name a file with --ckpt_abs_name, or train"):
        find_weights(*parse(given.split()), "pvdnet")


def test_mode_without_a_checkpoint(logs, refused, data_root):
    line = refused(1, "--data_root", data_root)
    assert "no weights: put the published ones at ckpt/PVDNet_DVD.pytorch (python -m common.checkpoints fetch " in line
    assert "name a file with --ckpt_abs_name, or train (--is_train)" in line


def test_load_builds_what_the_settings_say(logs, small_file):
    given = f"--config config_PVDNet --network PVDNet_small --set with_BIMNet=False --ckpt_abs_name {small_file}"
    asked = parse([*given.split(), "--set", "BIMNet_ckpt="])
    network, path = load(*asked, torch.device("cpu"))
    assert path == small_file
    assert not network.training
    assert network.BIMNet is None
    assert load(*parse(["--identity"]), torch.device("cpu")) == (None, None)
