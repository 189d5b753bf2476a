"""QPWCNet's scores by formula, and what an evaluation prints and writes."""

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from common import cli
from common.media.flow_color import flow_to_image
from common.media.flow_file import read_flow, write_flow
from common.media.image import list_frames, read_image, write_image
from common.scoring import score_frames
from common.scoring.metrics import flow_metrics_dense, flow_metrics_kitti, psnr
from common.scoring.protocols import INTERPOLATION
from common.tables import score_lines
from common.training.distributed import Processes
from qpwcnet import evaluate, run, sets
from qpwcnet.config import PRESETS, Config
from qpwcnet.evaluate import Score, mean_score, read_item, run_protocols, score_flow
from qpwcnet.model import Flower
from qpwcnet.protocols import FLOW
from qpwcnet.sets import find_pairs

SIZE = (24, 32)  # height, width
MIDDLEBURY = {"Beanbags": (26.6378, 0.9548, 3.9557), "RubberWhale": (38.6980, 0.9926, 1.7613)}  # PSNR, SSIM, IE


def picture(path, seed, size=SIZE):
    write_image(path, np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


def random_flow(seed, size=SIZE):
    return np.float32(np.random.default_rng(seed).normal(0, 6, (*size, 2)) * 64 // 1 / 64)  # as KITTI stores it


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Three pairs of two sizes in the layouts of Sintel, KITTI (with holes) and chairs, a pair, and two triplets."""
    root = tmp_path_factory.mktemp("sets")
    sizes = [SIZE, (30, 20), SIZE]
    for k, size in enumerate(sizes):
        for n in (0, 1):
            picture(root / f"MPI-Sintel/training/final/s{k}/frame_000{n + 1}.png", 2 * k + n, size)
            picture(root / f"KITTI/training/image_2/00000{k}_1{n}.png", 2 * k + n, size)
            picture(root / f"FlyingChairs/data/0000{k}_img{n + 1}.ppm", 2 * k + n, size)
        write_flow(root / f"MPI-Sintel/training/flow/s{k}/frame_0001.flo", random_flow(k, size))
        write_flow(root / f"FlyingChairs/data/0000{k}_flow.flo", random_flow(k, size))
        known = np.random.default_rng(k).random(size) < (k + 1) / 4
        (root / "KITTI/training/flow_occ").mkdir(exist_ok=True)
        write_flow(root / f"KITTI/training/flow_occ/00000{k}_10.png", random_flow(k, size), known)
    (root / "FlyingChairs/chairs_split.txt").write_text("2\n2\n2\n")
    for n in (0, 1):
        picture(root / f"flow_pair/frame_{n}.png", n)
    write_flow(root / "flow_pair/other_program.flo", random_flow(0))
    for clip in (1, 2):
        for n in (1, 2, 3):
            picture(root / f"vimeo_triplet/sequences/1/{clip}/im{n}.png", 10 * clip + n)
    (root / "vimeo_triplet/tri_testlist.txt").write_text("1/1\n1/2\n")
    return root


@pytest.fixture
def evaluated(tmp_path, data_root, capsys, monkeypatch):
    """Evaluates the baseline, or `network`; gives the exit code, both streams, and the folder of results."""
    monkeypatch.chdir(tmp_path)

    def start(*argv, network=None, root=data_root):
        if network:
            monkeypatch.setattr(evaluate, "load", lambda *_: (network, Path("mine.pytorch")))
        argv = (*argv, "--mode", "m", "--data_root", root, "--device", "cpu", "-th", 2, "--baseline")
        code = cli.run(run.main, [str(argument) for argument in argv])
        return code, *capsys.readouterr(), tmp_path / "logs/QPWCNet/run/m/result" / ("mine" if network else "zero")

    return start


class Told:
    """A network that returns what it was told, call by call."""

    def __init__(self, flows):
        self.flows = [torch.from_numpy(flow).permute(2, 0, 1)[None] for flow in flows]

    def estimate(self, prv, nxt):
        flow = self.flows.pop(0)
        assert prv.shape[2:] == nxt.shape[2:] == flow.shape[2:]
        return flow


def values(out, protocol):
    """{metric: value} of a protocol's last line."""
    return {metric: float(value) for (name, metric), (value, _) in totals(out).items() if name == protocol}


def totals(out):
    return score_lines.totals(out.splitlines())


# Scores


def test_every_set_has_a_protocol_and_names_differ():
    for data in sets.FLOW_SETS:
        assert len([p for p in FLOW.values() if data in p.sets and p.default]) == 1
    assert not FLOW.keys() & INTERPOLATION.keys()
    assert [p.name for p in evaluate.chosen_protocols(None, Config(data="ytvos"), [])] == ["ifrnet", "mmediting"]
    assert [p.name for p in evaluate.chosen_protocols(None, Config(data="real"), [])] == ["ifrnet", "mmediting"]


def test_a_flow_by_formula():
    truth, known = np.zeros((2, 3, 2)), np.array([[1, 1, 1], [1, 1, 0]], bool)
    truth[1, 0] = (80, 0)
    prediction = truth.copy()
    prediction[0, 1] = (0.6, -0.8)  # error 1
    prediction[0, 2] = (-3, 4)  # error 5, an outlier
    prediction[1, 0] = (80, 3.5)  # error 3.5, below 5 % of 80 pixels
    prediction[1, 2] = np.nan  # unknown
    prediction[1, 1] = (2, 0)
    found = score_flow(FLOW["sintel"], prediction, truth, known)
    assert found == pytest.approx({"EPE": 11.5 / 5, "px1": 20, "px3": 60, "px5": 80, "Fl-all": 20})
    assert score_flow(FLOW["flow_pair"], prediction, truth, known) == pytest.approx({"distance": 11.5 / 5})


def test_a_frame_moved_back_by_a_flow():
    """By the right flow it is the first frame; what leaves the frame does not count."""
    wide = np.random.default_rng(0).random((1, 12, 20, 3), np.float32)
    prv, nxt = (torch.from_numpy(wide[0, :, start : start + 16]).permute(2, 0, 1) for start in (3, 0))
    item = evaluate.Item(0, prv, nxt, None, np.ones((12, 16), bool))  # what is at x is at x + 3 then
    flow = np.zeros((12, 16, 2), np.float32)
    still = evaluate.score_warp(FLOW["warp"], flow, item)
    assert still["IE"] == pytest.approx(255 * (prv - nxt).abs().mean().item(), rel=1e-5)
    assert still["PSNR"] == pytest.approx(psnr(nxt.numpy(), prv.numpy(), peak=1))
    flow[..., 0] = 3
    assert evaluate.score_warp(FLOW["warp"], flow, item)["IE"] < 1e-4
    with pytest.raises(ValueError, match="the flow leaves the frame everywhere"):
        evaluate.score_warp(FLOW["warp"], flow + 20, item)


def test_sums_of_flows_are_the_means_of_all_their_pixels():
    triples = []
    for seed, size in enumerate([(5, 7), (11, 3), (8, 8)]):
        truth = 4 * random_flow(seed, size)
        triples.append((truth + random_flow(9 + seed, size) / (seed + 1), truth, random_flow(seed, size)[..., 0] > 0))
    found = {}
    for name, whole in (("sintel", True), ("kitti15", False)):
        known = [np.ones_like(valid) if whole else valid for *_, valid in triples]
        parts = [
            Score(k, int(mask.sum()), score_flow(FLOW[name], prediction, truth, mask))
            for k, ((prediction, truth, _), mask) in enumerate(zip(triples, known, strict=True))
        ]
        found[name] = mean_score(FLOW[name], parts)
    dense, kitti = flow_metrics_dense([triple[:2] for triple in triples]), flow_metrics_kitti(triples)
    assert found["sintel"]["EPE"] == pytest.approx(dense["epe"], rel=1e-9)
    assert found["sintel"]["px3"] == pytest.approx(100 * dense["px3"], rel=1e-9)
    assert found["kitti15"] == pytest.approx({"EPE": kitti["epe"], "Fl-all": kitti["fl_all"]}, rel=1e-9)
    assert 0 < kitti["fl_all"] < 100


def test_frames_count_alike_whatever_their_size():
    parts = [Score(0, 10, {"PSNR": 10.0, "SSIM": 0.0}), Score(1, 1000, {"PSNR": 20.0, "SSIM": 1.0})]
    assert mean_score(INTERPOLATION["ifrnet"], parts) == {"PSNR": 15, "SSIM": 0.5}


# The command


@pytest.mark.parametrize("data", ["sintel_final", "chairs", "kitti15"])
def test_zero_flow_is_off_by_the_mean_length(evaluated, data_root, data):
    code, out, error, results = evaluated("--data", data)
    assert (code, error) == (0, "")
    lengths = []
    for pair in find_pairs(data_root, data, "test"):
        flow, known = read_flow(pair.flow)
        lengths.append(np.hypot(*flow[known].T.astype(np.float64)))
    mean = np.mean([one.mean() for one in lengths]) if data == "kitti15" else np.concatenate(lengths).mean()
    name = "sintel" if data == "sintel_final" else data
    assert values(out, name)["EPE"] == pytest.approx(mean, abs=1e-5)
    assert values(out, name)["Fl-all"] == pytest.approx(100 * (np.concatenate(lengths) > 3).mean(), abs=1e-5)
    lines = (results / f"score_{data}_{name}.txt").read_text().splitlines()
    found = [float(re.search(r" EPE: (\S+)", line)[1]) for line in lines]
    assert found[:3] == pytest.approx([one.mean() for one in lengths], abs=1e-5)
    assert lines[-1] == out.splitlines()[0]
    assert lines[-1].endswith(f" 3 frames, protocol {name}")


def test_the_truth_scores_zero_and_what_is_unknown_does_not_count(evaluated, data_root):
    flows = []
    for pair in find_pairs(data_root, "kitti15", "test"):
        flow, known = read_flow(pair.flow)
        flows.append(np.where(known[..., None], flow, np.float32(99)))
    code, out, _, _ = evaluated("--data", "kitti15", network=Told(flows))
    assert (code, values(out, "kitti15")) == (0, {"EPE": 0, "Fl-all": 0})
    assert totals(out)["kitti15", "EPE"][1] == "3"


def test_the_original_scores_at_its_size(evaluated, tmp_path):
    for n in (1, 2):
        picture(tmp_path / f"sets/FlyingChairs/data/1_img{n}.ppm", n)
    write_flow(tmp_path / "sets/FlyingChairs/data/1_flow.flo", np.full((*SIZE, 2), np.float32((3, 6))))
    (tmp_path / "sets/FlyingChairs/chairs_split.txt").write_text("2")
    argv = ("--data", "chairs", "--protocol", "qpwcnet", "chairs", "--set", "input_shape=32,64")
    out = evaluated(*argv, root=tmp_path / "sets")[1]
    assert values(out, "qpwcnet")["EPE"] == pytest.approx(np.hypot(3 * 64 / 32, 6 * 32 / 24), abs=1e-5)
    assert values(out, "chairs")["EPE"] == pytest.approx(np.hypot(3, 6), abs=1e-5)
    network = Told([np.full((32, 64, 2), np.float32((6, 8))), np.full((*SIZE, 2), np.float32((3, 6)))])
    out = evaluated(*argv, root=tmp_path / "sets", network=network)[1]
    assert values(out, "qpwcnet")["EPE"] == values(out, "chairs")["EPE"] == 0


def test_resizing_mixes_nothing_unknown_in(data_root):
    pair = find_pairs(data_root, "kitti15", "test")[2]
    item = read_item(pair, 0, (2 * SIZE[0], 2 * SIZE[1]))
    small = read_item(pair, 0)
    assert 0 < item.known.sum() < 4 * small.known.sum()
    inside = np.kron(small.known, np.ones((2, 2), bool))
    assert not (item.known & ~inside).any()
    low, high = small.truth[small.known].min(0), small.truth[small.known].max(0)
    assert (item.truth[item.known] >= 2 * low).all()
    assert (item.truth[item.known] <= 2 * high).all()


@torch.no_grad()
def test_weights_see_frames_of_any_size(evaluated, data_root, tmp_path):
    torch.manual_seed(0)
    network = Flower((4, 4, 4, 4, 4)).eval()
    torch.save(network.state_dict(), tmp_path / "w.pytorch")
    argv = ["--data", "sintel_final", "--ckpt_abs_name", str(tmp_path / "w.pytorch"), "--data_root", str(data_root)]
    assert cli.run(run.main, [*argv, "--mode", "m", "--device", "cpu"]) == 0
    lines = (tmp_path / "logs/QPWCNet/run/m/result/w/score_sintel_final_sintel.txt").read_text().splitlines()
    for pair, line in zip(find_pairs(data_root, "sintel_final", "test"), lines, strict=False):
        frames = [torch.from_numpy(read_image(path)).permute(2, 0, 1)[None] / 255 for path in (pair.first, pair.second)]
        flow = network.estimate(*frames)[0].permute(1, 2, 0).numpy()
        error = np.linalg.norm(flow - read_flow(pair.flow)[0], axis=-1).mean()
        assert line.startswith(f"{pair.name} EPE: ")
        assert float(line.split()[2]) == pytest.approx(error, abs=2e-5)


@pytest.mark.parametrize(("task", "data"), [("flow", "sintel_final"), ("interp", "vimeo90k")])
def test_two_processes_score_what_one_does(data_root, task, data):
    find = sets.find_pairs if task == "flow" else sets.find_triplets
    samples, config = find(data_root, data, "test"), PRESETS["flow" if task == "flow" else "pre_train"]
    protocols = [FLOW["sintel"] if task == "flow" else INTERPOLATION["ifrnet"]]

    def scored(rank, count):
        processes = Processes(rank, count, torch.device("cpu"))
        return run_protocols(None, samples, protocols, config, processes)[protocols[0].name]

    parts = [scored(0, 2), scored(1, 2)]
    assert parts[0] + parts[1] == scored(0, 1)
    assert all(parts)


def test_what_two_processes_scored_is_joined(evaluated, data_root, monkeypatch):
    argv, cpu = ("--data", "sintel_final"), torch.device("cpu")
    alone = evaluated(*argv)[1].splitlines()[0]
    samples = find_pairs(data_root, "sintel_final", "test")
    other = run_protocols(None, samples, [FLOW["sintel"]], PRESETS["flow"], Processes(1, 2, cpu))
    monkeypatch.setattr(evaluate.distributed, "joined", lambda *_: nullcontext(Processes(0, 2, cpu)))
    monkeypatch.setattr(Processes, "broadcast", lambda _, value: value)
    monkeypatch.setattr(Processes, "gather", lambda _, value: [value, (other, None)])
    assert evaluated(*argv)[1].splitlines()[0] == alone
    monkeypatch.setattr(Processes, "gather", lambda _, value: [value, ({}, ValueError("of the other one"))])
    assert evaluated(*argv)[:3] == (1, "", "error: of the other one\n")


def test_the_mean_of_two_frames(evaluated, data_root, tmp_path):
    code, out, error, _ = evaluated("--data", "vimeo90k", "--save_sample")
    assert (code, error) == (0, "")
    expected = []
    for clip in (1, 2):
        a, truth, b = (read_image(data_root / f"vimeo_triplet/sequences/1/{clip}/im{n}.png") / 255.0 for n in (1, 2, 3))
        expected.append(psnr((a + b) / 2, truth, peak=1))
    for protocol in ("ifrnet", "mmediting"):
        assert values(out, protocol)["PSNR"] == pytest.approx(np.mean(expected), abs=1e-4)
    folder = tmp_path / re.search(r"scores and pictures: (\S+)", out)[1]
    names = ["img0", "img1", "img2", "overlay", "pred-img1"]
    assert [path.stem for path in list_frames(folder / "1/2")] == names
    shown = {name: read_image(folder / f"1/2/{name}.png") for name in names}
    for n in (1, 2, 3):
        assert np.array_equal(shown[f"img{n - 1}"], read_image(data_root / f"vimeo_triplet/sequences/1/2/im{n}.png"))
    assert np.array_equal(shown["pred-img1"], shown["overlay"])


def test_the_mean_of_real_frames(evaluated, real_data, tmp_path):
    (tmp_path / "sets/Middlebury").mkdir(parents=True)
    for scene in MIDDLEBURY:
        (tmp_path / "sets/Middlebury" / scene).symlink_to(real_data.resolve() / "Middlebury_other" / scene)
    code, out, _, results = evaluated("--data", "middlebury", root=tmp_path / "sets")
    assert code == 0
    lines = (results.parent / "blend/score_middlebury_ifrnet_middlebury.txt").read_text().splitlines()
    found = {line.split()[0]: [float(v) for v in re.findall(r": (\S+)", line)] for line in lines[:-1]}
    assert list(found) == list(MIDDLEBURY)
    assert np.abs(np.array(list(found.values())) - list(MIDDLEBURY.values())).max() < 1e-4
    assert "recorded: PSNR 28.0197 SSIM 0.8796 IE 5.7357" in out
    assert "not the same set, here are 2 of 12 samples" in out


# Pictures


def test_pictures_of_flows_and_no_result_is_overwritten(evaluated, data_root, tmp_path):
    flows = [random_flow(20 + k, size) for k, size in enumerate([SIZE, (30, 20), SIZE])]
    flows[0][0, 0] = (700, -700)  # more than a KITTI file holds
    folders = []
    for _ in range(2):
        out = evaluated("--data", "kitti15", "-ss", network=Told(flows))[1]
        folders.append(tmp_path / re.search(r"scores and pictures: (\S+)", out)[1])
    assert folders[0] != folders[1]
    folder = folders[0]
    for k, flow in enumerate(flows):
        written, known = read_flow(folder / f"flow/00000{k}_10.png")
        assert known.all()
        assert np.abs(written - flow.clip(-512, 512)).max() < 1 / 30
    names = ["flow", "nxt", "overlay", "prv", "truth", "warped"]
    assert [path.stem for path in list_frames(folder / "000001")] == names
    truth, known = read_flow(data_root / "KITTI/training/flow_occ/000001_10.png")
    truth = np.where(known[..., None], truth, 0)
    scale = float(np.linalg.norm(truth, axis=-1).max())
    for name, flow in (("truth", truth), ("flow", flows[1])):  # in one scale of colours
        shown, want = read_image(folder / f"000001/{name}.png"), flow_to_image(flow, scale=scale)
        assert np.abs(shown.astype(int) - want).max() <= 1


def test_the_pair_of_another_program(evaluated, data_root, tmp_path):
    flow = random_flow(1)
    code, out, error, _ = evaluated("--data", "flow_pair", network=Told([flow]))
    assert (code, error) == (0, "")
    distance = np.linalg.norm(flow - random_flow(0), axis=-1).mean()
    assert values(out, "flow_pair") == {"distance": pytest.approx(distance, abs=1e-5)}
    assert "EPE" not in out
    assert "to the flow of the official PWC-Net, no error" in out
    folder = tmp_path / re.search(r"scores and pictures: (\S+)", out)[1]
    names = ["flow", "nxt", "official", "overlay", "prv", "warped"]
    assert [path.stem for path in list_frames(folder / "frame_0")] == names
    assert np.array_equal(read_flow(folder / "flow/frame_0.flo")[0], flow)


# What is refused


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--data", "chairs", "--protocol", "kitti15"], "kitti15 does not score chairs: expected chairs or qpwcnet"),
        (
            ["--data", "vimeo90k", "--protocol", "sintel"],
            "sintel does not score vimeo90k: expected ifrnet or mmediting",
        ),
        (["--data", "flow_pair", "--protocol", "qpwcnet"], "does not score flow_pair: expected flow_pair"),
    ],
)
def test_protocols_that_do_not_fit(evaluated, argv, part):
    code, out, error, _ = evaluated(*argv)
    assert (code, out) == (2, "")
    assert part in error


def test_flow_weights_make_no_frames(data_root, tmp_path, capsys):
    torch.save(Flower((4, 4, 4, 4, 4)).state_dict(), tmp_path / "w.pytorch")
    argv = ["--task", "interp", "--data", "vimeo90k", "--ckpt_abs_name", tmp_path / "w.pytorch", "--mode", "m"]
    argv += ["--data_root", data_root, "--device", "cpu", "--log_root", tmp_path]
    assert cli.run(run.main, [str(argument) for argument in argv]) == 1
    assert "w.pytorch: holds a flow network, which makes no frames; use --task flow" in capsys.readouterr().err


def test_samples_that_cannot_be_scored(evaluated, tmp_path):
    folder = tmp_path / "sets/FlyingChairs"
    for n in (1, 2):
        picture(folder / f"data/1_img{n}.ppm", n)
    write_flow(folder / "data/1_flow.flo", random_flow(0), np.zeros(SIZE, bool))
    (folder / "chairs_split.txt").write_text("2")
    code, out, error, _ = evaluated("--data", "chairs", root=tmp_path / "sets")
    assert (code, out) == (1, "")
    assert "1_flow.flo: no pixel with a known flow" in error
    write_flow(folder / "data/1_flow.flo", random_flow(0))
    network = Told([np.full((*SIZE, 2), np.nan, np.float32)])
    code, _, error, _ = evaluated("--data", "chairs", root=tmp_path / "sets", network=network)
    assert code == 1
    assert "NaN or infinite values: the network diverged" in error
    picture(folder / "data/1_img2.ppm", 0, (24, 34))
    error = evaluated("--data", "chairs", root=tmp_path / "sets")[2]
    assert "1_img2.ppm: 34x24 pixels, but 32x24 was expected" in error
    for n in (1, 2, 3):
        picture(tmp_path / f"sets/vimeo_triplet/sequences/1/1/im{n}.png", n, (10, 64))
    (tmp_path / "sets/vimeo_triplet/tri_testlist.txt").write_text("1/1\n")
    assert "64x10 pixels; expected 11 or more" in evaluated("--data", "vimeo90k", root=tmp_path / "sets")[2]


def test_published_row_beside_the_means():
    name = evaluate.row_name(Path("ckpt/network-chairs-things.pytorch"), Config())
    line = score_frames.published("qpwcnet", name, "kitti15", "kitti15", {"EPE": 10.5, "Fl-all": 33.0})
    assert line == "published: EPE 10.35 Fl-all 33.67 (paper), delta +0.15 / -0.67"
    assert evaluate.row_name(Path("001_00003.pytorch"), Config(config="flow_tiny")) == "flow_tiny"
