"""The script that checks the sets with known flow, and the clips in KITTI's layout."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from common import cli
from common.atomic import write_bytes
from common.media.flow_file import write_flow
from common.media.image import write_image
from tests.helpers.runs import dataset_script

SCRIPT = Path(__file__).parents[2] / "datasets/prepare_flow.py"
HEIGHT, WIDTH = 32, 48


script = dataset_script("prepare_flow")


@pytest.fixture
def check(tmp_path, capsys):
    """Check a set in tmp_path: lines without the summary, and the summary."""

    def run(name):
        code = cli.run(script.main, ["--set", name, "--root", str(tmp_path), "--check", "--workers", "2"])
        streams = capsys.readouterr()
        lines = streams.out.splitlines()
        assert code == (0 if lines[-1].endswith("complete, every file readable") else 1), streams.err
        return lines[:-1], lines[-1]

    return run


def picture(path, height=HEIGHT, width=WIDTH):
    level = sum(map(ord, path.name)) % 256
    write_image(path, np.full((height, width, 3), level, np.uint8))


def flow_file(path, height=HEIGHT, width=WIDTH):
    write_flow(path, np.ones((height, width, 2), np.float32))


def mark(folder, **clips):
    frames = clips.pop("frames")
    told = {"clips": clips, "frames": frames, "size": f"{WIDTH}x{HEIGHT}"}
    (folder / ".synthetic").write_text(json.dumps(told))


def sintel(root):
    """Two scenes of three frames that say so themselves; returns the folder of the set."""
    folder = root / "MPI-Sintel"
    for scene in ("alley", "market"):
        for n in (1, 2, 3):
            for kind in ("clean", "final"):
                picture(folder / f"training/{kind}/{scene}/frame_{n:04d}.png")
            if n < 3:
                flow_file(folder / f"training/flow/{scene}/frame_{n:04d}.flo")
    mark(folder, train=2, frames=3)
    return folder


def chairs(root):
    folder = root / "FlyingChairs"
    for n in (1, 2, 3):
        for t in (1, 2):
            picture(folder / f"data/{n:05d}_img{t}.ppm")
        flow_file(folder / f"data/{n:05d}_flow.flo")
    (folder / "chairs_split.txt").write_text("1\n2\n1\n")
    mark(folder, train=2, test=1, frames=2)
    return folder


def kitti(root):
    folder = root / "KITTI"
    for n in (0, 1):
        for t in (10, 11):
            picture(folder / f"training/image_2/{n:06d}_{t}.png")
        flow_file(folder / f"training/flow_occ/{n:06d}_10.png")
    mark(folder, train=2, frames=2)
    return folder


def things(root):
    folder = root / "FlyingThings3D"
    for split in ("TRAIN", "TEST"):
        for n in (6, 7):
            frame = cv2.imencode(".webp", np.zeros((540, 960, 3), np.uint8))[1].tobytes()
            write_bytes(folder / f"frames_finalpass/{split}/A/0000/left/{n:04d}.webp", frame)
            flow = folder / f"optical_flow/{split}/A/0000/into_future/left/OpticalFlowIntoFuture_{n:04d}_L.pfm"
            flow_file(flow, 540, 960)
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize(("name", "make"), [("sintel", sintel), ("chairs", chairs), ("kitti15", kitti),
                                            ("things", things)])  # fmt: skip
def test_a_whole_set_is_complete(name, make, tmp_path, check):
    folder = make(tmp_path)
    assert check(name) == ([], f"{folder}: complete, every file readable")


def test_faults_of_sintel(tmp_path, check):
    training = sintel(tmp_path) / "training"
    cut(training / "clean/alley/frame_0002.png")
    cut(training / "flow/alley/frame_0001.flo")
    (training / "final/market/frame_0003.png").unlink()
    (training / "flow/market/frame_0001.flo").unlink()
    lines, summary = check("sintel")
    assert [line.split(":")[0].split(" is ")[0] for line in lines] == [
        f"{training}/flow/alley/frame_0001.flo",
        f"{training}/clean/alley/frame_0002.png",
        f"cannot read {training}/flow/market/frame_0001.flo",
        f"cannot read {training}/final/market/frame_0003.png",
    ]
    assert "truncated" in lines[0]
    assert "truncated PNG" in lines[1]
    assert summary.endswith("MPI-Sintel: 4 faults")


def test_sintel_without_a_scene_or_a_pass(tmp_path, check):
    folder = sintel(tmp_path)
    for path in [*folder.glob("training/*/market/*")]:
        path.unlink()
    for path in [*folder.glob("training/*/market")]:
        path.rmdir()
    assert check("sintel")[0] == [f"{folder}: 1 scenes, expected 2", f"{folder}: 3 frames, expected 6"]
    (folder / ".synthetic").unlink()
    lines, _ = check("sintel")
    assert lines[:2] == [f"{folder}: 1 scenes, expected 23", f"{folder}: 3 frames, expected 1064"]
    assert lines[2].endswith("frame_0001.png: 48x32 pixels, expected 1024x436; get it again")
    (folder / "training/final").rename(folder / "training/albedo")
    assert check("sintel")[0][0] == f"{folder}/training/final: no such folder"


def test_faults_of_chairs(tmp_path, check):
    folder = chairs(tmp_path)
    cut(folder / "data/00002_img2.ppm")
    (folder / "data/00003_img1.ppm").unlink()
    flow_file(folder / "data/00001_flow.flo", HEIGHT, WIDTH + 2)
    lines, _ = check("chairs")
    assert lines == [
        f"{folder}/data/00001_flow.flo: 50x32 pixels, expected 48x32; get it again",
        f"{folder}/data/00002_img2.ppm is a truncated PPM file; copy, download or extract it again",
        f"cannot read {folder}/data/00003_img1.ppm: No such file or directory; check the path and its permissions",
    ]


def test_list_of_chairs(tmp_path, check):
    folder = chairs(tmp_path)
    (folder / "chairs_split.txt").rename(folder / "FlyingChairs_train_val.txt")
    assert check("chairs")[0] == []
    (folder / "FlyingChairs_train_val.txt").write_text("1\n2\n")
    assert check("chairs")[0] == [
        f"{folder}/data: 3 flows, but FlyingChairs_train_val.txt has 2 lines",
        f"{folder}: 1 training pairs, expected 2",
    ]
    (folder / "FlyingChairs_train_val.txt").write_text("1\n2\n3\n")
    assert "expected lines of 1 or 2, found '3'" in check("chairs")[0][0]
    (folder / "FlyingChairs_train_val.txt").unlink()
    assert "holds neither chairs_split.txt nor FlyingChairs_train_val.txt" in check("chairs")[0][0]
    (folder / ".synthetic").write_text("{}")
    assert cli.run(script.main, ["--set", "chairs", "--root", str(tmp_path), "--check"]) == 1


def test_faults_of_kitti(tmp_path, check):
    folder = kitti(tmp_path)
    picture(folder / "training/flow_occ/000001_10.png")  # 8 bits
    (folder / "training/image_2/000000_11.png").unlink()
    lines, _ = check("kitti15")
    assert lines[0].startswith(f"cannot read {folder}/training/image_2/000000_11.png: No such file")
    assert lines[1] == f"{folder}/training/flow_occ/000001_10.png is no KITTI flow: expected a complete 16-bit RGB png"
    assert len(lines) == 2


def test_faults_of_things(tmp_path, check):
    folder = things(tmp_path)
    flows = folder / "optical_flow/TRAIN/A/0000/into_future/left"
    cut(flows / "OpticalFlowIntoFuture_0007_L.pfm")
    cut(folder / "frames_finalpass/TEST/A/0000/left/0006.webp")
    (folder / "frames_finalpass/TRAIN/A/0000/left/0006.webp").unlink()
    lines, _ = check("things")
    assert len(lines) == 3
    assert lines[0].startswith(f"cannot read {folder}/frames_finalpass/TRAIN/A/0000/left/0006.webp: No such file")
    assert lines[1].startswith(f"{flows}/OpticalFlowIntoFuture_0007_L.pfm is truncated")
    assert lines[2].startswith(f"{folder}/frames_finalpass/TEST/A/0000/left/0006.webp is not a readable image")


@pytest.mark.parametrize("name", script.SETS)
def test_an_empty_or_missing_folder_is_not_complete(name, tmp_path, check):
    folder = tmp_path / script.SETS[name].folder
    assert check(name) == ([], f"{folder}: no such folder; see what to download without --check")
    for part in ("image_2", "flow_occ", "clean", "final", "flow"):
        (folder / "training" / part).mkdir(parents=True)
    for part in ("frames_finalpass", "optical_flow"):
        for split in ("TRAIN", "TEST"):
            (folder / part / split).mkdir(parents=True)
    assert check(name)[0]


@pytest.mark.parametrize("name", script.SETS)
def test_instructions_name_the_folder_and_the_command(name, tmp_path, capsys):
    assert cli.run(script.main, ["--set", name, "--root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert f"{tmp_path}/{script.SETS[name].folder}" in text
    assert f"python datasets/prepare_flow.py --set {name} --root {tmp_path} --check" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv", [["--set", "vid4"], ["--workers", "0"], ["--chek"]])
def test_usage_errors_are_one_line(argv, capsys):
    assert cli.run(script.main, argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
