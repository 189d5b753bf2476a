"""TOFlow's evaluation: scores by protocol, which frames are read and how often, what is printed and written, tables."""

import re
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from common import cli
from common.checkpoints.published import entries
from common.degrade.by_name import clip_rng, degrade
from common.degrade.matlab_imresize import imresize
from common.media.image import list_frames, read_image, write_image
from common.scoring import score_frames
from common.scoring.metrics import psnr, ssim
from common.tables import score_lines
from common.training.distributed import Processes
from tests.helpers.runs import launch
from toflow import evaluate, run, sets
from toflow.config import parse, preset
from toflow.model import FORMS, TOFlow
from toflow.protocols import PROTOCOLS as TOFLOW
from toflow.samples import evaluation_frames

ALONE = Processes(0, 1, torch.device("cpu"))
CITY = (23.6927, 0.5683, 25.1648, 0.6028)  # bicubic of the 8-bit small frames: PSNR, SSIM of RGB, of Y


def picture(path, height=48, width=64, seed=0):
    """Smooth noise, so that degraded frames are like the true ones."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3)).astype(np.uint8)
    write_image(path, imresize(small, size=(height, width)))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Five test triplets, three test septuplets, clips of eight and nine frames as of Vid4."""
    root = tmp_path_factory.mktemp("sets")
    for folder, prefix, count, frames in (("vimeo_triplet", "tri", 5, 3), ("vimeo_septuplet", "sep", 3, 7)):
        names = [f"00001/{clip:04}" for clip in range(1, count + 1)]
        for clip, name in enumerate(names):
            for number in range(1, frames + 1):
                picture(root / folder / "sequences" / name / f"im{number}.png", seed=10 * clip + number)
        (root / folder / f"{prefix}_testlist.txt").write_text("\n".join(names) + "\n\n")
    for clip, count in (("a", 8), ("b", 9)):
        for number in range(count):
            picture(root / "Vid4/GT" / clip / f"{number:08}.png", seed=100 * count + number)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Path of an untrained network's checkpoint, by the name of its form."""
    folder = tmp_path_factory.mktemp("ckpt")

    def make(form):
        path = folder / f"{form}.pth"
        if not path.exists():
            torch.manual_seed(0)
            network = TOFlow(FORMS[form])
            for level in (level for spynet in network.spynets for level in spynet.levels):
                torch.nn.init.normal_(level[-1].weight, std=0.02)  # else nothing moves
            torch.save(network.state_dict(), path)
        return path

    return make


@pytest.fixture
def evaluated(tmp_path, data_root, monkeypatch, capsys):
    """Evaluates; gives the exit code, both streams, and the folder of results."""
    monkeypatch.chdir(tmp_path)

    def start(*argv, root=data_root, code=0):
        where = ["--mode", "mine", "--data_root", root, "--device", "cpu", "-th", 2]
        found = cli.run(run.main, [str(argument) for argument in (*argv, *where)])
        out, error = capsys.readouterr()
        assert found == code, error
        results = tmp_path / "logs/TOFlow_IJCV2019/mine/result"
        return out, error, next(results.iterdir()) if results.is_dir() else None

    return start


def per_sample(path):
    """Sample's name -> metrics, of a score file."""
    lines = [line.split(" ", 1) for line in path.read_text().splitlines() if not line.startswith("[")]
    return {name: [float(value) for value in re.findall(r": (\S+)", rest)] for name, rest in lines}


# What is read


def test_each_task_has_its_baseline(evaluated, data_root):
    noisy = degrade([read_image(data_root / f"vimeo_septuplet/sequences/00001/0001/im{n}.png") for n in range(1, 8)],
                    "mixed", clip_rng(1234, "00001/0001"))[3]  # fmt: skip
    middle = read_image(data_root / "vimeo_septuplet/sequences/00001/0001/im4.png")
    inputs = {"vimeo_mixed": noisy} | {
        f"vimeo_{name}": degrade([middle], name, clip_rng(0, ""))[0] for name in ("jpeg_q20", "bicubic_x4")
    }
    for data, image in inputs.items():
        out, _, results = evaluated("--baseline", "--data", data)
        assert out.startswith(f"[TOTAL baseline|{data}] PSNR: ")
        found = per_sample(results / f"score_{data}_toflow.txt")
        assert list(found) == [f"00001/000{n}" for n in (1, 2, 3)]
        error = np.abs(image.astype(float) - middle).mean() / 255
        assert found["00001/0001"] == pytest.approx(
            [psnr(image, middle, peak=255), ssim(image, middle, kind="volume", peak=255), error], abs=1e-5
        )
    _, _, results = evaluated("--baseline", "--data", "vimeo90k")
    first, truth, last = (read_image(data_root / f"vimeo_triplet/sequences/00001/0001/im{n}.png") for n in (1, 2, 3))
    mean = first / 2 + last / 2
    found = per_sample(results / "score_vimeo90k_mmagic.txt")
    assert found["00001/0001"][:2] == pytest.approx(
        [psnr(mean, truth, peak=255), ssim(mean, truth, kind="wang", peak=255)], abs=1e-5
    )
    assert len(found) == 5


def test_the_seed_alone_decides_the_noise(evaluated):
    argv = ("--baseline", "--data", "vimeo_gaussian")
    lines = [evaluated(*argv, *more)[0].splitlines()[0] for more in ((), ("-b", 2), ("--seed", 5), ("--seed", 5))]
    assert lines[0] == lines[1] != lines[2] == lines[3]


@pytest.mark.parametrize("batch", [[], ["-b", 2]])
@torch.no_grad()
def test_the_network_is_scored(evaluated, data_root, weights, batch):
    argv = ("--config", "TOFlow_denoise_tiny", "--ckpt_abs_name", weights("tiny_denoise"), *batch)
    out, error, results = evaluated(*argv)
    network = TOFlow(FORMS["tiny_denoise"]).eval()
    network.load_state_dict(torch.load(weights("tiny_denoise"), weights_only=True))
    want = []
    for sample in sets.find_samples(data_root, "vimeo_mixed", "test"):
        frames = np.stack(evaluation_frames(sample, 1234))
        pred = network(torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255)["pred"][0].permute(1, 2, 0).numpy()
        want.append(list(score_frames.score(TOFLOW["toflow"], pred, read_image(sample.target)).values()))
    assert np.allclose(list(per_sample(results / "score_vimeo_mixed_toflow.txt").values()), want, atol=0.002)
    total = score_lines.totals(out.splitlines())
    assert [float(total["toflow", m][0]) for m in ("PSNR", "SSIM", "MAE")] == pytest.approx(np.mean(want, 0), abs=2e-3)
    assert total["toflow", "PSNR"][1] == "3"
    assert error == ""


@pytest.mark.parametrize("form", ["mmagic_vfi", "pytoflow_interp"])
@torch.no_grad()
def test_odd_sizes(form, weights):
    network = TOFlow(FORMS[form]).eval()
    network.load_state_dict(torch.load(weights(form), weights_only=True))
    pair = list(np.random.default_rng(0).integers(0, 256, (2, 37, 51, 3), np.uint8))
    found = evaluate.enhance(network, [evaluate.Item(0, pair, pair[0])], torch.device("cpu"), shown=True)
    x = torch.from_numpy(np.stack(pair)).permute(0, 3, 1, 2) / 255
    wide = F.pad(x, (0, 13, 0, 11), mode="reflect") if form == "mmagic_vfi" else x
    want = network(wide[None])["pred"][..., :37, :51]
    assert found["pred"].shape == (1, 37, 51, 3)
    assert np.array_equal(found["pred"], want.permute(0, 2, 3, 1).numpy())
    assert found["flows"].shape == (1, 2, 37, 51, 2)


def test_sizes_may_change_in_a_set(evaluated, tmp_path, weights):
    for folder, size in (("1", (33, 31)), ("2", (33, 31)), ("3", (48, 64)), ("4", (33, 31))):
        for seed, name in enumerate(("frame_00", "frame_01_gt", "frame_02")):
            picture(tmp_path / f"sets/ucf101_interp_ours/{folder}/{name}.png", *size, seed=seed)
    argv = ("--config", "TOFlow_interp_tiny", "--ckpt_abs_name", weights("tiny_interp"), "--data", "ucf101", "-b", 3)
    out, _, results = evaluated(*argv, root=tmp_path / "sets")
    assert " 4 frames, protocol toflow" in out
    found = per_sample(results / "score_ucf101_toflow.txt")
    assert found["1"] == pytest.approx(found["4"], abs=1e-3)
    assert found["1"] != found["3"]


def test_vid4_reads_and_degrades_every_frame_once(evaluated, data_root, monkeypatch):
    counts, lock = {"read": [], "degraded": 0}, threading.Lock()

    def counted_read(path):
        with lock:
            counts["read"].append(path)
        return read_image(path)

    def counted_degrade(frames, *more):
        with lock:
            counts["degraded"] += len(frames)
        return degrade(frames, *more)

    monkeypatch.setattr(evaluate, "read_image", counted_read)
    monkeypatch.setattr(evaluate, "degrade", counted_degrade)
    _, _, results = evaluated("--baseline", "--data", "vid4")
    frames = [path for clip in "ab" for path in list_frames(data_root / "Vid4/GT" / clip)]
    assert sorted(counts["read"]) == frames
    assert counts["degraded"] == len(frames) == 17
    found = {name: per_sample(results / f"score_vid4_{name}.txt") for name in ("basicsr", "basicsr_y")}
    lines = (results / "score_vid4_basicsr.txt").read_text().splitlines()
    means = [np.mean([v for name, v in found["basicsr"].items() if name[0] == clip], 0) for clip in "ab"]
    for (clip, count), mean in zip((("a", 8), ("b", 9)), means, strict=True):
        (line,) = [line for line in lines if line.startswith(f"[MEAN {clip}]")]
        assert line.endswith(f" {count} frames")
        assert [float(v) for v in re.findall(r": (\S+)", line)] == pytest.approx(mean, abs=2e-5)
    assert [float(v) for v in re.findall(r": (\S+)", lines[-1])] == pytest.approx(np.mean(means, 0), abs=2e-5)
    assert score_lines.totals([lines[-1]])["basicsr", "PSNR"][1] == "17"


def test_windows_of_vid4(data_root):
    samples = sets.find_samples(data_root, "vid4", "test")
    config = parse(["--baseline", "--data", "vid4"])[1]
    cache = score_frames.Cache(4)  # too small for a window: read again, but right
    for number, order in ((0, (6, 5, 4, 0, 1, 2, 3)), (8, (0, 1, 2, 3, 4, 5, 6)), (16, (5, 6, 7, 8, 4, 3, 2))):
        sample = samples[number] if number != 8 else samples[11]
        clip = list_frames(sample.target.parent)
        item = evaluate.read_item(sample, number, config, cache)
        assert np.array_equal(item.truth, read_image(clip[order[3]]))
        for frame, k in zip(item.frames, order, strict=True):
            assert np.array_equal(frame, degrade([read_image(clip[k])], "bi_x4", clip_rng(0, ""))[0])


def test_two_processes_score_what_one_does(evaluated, data_root, tmp_path):
    out, _, results = evaluated("--baseline", "--data", "vid4")
    argv = ["--baseline", "--data", "vid4", "--mode", "two", "--data_root", data_root, "--log_root", tmp_path / "two"]
    done = launch("toflow", [*map(str, argv), "--device", "cpu", "-th", "1", "-dist"], 29661)
    assert done.returncode == 0, done.stderr
    kept = [[line for line in text.splitlines() if not line.startswith("scores")] for text in (out, done.stdout)]
    assert kept[0] == kept[1]
    for file in (tmp_path / "two/TOFlow_IJCV2019/two/result/baseline").glob("*.txt"):
        assert file.read_text() == (results / file.name).read_text()


# What is printed and written


def test_the_published_row_stands_beside(evaluated, weights):
    out = evaluated("--baseline", "--data", "vimeo_bicubic_x4")[0].splitlines()
    assert out[1].startswith("  published: PSNR 29.79 SSIM 0.9036 (paper, quoted from memory), delta ")
    assert out[1].endswith("; not the same set, here are 3 of 7824 samples")
    out = evaluated("--baseline", "--data", "vid4", "--protocol", "basicsr_y")[0].splitlines()
    assert out[1].startswith("  recorded: PSNR 23.7836 SSIM 0.6347 (")
    assert out[1].endswith("; not the same set, here are 17 of 171 samples")
    argv = ("--config", "TOFlow_interp_tiny", "--ckpt_abs_name", weights("tiny_interp"), "--data", "vimeo90k")
    out = evaluated(*argv)[0]
    assert out.startswith("[TOTAL tiny_interp|vimeo90k] PSNR: ")
    assert "published" not in out


def test_which_row_belongs_to_the_weights():
    config, network = preset("pytoflow_sr"), TOFlow(FORMS["official_sr"])
    assert evaluate.row_name(None, None, config) == "baseline"
    assert evaluate.row_name(TOFlow(FORMS["pytoflow_sr"]), Path("logs/mine.pth"), config) == "pytoflow_sr"
    for entry in entries("toflow"):
        if "x4_vimeo90k_official" in entry.file:
            assert evaluate.row_name(network, Path("ckpt", entry.file), config) == "tof_x4_official_vimeo90k"
    assert evaluate.row_name(network, Path("logs/mine.pth"), config) == ""


def test_pictures_of_the_first_samples(evaluated, data_root, weights, monkeypatch):
    monkeypatch.setattr(evaluate, "PICTURES", 2)
    argv = ("--config", "TOFlow_denoise_tiny", "--ckpt_abs_name", weights("tiny_denoise"), "--save_sample", "-b", 2)
    out, _, results = evaluated(*argv)
    (folder,) = (results / "vimeo_mixed").iterdir()
    assert "scores and pictures of the first 2 samples: " in out
    kinds = [*(f"{kind}_{k}" for kind in ("flow", "warped") for k in (1, 2, 3, 5, 6, 7)), "error", "input",
             "prediction", "truth"]  # fmt: skip
    clips = {path.relative_to(folder).parent.as_posix() for path in folder.rglob("*.png")}
    assert clips == {"00001/0001", "00001/0002"}
    shown = {path.stem: read_image(path).astype(float) for path in list_frames(folder / "00001/0001")}
    assert set(shown) == set(kinds)
    sample = sets.find_samples(data_root, "vimeo_mixed", "test")[0]
    assert np.array_equal(shown["truth"], read_image(sample.target))
    assert np.array_equal(shown["input"], evaluation_frames(sample, 1234)[3])
    error = np.minimum(255, 4 * np.abs(shown["prediction"] - shown["truth"]))
    inside = (shown["prediction"] > 0) & (shown["prediction"] < 255)  # outside, what is cut counts as error
    assert np.abs(shown["error"] - error)[inside].max() <= 3  # the picture's prediction is rounded
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    evaluated(*argv)
    assert len(list((results / "vimeo_mixed").iterdir())) == 2
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pictures_of_two_frames(tmp_path):
    frames = [np.full((12, 16, 3), level, np.uint8) for level in (10, 31, 20)]
    outputs = {
        "pred": np.full((12, 16, 3), 30 / 255, np.float32),
        "flows": np.zeros((2, 12, 16, 2), np.float32),
        "warped": np.ones((2, 12, 16, 3), np.float32) * 2,
        "masks": np.full((2, 12, 16, 1), 0.2, np.float32),
    }
    evaluate.write_pictures(tmp_path, evaluate.Item(0, [frames[0], frames[2]], frames[1]), outputs)
    shown = {path.stem: read_image(path)[0, 0, 0] for path in list_frames(tmp_path)}
    assert shown == {
        "error": 4, "flow_1": 255, "flow_3": 255, "input": 15, "mask_1": 51, "mask_3": 51, "prediction": 30,
        "truth": 31, "warped_1": 255, "warped_3": 255,
    }  # fmt: skip


def test_equal_frames_count_as_infinite(evaluated, tmp_path):
    for folder, seeds in (("1", (0, 0, 0)), ("2", (1, 2, 3))):
        for seed, name in zip(seeds, ("frame_00", "frame_01_gt", "frame_02"), strict=True):
            picture(tmp_path / f"sets/ucf101_interp_ours/{folder}/{name}.png", seed=seed)
    out = evaluated("--baseline", "--data", "ucf101", root=tmp_path / "sets")[0].splitlines()[0]
    assert out.startswith("[TOTAL baseline|ucf101] PSNR: inf SSIM: ")
    assert out.endswith(" 2 frames, protocol toflow, 1 of them equal to the truth")


@pytest.fixture
def own_triplets(tmp_path):
    """Folder of data sets with four triplets, and the third's files, to be damaged."""
    root = tmp_path / "own/vimeo_triplet"
    for number in range(1, 5):
        for seed in range(1, 4):
            picture(root / f"sequences/1/{number}/im{seed}.png", 24, 32, seed)
    (root / "tri_testlist.txt").write_text("\n".join(f"1/{n}" for n in range(1, 5)))
    return root.parent, root / "sequences/1/3"


@pytest.mark.parametrize(
    ("name", "damage", "part"),
    [
        ("im1", lambda path: path.unlink(), "cannot read"),
        ("im2", lambda path: path.write_bytes(path.read_bytes()[:99]), "truncated PNG"),
        ("im3", lambda path: picture(path, 24, 36), "36x24 pixels, but 32x24 was expected"),
        ("im2", lambda path: picture(path, 10, 36), "36x10 pixels; expected 11 or more a side"),
    ],
)
def test_a_bad_frame(evaluated, own_triplets, name, damage, part):
    root, folder = own_triplets
    damage(folder / f"{name}.png")
    out, error, _ = evaluated("--data", "vimeo90k", "--baseline", root=root, code=1)
    assert out == ""
    assert len(error.splitlines()) == 1
    assert str(folder / f"{name}.png") in error
    assert part in error


def test_a_truth_of_another_size(evaluated, own_triplets):
    root, folder = own_triplets
    picture(folder / "im2.png", 32, 32)
    error = evaluated("--data", "vimeo90k", "--baseline", root=root, code=1)[1]
    assert f"{folder}/im1.png: 32x24 pixels, but 32x32 was expected, as of {folder}/im2.png" in error


def test_an_error_of_another_process_ends_all(evaluated, monkeypatch):
    class Two(Processes):
        def gather(self, value):
            return [value, ({}, ValueError("the other's error"))]

        def broadcast(self, value):
            return value

    two = Two(0, 2, torch.device("cpu"))
    monkeypatch.setattr(evaluate.distributed, "joined", lambda _: nullcontext(two))
    out, error, _ = evaluated("--baseline", "--data", "vimeo90k", code=1)
    assert (out, error) == ("", "error: the other's error\n")


def test_prepared_frames(evaluated, data_root, tmp_path):
    argv = ("--baseline", "--data", "vimeo_gaussian", "--prepared")
    command = "python datasets/prepare_vimeo90k.py --layout vimeo_septuplet --degrade gaussian"
    assert command in evaluated(*argv, code=1)[1]
    root = tmp_path / "sets/vimeo_septuplet"
    root.mkdir(parents=True)
    for name in ("sequences", "sep_testlist.txt"):
        (root / name).symlink_to(data_root / "vimeo_septuplet" / name)
    samples = sets.find_samples(data_root, "vimeo_gaussian", "test")
    for sample in samples:
        for n, frame in enumerate(evaluation_frames(sample, 1234), 1):
            write_image(root / "degraded/gaussian" / sample.name / f"im{n:04}.png", frame)
    lines = [evaluated(*argv[:3], *more, root=root.parent)[0].splitlines()[0] for more in ((), ("--prepared",))]
    assert lines[0] == lines[1]
    missing = root / "degraded/gaussian" / samples[1].name / "im0006.png"
    missing.unlink()
    error = evaluated(*argv, root=root.parent, code=1)[1]
    assert error.startswith(f"error: cannot read {missing}: ")


# Real frames


def test_bicubic_of_a_real_clip(real_data, tmp_path):
    (tmp_path / "Vid4/GT").mkdir(parents=True)
    (tmp_path / "Vid4/GT/city").symlink_to(real_data.resolve() / "Vid4/GT/city")
    config = parse(["--baseline", "--data", "vid4", "-th", "1"])[1]
    samples = sets.find_samples(tmp_path, "vid4", "test")
    assert len(samples) == 34
    protocols = [TOFLOW["basicsr"], TOFLOW["basicsr_y"]]
    found = evaluate.run_protocols(None, samples, protocols, config, ALONE)
    values = [value for p in protocols for value in score_frames.mean(p, found[p.name]).values()]
    assert np.abs(np.subtract(values, CITY)).max() < 6e-5, values
