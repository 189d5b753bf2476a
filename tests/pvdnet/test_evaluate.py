"""PVDNet's evaluation: scores, pictures, which checkpoint it takes and which settings."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from common import cli, settings
from common.checkpoints.run_checkpoints import CheckpointManager
from common.media.image import read_image, write_image
from pvdnet import run
from pvdnet.config import Config, parse, preset
from pvdnet.sets import SUBFOLDERS
from tests.helpers.runs import launch

SMALL = ["--config", "config_PVDNet_small"]


def total(text, name, protocol):
    match = re.search(rf"\[TOTAL {name}\|DVD\] PSNR: ([\d.]+) SSIM: ([-\d.]+) .* protocol {protocol}", text)
    return float(match[1]), float(match[2])


def test_identity_scores_the_blurry_input(logs, call, data_root):
    code, out, error = call("--identity", "--data_root", data_root, "--protocol", "pvdnet_code")
    assert code == 0, error
    errors = []
    for path in sorted((data_root / "test_DVD").glob("*/input/*")):
        blurry, sharp = (
            read_image(p)[:64, :64].astype(float) / 255 for p in (path, path.parents[1] / "GT" / path.name)
        )
        errors.append(10 * np.log10(1 / np.mean((blurry - sharp) ** 2)))
    assert total(out, "identity", "pvdnet_code")[0] == pytest.approx(np.mean(errors), abs=1e-4)
    results = logs / "PVDNet_TOG2021/PVDNet_DVD/result/quanti_quali/identity"
    lines = (results / "score_DVD.txt").read_text().splitlines()
    assert len(lines) == 6 + 2 + 1
    (pictures,) = (results / "DVD").iterdir()
    assert re.fullmatch(r"\d{4}_\d\d_\d\d_\d{4}", pictures.name)
    for suffix in ("png", "jpg"):
        for kind in ("input", "output", "gt"):
            assert sorted(path.name for path in (pictures / suffix / kind / "a").iterdir()) == [
                f"{number:05d}.{suffix}" for number in range(3)
            ]
    written = read_image(pictures / "png/output/b/00002.png")
    assert np.array_equal(written, read_image(data_root / "test_DVD/b/input/00002.png")[:64, :64])


def test_random_writes_every_video_into_its_own_folder(logs, call, data_root, small_file):
    code, out, error = call(
        *SMALL, "--mode", "x", "--data", "random", "--data_root", data_root, "--ckpt_abs_name", small_file
    )
    assert code == 0, error
    assert "PSNR" not in out
    (pictures,) = (logs / "PVDNet_TOG2021/x/result/quanti_quali/small/random").iterdir()
    assert sorted(path.name for path in pictures.glob("png/*")) == ["input", "output"]
    outputs = sorted(str(path.relative_to(pictures / "png/output")) for path in pictures.glob("png/output/*/*"))
    assert outputs == [f"{video}/{number:05d}.png" for video in "ab" for number in range(3)]


@pytest.fixture
def trained(logs, small_weights):
    """A run folder of PVDNet_small with three checkpoints, the second of them the best; returns its manager."""
    folder = logs / "PVDNet_TOG2021" / "mine"
    config = dataclasses.replace(preset("config_PVDNet_small"), mode="mine")
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.txt").write_text(settings.to_json(config))
    manager = CheckpointManager(folder / "checkpoint/train/epoch", "mine", 100)
    for epoch, score in ((1, 20.0), (2, 30.0), (3, 25.0)):
        manager.save({f"module.{key}": value for key, value in small_weights.items()}, {}, epoch, [score])
    return manager


@pytest.mark.parametrize(
    ("selectors", "name"),
    [
        ("", "mine_00003"),
        ("--ckpt_sc", "mine_00002"),
        ("--ckpt_score", "mine_00002"),
        ("--ckpt_name mine_00001.pytorch", "mine_00001"),
        ("--ckpt_name mine_00001.pytorch --ckpt_epoch 2", "mine_00002"),
        ("--ckpt_sc --ckpt_name mine_00001.pytorch --ckpt_abs_name FILE", "small"),
        ("--ckpt_abs_name FILE --ckpt_epoch 1", "mine_00001"),
    ],
)
def test_mode_alone_reads_the_saved_config(trained, call, data_root, small_file, selectors, name):
    argv = ["--mode", "mine", "--data_root", data_root, *selectors.replace("FILE", str(small_file)).split()]
    code, out, error = call(*argv, "--protocol", "pvdnet_code")
    assert code == 0, error
    assert total(out, name, "pvdnet_code")[0] > 0
    results = trained.folder.parents[2] / "result/quanti_quali" / name
    assert (results / f"{name}.pytorch").is_file()


@pytest.mark.parametrize(
    ("selectors", "part"),
    [
        ("--ckpt_epoch 9", "mine_00009.pytorch: no such checkpoint; there are mine_00001"),
        ("--ckpt_name none.pytorch", "none.pytorch: no such checkpoint"),
        ("--ckpt_abs_name none/at.all", "none/at.all: no such checkpoint"),
    ],
)
def test_missing_checkpoints(trained, refused, data_root, selectors, part):
    assert part in refused(1, "--mode", "mine", "--data_root", data_root, *selectors.split())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', '{"batch_size": "8"}', "null", "\xff"])
def test_damaged_saved_config(trained, refused, text):
    file = trained.folder.parents[2] / "config/config.txt"
    file.write_bytes(text.encode("latin-1"))
    assert f"{file.relative_to(Path.cwd())}: not a saved config" in refused(1, "--mode", "mine")


def test_saved_config_is_complete_json(trained):
    saved = json.loads((trained.folder.parents[2] / "config/config.txt").read_text())
    assert set(saved) == {field.name for field in dataclasses.fields(Config)}
    assert parse(["--mode", "mine"])[1] == dataclasses.replace(preset("config_PVDNet_small"), mode="mine")


def test_missing_data(logs, refused, small_file):
    line = refused(1, *SMALL, "--mode", "x", "--ckpt_abs_name", small_file)
    assert "datasets/test_DVD: no such folder; set --data_root" in line


def test_clip_of_one_frame_is_evaluated(logs, call):
    for kind in SUBFOLDERS["DVD"]:
        write_image(logs.parent / "datasets/test_DVD/v.1" / kind / "00000.jpg", np.zeros((64, 64, 3), np.uint8))
    code, out, error = call("--identity")
    assert code == 0, error
    assert "1 frames, protocol pvdnet_code" in out
    assert "protocol pvdnet_paper" not in out  # the paper leaves the first frame out


def test_two_processes_score_every_frame_once(tmp_path, data_root):
    shutil.copytree(data_root / "test_DVD", tmp_path / "test_DVD")
    for kind in SUBFOLDERS["DVD"]:  # one has less to do
        (tmp_path / "test_DVD/b" / kind / "00002.png").unlink()
    argv = ["--mode", "x", *SMALL, "--identity", "--data_root", str(tmp_path)]
    assert cli.run(run.main, [*argv, "--log_root", str(tmp_path / "one")]) == 0
    done = launch("pvdnet", [*argv, "--log_root", str(tmp_path / "two"), "-dist"], 29615)
    assert done.returncode == 0, done.stderr
    for name in ("score_DVD.txt", "score_DVD_pvdnet_paper.txt"):
        files = [tmp_path / n / "PVDNet_TOG2021/x/result/quanti_quali/identity" / name for n in ("one", "two")]
        one, two = ([line.rsplit("(", 1)[0] for line in file.read_text().splitlines()] for file in files)
        assert one == two
        assert len(one) == (5 if name == "score_DVD.txt" else 3) + 3  # frames, two means, the total


def test_two_processes_name_the_frame_that_one_cannot_read(tmp_path, data_root):
    shutil.copytree(data_root / "test_DVD", tmp_path / "test_DVD")
    broken = tmp_path / "test_DVD/b/GT/00001.png"  # in the second process's share
    broken.write_bytes(broken.read_bytes()[:100])
    argv = ["--mode", "x", *SMALL, "--identity", "--data_root", str(tmp_path), "--log_root", str(tmp_path)]
    done = launch("pvdnet", [*argv, "-dist"], 29619)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"{broken} is a truncated PNG" in line
