"""The protocols of IFRNet's scores, what an evaluation prints and writes."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common import cli
from common.media.image import list_frames, read_image
from common.scoring.metrics import psnr, ssim
from common.scoring.protocols import INTERPOLATION
from common.tables import score_lines
from common.training.distributed import Processes
from ifrnet import evaluate, run, sets
from ifrnet.config import parse, preset
from ifrnet.model import IFRNet
from ifrnet.sets import find_samples
from tests.helpers.noise import picture

ROOT = Path(__file__).parents[2]
SHEET = {  # PSNR, SSIM, IE of the mean of the two frames
    "Beanbags": (26.6378, 0.9548, 3.9557), "DogDance": (28.4093, 0.9285, 4.5028), "Grove2": (23.2791, 0.7095, 10.9583),
    "RubberWhale": (38.6980, 0.9926, 1.7613), "Urban2": (26.6775, 0.7316, 6.2256), "Venus": (25.0705, 0.9209, 7.4250),
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("ckpt") / "tiny.pth"
    torch.save(IFRNet("IFRNet_tiny").state_dict(), path)
    return path


@pytest.fixture
def evaluated(tmp_path, data_root, weights, capsys, monkeypatch):
    """Evaluates; gives the exit code, both streams, and the folder of results."""
    monkeypatch.chdir(tmp_path)

    def start(*argv, root=data_root):
        how = [] if "--blend" in argv else ["--config", "IFRNet_tiny", "--ckpt_abs_name", weights]
        where = ["--mode", "mine", "--data_root", root, "--device", "cpu"]
        code = cli.run(run.main, [str(argument) for argument in (*how, *where, *argv)])
        name = "blend" if "--blend" in argv else weights.stem
        return code, *capsys.readouterr(), tmp_path / "logs/IFRNet_CVPR2022/mine/result" / name

    return start


def per_frame(path):
    """Frame's name -> metrics, of a score file."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("[")]
    return {line.split(" PSNR")[0]: [float(v) for v in re.findall(r": (\S+)", line)] for line in lines}


# Protocols


def test_every_set_has_a_protocol_and_its_default():
    names = {data: [p.name for p in INTERPOLATION.values() if data in p.sets and p.default] for data in sets.SETS}
    assert names["vimeo90k"] == ["ifrnet", "mmediting"]
    assert names["gopro"] == names["adobe240"] == ["ifrnet_x8", "mmediting_x8"]
    assert all(names.values())
    assert {data for p in INTERPOLATION.values() for data in p.sets} == set(sets.SETS)


def test_scores_by_formula():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 256, (20, 24, 3), np.uint8)
    out = np.clip(truth / 255 + draw.normal(0, 0.05, truth.shape), 0, 1).astype(np.float32)
    mse = np.mean((out.astype(np.float64) - truth / 255) ** 2)
    found = {name: evaluate.score(INTERPOLATION[name], out, truth) for name in INTERPOLATION}
    for values in found.values():
        assert values["PSNR"] == pytest.approx(-10 * np.log10(mse), abs=1e-4)
    assert found["ifrnet"]["SSIM"] == pytest.approx(ssim(out, truth / 255, kind="volume", peak=1), abs=1e-6)
    assert found["mmediting"]["SSIM"] == pytest.approx(ssim(255 * out, truth, kind="wang", peak=255), abs=1e-6)
    error = np.abs(np.rint(255 * out.astype(np.float64)) - truth).mean()
    assert found["ifrnet_middlebury"] == found["ifrnet"] | {"IE": pytest.approx(error, abs=1e-3)}
    assert list(found["ifrnet"]) == ["PSNR", "SSIM"]


def test_interpolation_error_rounds_ties_to_even():
    a, b = np.full((16, 16, 3), 10, np.uint8), np.full((16, 16, 3), 11, np.uint8)
    mean = (a / np.float32(255) + b / np.float32(255)) / 2  # 10.5
    assert evaluate.score(INTERPOLATION["ifrnet_middlebury"], mean, a)["IE"] == 0
    assert evaluate.score(INTERPOLATION["ifrnet_middlebury"], mean, b)["IE"] == 1


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (719, 513), (512, 512), (300, 1000), (48, 64)])
def test_crops(height, width):
    image = np.arange(height * width).reshape(height, width)

    def cut(name, seed=(7, 3)):
        return image[evaluate.crop_window(INTERPOLATION[name], height, width, seed)]

    assert np.array_equal(cut("ifrnet"), image)
    rows = slice(height // 2 - 256, height // 2 + 256) if height >= 512 else slice(None)
    columns = slice(width // 2 - 256, width // 2 + 256) if width >= 512 else slice(None)
    assert np.array_equal(cut("ifrnet_x8"), image[rows, columns])
    assert np.array_equal(cut("mmediting_x8"), image[rows, columns])
    draw = np.random.RandomState((7, 3))
    left, top = draw.randint(0, max(0, width - 512) + 1), draw.randint(0, max(0, height - 512) + 1)
    assert np.array_equal(cut("mmediting_x8_random"), image[top : top + 512, left : left + 512])
    if height == 720:
        assert not np.array_equal(cut("mmediting_x8_random"), cut("mmediting_x8_random", (7, 4)))


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [("ifrnet", 48, 64), ("ifrnet", 37, 51), ("ifrnet_snu_film", 48, 64), ("ifrnet_middlebury", 388, 584)],
)
@torch.no_grad()
def test_what_the_network_sees(name, height, width):
    torch.manual_seed(1)
    network = IFRNet("IFRNet_tiny").eval()
    img0, img1 = torch.rand(2, 2, 3, height, width)
    found = evaluate.interpolate(network, img0, img1, (0.5,), INTERPOLATION[name])
    divisor, scale = (20, 0.8) if name == "ifrnet_snu_film" else (16, 1.0)
    if name == "ifrnet_middlebury":
        left = top = 0
        padded = [F.pad(x, (0, 640 - width, 0, 480 - height)) for x in (img0, img1)]
    else:
        more_y, more_x = -height % divisor, -width % divisor
        left, top = more_x // 2, more_y // 2
        sides = (left, more_x - left, top, more_y - top)
        padded = [F.pad(x, sides, mode="replicate") for x in (img0, img1)]
    want = network(*padded, torch.full((2,), 0.5), scale)["pred"][..., top : top + height, left : left + width]
    assert found.shape == (2, 1, 3, height, width)
    assert torch.equal(found[:, 0], want)


def test_canvas_too_small():
    img = torch.zeros(1, 3, 481, 640)
    with pytest.raises(ValueError, match="ifrnet_middlebury takes up to 640x480; choose --protocol"):
        evaluate.interpolate(IFRNet("IFRNet_tiny"), img, img, (0.5,), INTERPOLATION["ifrnet_middlebury"])


def test_blend_is_the_mean_at_the_middle_and_linear_elsewhere():
    img0, img1 = torch.rand(2, 1, 3, 8, 8)
    found = evaluate.interpolate(None, img0, img1, (0.125, 0.5), INTERPOLATION["ifrnet_x8"])[0]
    assert torch.equal(found[1], ((img0 + img1) / 2)[0])
    assert torch.allclose(found[0], (0.875 * img0 + 0.125 * img1)[0])


def test_means_by_frame_and_by_sample():
    given = ((0, 1, 10), (0, 2, 20), (1, 1, 60))
    score_frames = [evaluate.FrameScore(sample, k, {"PSNR": value, "SSIM": 1.0}) for sample, k, value in given]
    assert evaluate.mean_score(INTERPOLATION["ifrnet"], score_frames)["PSNR"] == 30
    assert evaluate.mean_score(INTERPOLATION["mmediting"], score_frames)["PSNR"] == 37.5


# The command


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_every_triplet_is_scored_once(evaluated, data_root, batch, weights):
    code, out, error, results = evaluated("--data", "vimeo90k", "-b", batch, "-th", 2)
    assert (code, error) == (0, "")
    network = IFRNet("IFRNet_tiny").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    want = {}
    for sample in find_samples(data_root, "vimeo90k", "test"):
        a, truth, b = (torch.from_numpy(read_image(path)).permute(2, 0, 1)[None] / 255 for path in sample.frames)
        with torch.no_grad():
            pred = network(a, b, torch.tensor([0.5]))["pred"]
        want[f"{sample.name} im2.png"] = (pred[0], truth[0])
    for protocol, kind in (("ifrnet", "volume"), ("mmediting", "wang")):
        found = per_frame(results / f"score_vimeo90k_{protocol}.txt")
        assert list(found) == list(want)
        values = [[psnr(p, t, peak=1), ssim(p, t, kind=kind, peak=1)] for p, t in
                  ((p.permute(1, 2, 0).numpy(), t.permute(1, 2, 0).numpy()) for p, t in want.values())]  # fmt: skip
        assert np.allclose(list(found.values()), values, atol=2e-5)
        total = score_lines.totals(out.splitlines())
        assert [float(total[protocol, m][0]) for m in ("PSNR", "SSIM")] == pytest.approx(np.mean(values, 0), abs=2e-5)
        assert total[protocol, "PSNR"][1] == "5"


def test_two_processes_score_what_one_does(evaluated, data_root, weights, tmp_path):
    _, out, _, results = evaluated("--data", "vimeo90k")
    argv = [ROOT / "ifrnet/run.py", "--config", "IFRNet_tiny", "--ckpt_abs_name", weights, "--data", "vimeo90k"]
    argv += ["--data_root", data_root, "--log_root", tmp_path / "two", "--device", "cpu", "-b", "2", "-dist"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29645"]
    done = subprocess.run([*launcher, *map(str, argv)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    two, one = score_lines.totals(done.stdout.splitlines()), score_lines.totals(out.splitlines())
    assert two.keys() == one.keys()
    assert [(float(v), n) for v, n in two.values()] == [(pytest.approx(float(v), abs=2e-5), n) for v, n in one.values()]
    assert done.stdout.count("[TOTAL") == len(INTERPOLATION["ifrnet"].metrics)  # a line each of two protocols
    file = next((tmp_path / "two").rglob("result/*/score_vimeo90k_ifrnet.txt"))
    assert list(per_frame(file)) == list(per_frame(results / file.name))


@pytest.mark.parametrize("batch", [[], ["-b", 3]])
def test_a_pair_is_encoded_once_for_its_seven_times(evaluated, data_root, batch, monkeypatch):
    encoded, decoded = [], []
    encode, decode = IFRNet.encode, IFRNet.decode
    monkeypatch.setattr(IFRNet, "encode", lambda self, a, *more: encoded.append(len(a)) or encode(self, a, *more))
    monkeypatch.setattr(IFRNet, "decode", lambda self, p, t, *more: decoded.append(len(t)) or decode(self, p, t, *more))
    code, out, _, results = evaluated("--data", "gopro", *batch)
    assert code == 0
    assert (sum(encoded), sum(decoded)) == (4, 28)  # once for both protocols: their crops are the same
    lines = (results / "score_gopro_ifrnet_x8.txt").read_text().splitlines()
    assert [line.split(" PSNR")[0] for line in lines[:15]] == [
        *(f"GOPR0000_11_00/{group:04d} {8 * group + k + 1:06d}.png" for group in (0, 1) for k in range(1, 8)),
        "[MEAN GOPR0000_11_00]",
    ]
    assert lines[-1].endswith("28 frames, protocol ifrnet_x8")
    assert lines[-1] in out


def test_random_crops_follow_the_seed(evaluated, tmp_path):
    for number in range(9):
        picture(tmp_path / f"sets/Adobe240/IMG_0015/{number}.png", 520, 530, seed=number)
    argv = ("--blend", "--data", "adobe240", "--protocol", "mmediting_x8_random")
    lines = [evaluated(*argv, "--seed", seed, root=tmp_path / "sets")[1].splitlines()[0] for seed in (1, 1, 2)]
    assert lines[0] == lines[1] != lines[2]


def test_sets_with_odd_sizes(evaluated, own_sets):
    picture(own_sets / "ucf101_interp_ours/9/frame_00.png", 31, 33)
    for name in ("frame_01_gt", "frame_02"):
        picture(own_sets / f"ucf101_interp_ours/9/{name}.png", 31, 33)
    for data, frames in (("ucf101", 2), ("snu_film", 1), ("middlebury", 1), ("adobe240", 7)):
        code, out, error, _ = evaluated("--data", data, root=own_sets)
        assert (code, error) == (0, "")
        parts = sets.SNU_FILM if data == "snu_film" else (data,)
        totals = [line for line in out.splitlines() if line.startswith("[TOTAL")]
        assert [line.split("|")[1].split("]")[0] for line in dict.fromkeys(totals)] == (
            [*parts] if data != "adobe240" else [data, data]
        )
        assert all(f" {frames} frames, protocol " in line for line in totals)
        assert "published" not in out


def test_equal_frames_count_as_infinite(evaluated, tmp_path):
    for folder, seeds in (("1", (0, 0, 0)), ("2", (1, 2, 3))):
        for seed, name in zip(seeds, ("frame_00", "frame_01_gt", "frame_02"), strict=True):
            picture(tmp_path / f"sets/ucf101_interp_ours/{folder}/{name}.png", seed=seed)
    _, out, _, results = evaluated("--blend", "--data", "ucf101", root=tmp_path / "sets")
    assert out.startswith("[TOTAL blend|ucf101] PSNR: inf SSIM: ")
    assert out.splitlines()[0].endswith(" 2 frames, protocol ifrnet, 1 of them equal to the truth")
    assert per_frame(results / "score_ucf101_ifrnet.txt")["1 frame_01_gt.png"] == [np.inf, 1.0]


def test_pictures_and_no_result_is_overwritten(evaluated, data_root, tmp_path):
    _, out, _, results = evaluated("--data", "gopro", "--save_sample")
    (folder,) = (results / "gopro").iterdir()
    assert out.splitlines()[-1] == f"scores and pictures: {folder.relative_to(tmp_path)}"
    sample = find_samples(data_root, "gopro", "test")[0]
    names = [f"{k}_{kind}.png" for k in range(1, 8) for kind in ("error", "overlay", "prediction", "truth")]
    assert [path.name for path in list_frames(folder / sample.name)] == names
    shown = {name: read_image(folder / sample.name / name).astype(float) for name in names}
    first, truth, last = (read_image(sample.frames[n]).astype(float) for n in (0, 3, 8))
    assert np.array_equal(shown["3_truth.png"], truth)
    assert np.array_equal(shown["3_overlay.png"], np.floor((first + last) / 2 + 0.5))
    error = np.minimum(255, 4 * np.abs(shown["3_prediction.png"] - truth))
    assert np.abs(shown["3_error.png"] - error).max() <= 3  # the picture's prediction is rounded
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    evaluated("--data", "gopro", "--save_sample")
    assert len(list((results / "gopro").iterdir())) == 2
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def four_triplets(tmp_path):
    """Folder of data sets with four triplets, and the truth of the second, to be damaged."""
    root = tmp_path / "sets/vimeo_triplet"
    for number in range(1, 5):
        for seed in range(1, 4):
            picture(root / f"sequences/1/{number}/im{seed}.png", 48, 64, seed)
    (root / "tri_testlist.txt").write_text("\n".join(f"1/{n}" for n in range(1, 5)))
    return root.parent, root / "sequences/1/2/im2.png"


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: path.write_bytes(path.read_bytes()[:99]), "truncated PNG"),
        (lambda path: picture(path, 48, 66), "66x48 pixels, but"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_bad_frame_in_the_middle(evaluated, four_triplets, damage, part):
    root, path = four_triplets
    damage(path)
    code, out, error, _ = evaluated("--data", "vimeo90k", "--blend", root=root)
    assert (code, out) == (1, "")
    assert len(error.splitlines()) == 1
    assert str(path) in error
    assert part in error


def test_a_bad_frame_of_the_other_process(four_triplets, tmp_path):
    root, path = four_triplets
    path.write_bytes(b"")
    argv = [ROOT / "ifrnet/run.py", "--data", "vimeo90k", "--blend", "--data_root", root, "--device", "cpu", "-dist"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29642", *argv]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {path} is empty; copy, download or extract it again"]


def test_frames_below_the_window(evaluated, tmp_path):
    for name in ("frame_00", "frame_01_gt", "frame_02"):
        picture(tmp_path / f"sets/ucf101_interp_ours/1/{name}.png", 10, 64)
    error = evaluated("--blend", "--data", "ucf101", root=tmp_path / "sets")[2]
    assert "frame_00.png: 64x10 pixels; expected 11 or more a side" in error


def test_weights_that_ignore_time_are_told(evaluated, weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["decoder4.convblock.0.0.weight"][:, -1] = 0
    torch.save(state, tmp_path / "vimeo.pth")
    argv = ("--ckpt_abs_name", tmp_path / "vimeo.pth")
    assert "vimeo.pth: these weights ignore t" in evaluated("--data", "gopro", *argv)[2]
    assert evaluated("--data", "vimeo90k", *argv)[2] == ""


def test_mean_of_real_frames(evaluated, real_data, tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/Middlebury").symlink_to(real_data.resolve() / "Middlebury_other")
    code, out, _, results = evaluated("--blend", "--data", "middlebury", root=tmp_path / "sets")
    assert code == 0
    found = per_frame(results / "score_middlebury_ifrnet_middlebury.txt")
    assert list(found) == [f"{scene} frame10i11.png" for scene in SHEET]
    assert np.abs(np.array(list(found.values())) - list(SHEET.values())).max() < 1e-4
    assert "recorded: PSNR 28.0197 SSIM 0.8796 IE 5.7357" in out
    assert out.splitlines()[1].endswith("not the same set, here are 6 of 12 samples")


@pytest.mark.gpu
def test_cuda_scores_what_the_cpu_does(data_root, weights):
    samples = find_samples(data_root, "vimeo90k", "test")
    score_frames = []
    for device, amp in (("cpu", "off"), ("cuda", "off"), ("cuda", "bf16"), ("cuda", "fp16")):
        _, config = parse(["--config", "IFRNet_tiny", "--amp", amp, "-b", "2"])
        network = IFRNet("IFRNet_tiny").eval()
        network.load_state_dict(torch.load(weights, weights_only=True))
        processes = Processes(0, 1, torch.device(device))
        found = evaluate.run_protocols(
            network.to(device), samples, [INTERPOLATION["ifrnet"]], config, processes
        )["ifrnet"]  # fmt: skip
        score_frames.append([score.values["PSNR"] for score in found])
    assert np.abs(np.array(score_frames[1]) - score_frames[0]).max() < 0.005  # TF32
    assert np.abs(np.array(score_frames[2:]) - score_frames[0]).max() < 0.2


def test_which_row_belongs_to_the_weights():
    config, base = preset("IFRNet_tiny"), IFRNet("IFRNet")
    options = argparse.Namespace(dis=False)
    assert evaluate._row_name(None, options, config, None) == "blend"
    assert evaluate._row_name(None, argparse.Namespace(dis=True), config, None) == "dis"
    assert evaluate._row_name(Path("ckpt/IFRNet_GoPro.pth"), options, config, base) == "IFRNet_GoPro"
    gopro = preset("IFRNet_GoPro")
    assert evaluate._row_name(Path("IFRNet_gopro-5d2f805a.pth"), options, gopro, base) == "IFRNet_GoPro"
    assert evaluate._row_name(Path("mine.pth"), options, config, IFRNet("IFRNet_S")) == ""
