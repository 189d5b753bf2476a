"""TDAN's evaluation: which frames are read and how often, what they are scored, what is printed and written."""

import re
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.degrade.matlab_imresize import imresize
from common.degrade.operators import downsample_bd, downsample_bi
from common.media.color import rgb_to_y
from common.media.image import list_frames, read_image, write_image
from common.scoring import score_frames
from common.scoring.metrics import psnr, ssim
from common.tables import score_lines
from common.training.distributed import Processes
from tdan import ensemble, evaluate, run, samples, sets
from tdan.config import preset
from tdan.ensemble import chopped, flipped
from tdan.model import TDAN
from tdan.protocols import PROTOCOLS
from tdan.samples import low_part
from tests.helpers.runs import launch

BI, BD = "tdan_x4ft_1xb16-lr5e-5-400k_vimeo90k-bi", "tdan_x4ft_1xb16-lr5e-5-800k_vimeo90k-bd"
FORM = [f"--set={field}" for field in ("channels=8", "blocks_before=1", "blocks_after=1")]  # of `weights`


def picture(path, height=48, width=64, seed=0):
    """Smooth noise, so that low-resolution frames are like the true ones."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3)).astype(np.uint8)
    write_image(path, imresize(small, size=(height, width)))


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Two clips of Vid4, of six and five frames, and three test septuplets."""
    root = tmp_path_factory.mktemp("sets")
    for clip, count in (("a", 6), ("b", 5)):
        for number in range(count):
            picture(root / "Vid4/GT" / clip / f"{number:08}.png", seed=100 * count + number)
    names = [f"00001/{clip:04}" for clip in (1, 2, 3)]
    for clip, name in enumerate(names):
        for number in range(1, 8):
            picture(root / "vimeo_septuplet/sequences" / name / f"im{number}.png", seed=10 * clip + number)
    (root / "vimeo_septuplet/sep_testlist.txt").write_text("\n".join(names))
    return root


@pytest.fixture
def own_set(data_root, tmp_path):
    """Folder of data sets with links to the true frames of Vid4, to which low-resolution frames can be added."""
    for clip in "ab":
        (tmp_path / "own/Vid4/GT" / clip).mkdir(parents=True)
        for frame in list_frames(data_root / "Vid4/GT" / clip):
            (tmp_path / "own/Vid4/GT" / clip / frame.name).symlink_to(frame)
    return tmp_path / "own"


def write_lows(root, clip, down, folder="BIx4"):
    for frame in list_frames(root / "Vid4/GT" / clip):
        write_image(root / "Vid4" / folder / clip / frame.name, down(read_image(frame)))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small untrained network, and its checkpoint."""
    torch.manual_seed(0)
    network = TDAN(8, 1, 1, init="authors").eval()
    path = tmp_path_factory.mktemp("ckpt") / "tiny.pth"
    torch.save(network.state_dict(), path)
    return network, path


@pytest.fixture
def evaluated(tmp_path, data_root, monkeypatch, capsys):
    """Evaluates; gives both streams, and the folder of results."""
    monkeypatch.chdir(tmp_path)

    def start(*argv, root=data_root, code=0):
        where = ["--mode", "mine", "--data_root", root, "--device", "cpu", "-th", 2]
        where += FORM
        found = cli.run(run.main, [str(argument) for argument in (*where, *argv)])
        out, error = capsys.readouterr()
        assert found == code, error
        results = tmp_path / "logs/TDAN_CVPR2020/mine/result"
        return out, error, next(results.iterdir()) if results.is_dir() else None

    return start


def per_frame(path):
    """Frame's name -> metrics, of a score file."""
    lines = [line.split(" ", 1) for line in path.read_text().splitlines() if not line.startswith("[")]
    return {name: [float(value) for value in re.findall(r": (\S+)", rest)] for name, rest in lines}


# What is read


@pytest.mark.parametrize("degradation", ["bi", "bd"])
def test_the_baseline_is_bicubic(evaluated, data_root, degradation):
    out, _, results = evaluated("--baseline", "--data", f"vid4_{degradation}")
    down = {"bi": downsample_bi, "bd": downsample_bd}[degradation]
    found = per_frame(results / f"score_vid4_{degradation}_vid4_bicubic.txt")
    assert len(found) == 11
    for name in ("a/00000000", "b/00000004"):
        truth = read_image(data_root / f"Vid4/GT/{name}.png")
        pair = rgb_to_y(imresize(down(truth), scale=4)), rgb_to_y(truth)
        assert found[name] == pytest.approx([psnr(*pair, peak=255), ssim(*pair, kind="wang", peak=255)], abs=1e-5)
    lines = (results / f"score_vid4_{degradation}_tdan.txt").read_text().splitlines()
    means = [[float(v) for v in re.findall(r": (\S+)", line)] for line in lines if line.startswith("[MEAN")]
    assert [float(v) for v in re.findall(r": (\S+)", lines[-1])] == pytest.approx(np.mean(means, 0), abs=2e-5)
    assert score_lines.totals(out.splitlines())["tdan", "PSNR"][1] == "11"


@pytest.mark.parametrize(
    ("argv", "padding"),
    [([], "reflection"), (["--flips"], "reflection"), (["--chop"], "reflection"), (["--padding", "tdan_eval"], "end")],
)
@torch.no_grad()
def test_the_network_is_scored(evaluated, data_root, weights, monkeypatch, argv, padding):
    monkeypatch.setattr(ensemble, "MARGIN", 2)  # else the quarters of frames as small as these are whole frames
    network, path = weights
    out, error, results = evaluated("--ckpt_abs_name", path, "--data", "vid4_bi", *argv)
    found = per_frame(results / "score_vid4_bi_mmagic_vid4.txt")

    def call(frames):
        return network(frames)["pred"]

    around = {
        "--flips": lambda frames: flipped(call, frames),
        "--chop": lambda frames: chopped(call, frames, 4),
    }
    for clip, last in (("a", 5), ("b", 4)):
        frames = [read_image(path) for path in list_frames(data_root / "Vid4/GT" / clip)]
        lows = torch.from_numpy(np.stack([downsample_bi(frame) for frame in frames])).permute(0, 3, 1, 2) / 255
        tail = (last - 2, last - 1, last, *((last - 1, last - 2) if padding == "reflection" else (last - 2, last - 2)))
        for middle, window in ((0, (2, 1, 0, 1, 2)), (1, (1, 0, 1, 2, 3)), (2, (0, 1, 2, 3, 4)), (last, tail)):
            pred = around.get("".join(argv[:1]), call)(lows[list(window)][None])[0].permute(1, 2, 0).numpy()
            want = list(score_frames.score(PROTOCOLS["mmagic_vid4"], pred, frames[middle]).values())
            assert found[f"{clip}/{middle:08}"] == pytest.approx(want, abs=1e-3), (clip, middle)
    assert out.splitlines()[1].startswith("[TOTAL tiny|vid4_bi] PSNR: ")
    assert error == ""


def test_tiles_are_passed_on(evaluated, weights, monkeypatch):
    sizes = []
    whole = TDAN.extract
    monkeypatch.setattr(TDAN, "extract", lambda self, x: sizes.append(tuple(x.shape[-2:])) or whole(self, x))
    argv = ("--ckpt_abs_name", weights[1], "--data", "vimeo_bi", "--protocol", "tdan")
    evaluated(*argv)
    evaluated(*argv, "--tile", 8)
    assert sizes[:15] == [(12, 16)] * 15  # three clips of five frames, each frame once
    assert set(sizes[15:]) == {(8, 8)}


def test_every_frame_is_read_and_degraded_once(evaluated, data_root, monkeypatch):
    counts, lock = {"read": [], "degraded": 0}, threading.Lock()

    def counted_read(path):
        with lock:
            counts["read"].append(path)
        return read_image(path)

    def counted_low(*arguments, **options):
        with lock:
            counts["degraded"] += 1
        return low_part(*arguments, **options)

    monkeypatch.setattr(samples, "read_image", counted_read)
    monkeypatch.setattr(samples, "low_part", counted_low)
    for threads in (1, 3):
        counts |= {"read": [], "degraded": 0}
        evaluated("--baseline", "--data", "vid4_bi", "-th", threads)
        assert sorted(counts["read"]) == [path for clip in "ab" for path in list_frames(data_root / "Vid4/GT" / clip)]
        assert counts["degraded"] == 11


def test_two_processes_score_what_one_does(evaluated, data_root, weights, tmp_path):
    argv = ["--ckpt_abs_name", weights[1], "--data", "vid4_bi"]
    out, _, results = evaluated(*argv)
    argv += ["--mode", "two", "--data_root", data_root, "--log_root", tmp_path / "two", "--device", "cpu", "-th", "1"]
    argv += FORM
    done = launch("tdan", [*map(str, argv), "-dist"], 29681)
    assert done.returncode == 0, done.stderr
    kept = [[line for line in text.splitlines() if not line.startswith("scores")] for text in (out, done.stdout)]
    assert kept[0] == kept[1]
    files = list((tmp_path / "two/TDAN_CVPR2020/two/result/tiny").glob("*.txt"))
    assert len(files) == 3
    assert all(file.read_text() == (results / file.name).read_text() for file in files)


# Low-resolution frames from files


def test_clips_without_files_are_made(evaluated, own_set):
    made = evaluated("--baseline", "--data", "vid4_bi", root=own_set)[0].splitlines()
    assert made[0] == "low-resolution frames of a, b: made here, BI, rounded once"
    write_lows(own_set, "b", downsample_bi)
    (own_set / "Vid4/BIx4/b_of_others").mkdir()
    part = evaluated("--baseline", "--data", "vid4_bi", root=own_set)[0].splitlines()
    assert part[:2] == [
        "low-resolution frames of a: made here, BI, rounded once",
        "low-resolution frames of b: files, BI, rounded once: equal",
    ]
    assert [line for line in made if "TOTAL" in line] == [line for line in part if "TOTAL" in line]
    error = evaluated("--baseline", "--data", "vid4_bi", "--prepared", root=own_set, code=1)[1]
    assert f"no folder {own_set}/Vid4/BIx4/a" in error
    (own_set / "Vid4/BIx4/b/00000001.png").unlink()
    error = evaluated("--baseline", "--data", "vid4_bi", root=own_set, code=1)[1]
    assert f"{own_set}/Vid4/BIx4/b: 4 frames; expected 5 as in {own_set}/Vid4/GT/b" in error


def test_files_are_what_is_scored(evaluated, own_set):
    for clip in "ab":
        write_lows(own_set, clip, lambda image: 255 - downsample_bi(image))
    _, _, results = evaluated("--baseline", "--data", "vid4_bi", root=own_set)
    truth = read_image(own_set / "Vid4/GT/a/00000002.png")
    pair = rgb_to_y(imresize(255 - downsample_bi(truth), scale=4)), rgb_to_y(truth)
    found = per_frame(results / "score_vid4_bi_vid4_bicubic.txt")["a/00000002"]
    assert found[0] == pytest.approx(psnr(*pair, peak=255), abs=1e-5)


@pytest.mark.parametrize(
    ("data", "down", "said", "warned"),
    [
        ("vid4_bi", lambda image: downsample_bi(image, rounding="per-axis"), "BI, rounded after each axis: equal", ""),
        ("vid4_bd", downsample_bd, "BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal", ""),
        ("vid4_bd", lambda image: downsample_bd(image, kind="duf"), "DUF's BD (samples at 0, 4, 8): equal", "BD of"),
        ("vid4_bd", downsample_bi, "BI, rounded once: equal", "BD of RDN"),
        ("vid4_bi", downsample_bd, "BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal", "BI, rounded once"),
        ("vid4_bi", lambda image: 255 - downsample_bi(image), "no known degradation: the nearest, ", "BI, rounded"),
    ],
)
def test_the_habit_of_files_is_named(own_set, data, down, said, warned):
    write_lows(own_set, "a", down, f"{data[-2:].upper()}x4")
    write_lows(own_set, "b", down, f"{data[-2:].upper()}x4")
    lines = evaluate.low_lines(sets.find_clips(own_set, data, "test"), data, 4)
    assert lines[0].startswith(f"low-resolution frames of a, b: files, {said}")
    assert len(lines) == 1 + bool(warned)
    assert not warned or lines[1].startswith(f"warning: {data} means {warned}")
    assert not warned or lines[1].endswith("the files of a, b are not: networks lose dBs there")


def test_flat_frames_count_as_what_they_should_be(tmp_path):
    for number in range(5):
        write_image(tmp_path / f"Vid4/GT/a/{number}.png", np.full((48, 48, 3), 90, np.uint8))
        write_image(tmp_path / f"Vid4/BDx4/a/{number}.png", np.full((12, 12, 3), 90, np.uint8))
    lines = evaluate.low_lines(sets.find_clips(tmp_path, "vid4_bd", "test"), "vid4_bd", 4)
    assert lines == ["low-resolution frames of a: files, BD of RDN, MMagic and TDAN (samples at 1, 5, 9): equal"]


def test_only_some_of_many_clips_are_looked_at(own_set, monkeypatch):
    write_lows(own_set, "a", downsample_bi)
    clip = sets.find_clips(own_set, "vid4_bi", "test")[0]
    looked = []
    monkeypatch.setattr(evaluate, "_identify", lambda clip, scale: looked.append(1) or evaluate.Match("bi", 0, 0, 0))
    lines = evaluate.low_lines([clip] * 100, "vid4_bi", 4)
    assert len(looked) == 25
    assert lines == ["low-resolution frames of a, a, a, a and 21 more: files, BI, rounded once: equal"]


# What is printed and written


def test_the_published_row_stands_beside(evaluated, weights):
    out = evaluated("--baseline", "--data", "vid4_bd", "--protocol", "tdan", "vid4_bicubic")[0].splitlines()
    assert out[2].startswith("  recorded: PSNR 23.4450 SSIM 0.6153 (")
    assert out[2].endswith("; not the same set, here are 11 of 171 frames")
    assert out[4].startswith("  recorded: PSNR 23.4444 SSIM 0.6171 (")
    assert "published" not in evaluated("--ckpt_abs_name", weights[1], "--data", "vid4_bi")[0]


def test_which_row_belongs_to_the_weights():
    network, small = TDAN(), TDAN(16, 2, 4)
    config = preset(BI)
    assert evaluate.row_name(None, None, config) == "baseline"
    assert evaluate.row_name(network, Path("logs/mine.pth"), config) == BI
    assert evaluate.row_name(network, Path("ckpt/tdan_vimeo90k_bdx4_20210528-c53ab844.pth"), config) == BD
    assert evaluate.row_name(network, Path("ckpt/model.pt"), config) == "TDAN"
    assert evaluate.row_name(network, Path("ckpt/model_gaussian.pt"), config) == ""
    assert evaluate.row_name(small, Path("logs/mine.pth"), config) == ""
    assert evaluate.row_name(small, Path("logs/mine.pth"), preset("TDAN_tiny_bi")) == "TDAN_tiny_bi"


@torch.no_grad()
def test_pictures_of_the_first_frames(evaluated, data_root, weights, monkeypatch):
    monkeypatch.setattr(evaluate, "PICTURES", 2)
    argv = ("--ckpt_abs_name", weights[1], "--data", "vid4_bi", "--save_sample")
    out, _, results = evaluated(*argv)
    (folder,) = (results / "vid4_bi").iterdir()
    assert "scores and pictures of the first 2 frames: " in out
    assert {path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == {
        "a/00000000",
        "a/00000001",
    }
    shown = {path.stem: read_image(path).astype(float) for path in list_frames(folder / "a/00000001")}
    moved = [f"{kind}_{k}" for kind in ("aligned", "motion") for k in (1, 2, 4, 5)]
    assert set(shown) == {*moved, "low", "bicubic", "prediction", "truth", "error", "side_by_side"}
    frames = [read_image(path) for path in list_frames(data_root / "Vid4/GT/a")]
    lows = [downsample_bi(frame) for frame in frames]
    bicubic = imresize(lows[1], scale=4)
    assert np.array_equal(shown["low"], lows[1])
    assert np.array_equal(shown["truth"], frames[1])
    assert np.array_equal(shown["bicubic"], bicubic)
    window = torch.from_numpy(np.stack([lows[k] for k in (1, 0, 1, 2, 3)])).permute(0, 3, 1, 2)[None] / 255
    outputs = {key: value[0].movedim(-3, -1).numpy() for key, value in weights[0](window).items()}
    levels = {"prediction": outputs["pred"]} | {f"aligned_{k + 1}": outputs["aligned"][k] for k in (0, 1, 3, 4)}
    for name, want in levels.items():
        assert np.abs(shown[name] - np.clip(255 * want, 0, 255)).max() < 0.51, name
    assert shown["motion_4"].shape == (12, 16, 3)
    assert not np.array_equal(shown["motion_4"], shown["motion_5"])
    error = np.minimum(255, 4 * np.abs(shown["prediction"] - shown["truth"]))
    inside = (shown["prediction"] > 0) & (shown["prediction"] < 255)  # outside, what is cut counts as error
    assert np.abs(shown["error"] - error)[inside].max() <= 3  # the picture's prediction is rounded
    parts = np.split(shown["side_by_side"], 4, 1)
    assert np.array_equal(parts[0][::4, ::4], lows[1])
    assert np.array_equal(parts[0][3::4, 3::4], lows[1])
    for part, name in zip(parts[1:], ("bicubic", "prediction", "truth"), strict=True):
        assert np.array_equal(part, shown[name])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    evaluated(*argv)
    assert len(list((results / "vid4_bi").iterdir())) == 2
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_motions_of_a_frame_have_one_scale(tmp_path):
    low, motions = np.zeros((8, 8, 3), np.uint8), np.zeros((4, 8, 8, 2), np.float32)
    motions[:, :, :, 0] = np.array([4, 2, 0, 4])[:, None, None]
    item = evaluate.Item(0, None, [], [low] * 5, np.zeros((32, 32, 3), np.uint8))
    outputs = {"pred": np.ones((32, 32, 3), np.float32), "aligned": np.ones((5, 8, 8, 3), np.float32)}
    evaluate.write_pictures(tmp_path, item, outputs | {"motion": motions}, 4)
    shown = {k: read_image(tmp_path / f"motion_{k}.png")[0, 0].tolist() for k in (1, 2, 4, 5)}
    assert shown[1] == shown[5] != shown[2]
    assert shown[4] == [255, 255, 255]
    assert read_image(tmp_path / "error.png").min() == 255


@pytest.mark.parametrize(
    ("name", "damage", "part"),
    [
        ("1", lambda path: path.write_bytes(path.read_bytes()[:99]), "truncated PNG"),
        ("2", lambda path: picture(path, 48, 72), "18x12 pixels at low resolution, but 16x12 was expected"),
        ("4", lambda path: picture(path, 24, 64), "16x6 pixels at low resolution, but 16x12"),
    ],
)
def test_a_bad_frame(evaluated, own_set, name, damage, part):
    path = own_set / f"Vid4/GT/b/0000000{name}.png"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    damage(path)
    out, error, _ = evaluated("--data", "vid4_bi", "--baseline", root=own_set, code=1)
    assert "TOTAL" not in out
    assert len(error.splitlines()) == 1
    assert str(path) in error
    assert part in error


def test_low_frames_of_another_size(evaluated, own_set):
    write_lows(own_set, "b", downsample_bi)
    path = own_set / "Vid4/BIx4/b/00000003.png"
    write_image(path, read_image(path)[:, :-1])
    error = evaluated("--data", "vid4_bi", "--baseline", root=own_set, code=1)[1]
    assert f"{path}: 15x12 pixels at low resolution, but 16x12 was expected" in error
    write_image(path.with_name("00000000.png"), read_image(path)[:, :-1])
    error = evaluated("--data", "vid4_bi", "--baseline", root=own_set, code=1)[1]
    assert f"{path.with_name('00000000.png')}: a low-resolution frame of 14x12 pixels, but 16x12 was expected" in error


def test_frames_too_small_for_the_border(evaluated, tmp_path):
    for number in range(5):
        picture(tmp_path / f"small/Vid4/GT/a/{number}.png", 24, 40, number)
    argv = ("--data", "vid4_bi", "--baseline", "--protocol")
    error = evaluated(*argv, "tdan", root=tmp_path / "small", code=1)[1]
    assert "0.png: 40x24 pixels; expected 27 or more a side" in error
    assert "5 frames, protocol vid4_bicubic" in evaluated(*argv, "vid4_bicubic", root=tmp_path / "small")[0]


def test_an_error_of_another_process_ends_all(evaluated, monkeypatch):
    class Two(Processes):
        def gather(self, value):
            return [value, ({}, ValueError("the other's error"))]

        def broadcast(self, value):
            return value

    joined = nullcontext(Two(0, 2, torch.device("cpu")))
    monkeypatch.setattr(evaluate.distributed, "joined", lambda _: joined)
    out, error, _ = evaluated("--baseline", "--data", "vid4_bi", code=1)
    assert "TOTAL" not in out
    assert error == "error: the other's error\n"
