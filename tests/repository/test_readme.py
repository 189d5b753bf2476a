"""Every command line that a README shows is run, on clips that the project makes and on random weights."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import tdan.train
import toflow.config
from common.checkpoints import checkpoint_file
from common.checkpoints.published import entries
from common.media.image import write_image
from common.media.video_reader import open_clip
from common.media.video_writer import open_writer
from common.papers import PAPERS, ROOT
from ifrnet.model import IFRNet
from pvdnet.models.deblurnet import DeblurNet
from qpwcnet.pwcnet import PWCNet
from tdan.model import TDAN
from tests.helpers import warm
from tests.helpers.sharp_clips import shot, write_video
from toflow.checkpoints import spynet_names
from toflow.model import FORMS, SPyNet, TOFlow

PAGES = ("README.md", *(f"{paper}/README.md" for paper in PAPERS), "datasets/README.md", "common/media/README.md")
SIZE = "128x128"  # of sets of clips: presets have crops of 96
ELSEWHERE = ("make ", "pip ", "tensorboard ")  # make's targets have tests of their own; these take no clips


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.S):
            found += [line.split("  #")[0].strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return [line for line in dict.fromkeys(found) if not line.startswith(ELSEWHERE)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A clone with small clips, a video, frames, and files named like the published checkpoints."""
    here = tmp_path_factory.mktemp("clone")
    for name in ("common", *PAPERS):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    (here / "datasets").mkdir()
    for script in (ROOT / "datasets").glob("*.py"):
        shutil.copy(script, here / "datasets")
    layouts = {"DVD": 3, "nah": 3, "vimeo_triplet": 3, "vimeo_septuplet": 7, "gopro240": 9, "vid4": 7, "sintel": 3,
               "spmcs": 5, "clips": 6, "chairs": 2, "kitti15": 2}  # fmt: skip
    for layout, frames in layouts.items():
        command = f"python datasets/make_synthetic.py --layout {layout} --frames {frames} --size 64x48"
        run(f"{command} --clips 1 --test_clips 1", here)
    interpolation_sets(here / "datasets")
    clip = list(open_clip(here / "datasets/test_nah/video_0000/sharp"))
    with open_writer(here / "clip.mp4", frame_rate=25) as writer:
        for number, frame in enumerate(clip):
            writer.write(frame)
            write_image(here / f"frames/{number:04}.png", frame)
            write_image(here / f"photos/{number}.jpg", frame)
    for name, seed in (("holiday.mp4", 1), ("videos/other.mp4", 2), ("my_videos/one.mp4", 3), ("my_videos/two.mp4", 4)):
        write_video(here / name, shot(seed, 10))
    sets_of_clips(here / "datasets")
    with open_writer(here / "small.mp4", frame_rate=25) as writer:
        for number in range(7):
            small = clip[number % len(clip)][:16, :24]
            writer.write(small)
            write_image(here / f"small/{number:04}.png", small)
    torch.manual_seed(0)
    for name in ("PVDNet_DVD", "PVDNet_nah", "PVDNet_large_nah"):
        network = DeblurNet("PVDNet_large" if "large" in name else "PVDNet")
        state = {f"module.{key}": value for key, value in network.state_dict().items()}
        checkpoint_file.save(state, here / f"ckpt/{name}.pytorch")
    checkpoint_file.save(network.BIMNet.state_dict(), here / "ckpt/BIMNet.pytorch")
    for name in ("IFRNet_Vimeo90K", "IFRNet_L_Vimeo90K", "IFRNet_S_Vimeo90K", "IFRNet_GoPro"):
        checkpoint_file.save(IFRNet(name.rsplit("_", 1)[0]).state_dict(), here / f"ckpt/{name}.pth")
    shutil.copy(here / "ckpt/IFRNet_GoPro.pth", here / "ckpt/IFRNet_gopro-5d2f805a.pth")
    toflow_checkpoints(here / "ckpt")
    tdan_checkpoints(here / "ckpt")
    boxed = {"tdan": ("TDAN_free", tdan.train.build), "toflow": ("TOFlow_denoise_free", lambda c: TOFlow(c.form))}
    for paper, (name, build) in boxed.items():
        network = build(importlib.import_module(f"{paper}.config").PRESETS[name])
        checkpoint_file.save(network.state_dict(), here / paper / f"weights/{name}.safetensors")
    for name in ("pwc_net.pth.tar", "network-default.pytorch"):
        checkpoint_file.save(PWCNet().state_dict(), here / "ckpt" / name)
    return here


def sets_of_clips(root: Path) -> None:
    """`drawn`, `free` and `real`, small; a clip each."""
    command = (
        f"python datasets/make_synthetic.py --layout drawn --clips 1 --test_clips 1 --frames 8 --size {SIZE} --blur"
    )
    run(f"{command} --root datasets", root.parent)
    shutil.copytree(root / "drawn", root / "free")
    shutil.copytree(root / "drawn/test", root / "real")


def tdan_checkpoints(folder: Path) -> None:
    """Files named as the published ones; the authors' with their border rule."""
    for entry in entries("tdan"):
        theirs = entry.file.endswith(".pt")
        network = TDAN(border="tdan" if theirs else "torchvision", init="authors" if theirs else "mmagic")
        checkpoint_file.save(network.state_dict(), folder / entry.file)


def toflow_checkpoints(folder: Path) -> None:
    """Files named as the published ones; whole models under our own names, flow networks under theirs."""
    for entry in entries("toflow"):
        if entry.config:
            state = TOFlow(toflow.config.PRESETS[entry.config].form).state_dict()
        else:
            layout = "mmagic_spynet" if entry.file.endswith(".pth") else "moduleBasic"
            state = SPyNet(FORMS["mmagic_vfi"]).state_dict()
            state = {name: state[f"levels.{own}"] for name, own in spynet_names(layout, batch_norm=False)}
        checkpoint_file.save(state, folder / entry.file)


def interpolation_sets(root: Path) -> None:
    """One sample of each test set that the generator does not make, from the frames of its GoPro clip."""
    frames = sorted((root / "GOPRO_Large_all/test").rglob("*.png"))
    three = frames[0], frames[4], frames[8]
    for folder, names in (
        ("ucf101_interp_ours/1", ("frame_00", "frame_01_gt", "frame_02")),
        ("Middlebury/Venus", ("frame10", "frame10i11", "frame11")),
        ("SNU-FILM/test/GOPRO_test", ("1", "2", "3")),
    ):
        (root / folder).mkdir(parents=True)
        for source, name in zip(three, names, strict=True):
            shutil.copy(source, root / folder / f"{name}.png")
    for level in ("easy", "medium", "hard", "extreme"):
        line = " ".join(f"data/SNU-FILM/test/GOPRO_test/{n}.png" for n in (1, 2, 3))
        (root / f"SNU-FILM/test-{level}.txt").write_text(line + "\n")
    shutil.copytree(frames[0].parent, root / "Adobe240/IMG_0015")


def run(command: str, here: Path) -> subprocess.CompletedProcess:
    words = shlex.split(command)
    argv = ["-m", "torch.distributed.run", *words[1:]] if words[0] == "torchrun" else words[1:]
    environment = os.environ | {"PYTHONPATH": str(here)}
    return warm.run(argv, cwd=here, env=environment, timeout=300)


@pytest.mark.parametrize("command", commands())
def test_command(command, workplace):
    command = command.replace("--nproc_per_node=4", "--nproc_per_node=2")
    if "--is_train" in command:
        paper = next(name for name in PAPERS if f"{name}/run.py" in command)
        trained = workplace / "logs/PVDNet_TOG2021/PVDNet_DVD/checkpoint/train/epoch/ckpt"
        if "-r " in command and "auto" not in command:
            command = command.replace("-r 100", f"-r {len(list(trained.glob('*'))) - 1}")
        command += " " + importlib.import_module(f"tests.{paper}.facts").FEWER_STEPS
        if "-r" not in command.split():
            command += " -dl"
        if "BIMNet_ckpt=" in command:  # the run that this one follows made fewer epochs here
            command = command.replace("BIMNet_01000", "BIMNet_00001")
    if "--output" in command:
        command += " --overwrite"
    if "prepare_clips.py --source" in command:  # pages make the set of unlike videos
        shutil.rmtree(workplace / "datasets/clips_mine", ignore_errors=True)
    if "make_synthetic" in command:
        command = re.sub(r"--root datasets\b(?!/)", "--root fresh", command)  # where there are clips already
        command += " --clips 1 --test_clips 1 --frames 3 --size 64x48"
        command += "" if "--root" in command else " --root fresh"
    done = run(command, workplace)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_there_are_commands_on_every_page():
    for page in PAGES:
        assert "```bash\n" in (ROOT / page).read_text(), page
