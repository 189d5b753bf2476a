"""Every command line that a README shows is run, on clips that the project makes and on random weights."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common import checkpoint
from common.image import write_image
from common.video import open_clip, open_writer
from pvdnet.models.deblurnet import DeblurNet

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "pvdnet/README.md", "datasets/README.md")
# Training commands are cut down to a few steps; what they are about stays.
FEWER_STEPS = "-b 1 -th 0 --set width=32 --set height=32 --set frame_itr_num=2 --set total_itr=2 --device cpu".split()
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
    for name in ("common", "pvdnet"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    (here / "datasets").mkdir()
    for script in (ROOT / "datasets").glob("*.py"):
        shutil.copy(script, here / "datasets")
    for layout in ("DVD", "nah"):
        run(
            f"python datasets/make_synthetic.py --layout {layout} --clips 1 --test_clips 1 --frames 3 --size 64x48",
            here,
        )
    clip = list(open_clip(here / "datasets/test_nah/video_0000/sharp"))
    with open_writer(here / "clip.mp4", frame_rate=25) as writer:
        for number, frame in enumerate(clip):
            writer.write(frame)
            write_image(here / f"frames/{number:04}.png", frame)
    torch.manual_seed(0)
    for name in ("PVDNet_DVD", "PVDNet_nah", "PVDNet_large_nah"):
        network = DeblurNet("PVDNet_large" if "large" in name else "PVDNet")
        state = {f"module.{key}": value for key, value in network.state_dict().items()}
        checkpoint.save(state, here / f"ckpt/{name}.pytorch")
    state = {key: value for key, value in network.BIMNet.state_dict().items()}
    checkpoint.save(state, here / "ckpt/BIMNet.pytorch")
    return here


def run(command: str, here: Path) -> subprocess.CompletedProcess:
    words = shlex.split(command)
    if words[0] == "torchrun":
        words[:1] = ["python", "-m", "torch.distributed.run"]
    words[0] = sys.executable
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(here)}
    return subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("command", commands())
def test_command(command, workplace):
    command = command.replace("--nproc_per_node=4", "--nproc_per_node=2")
    if "--is_train" in command:
        trained = workplace / "logs/PVDNet_TOG2021/PVDNet_DVD/checkpoint/train/epoch/ckpt"
        if "-r " in command and "auto" not in command:
            command = command.replace("-r 100", f"-r {len(list(trained.glob('*'))) - 1}")
        command += " " + shlex.join(FEWER_STEPS)
        if "-r" not in command.split():
            command += " -dl"
        if "BIMNet_ckpt=" in command:  # the run that this one follows made fewer epochs here
            command = command.replace("BIMNet_01000", "BIMNet_00001")
    if "--output" in command:
        command += " --overwrite"
    if "make_synthetic" in command:
        command += " --clips 1 --test_clips 1 --frames 3 --size 64x48"
        command += "" if "--root" in command else " --root fresh"
    done = run(command, workplace)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_there_are_commands():
    assert len(commands()) >= 12
