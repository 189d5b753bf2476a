"""The GoPro set (Nah et al., CVPR 2017) for PVDNet, "nah": what to download, our layout, a check of every frame.

python datasets/prepare_nah.py                             what to download
python datasets/prepare_nah.py --source GOPRO_Large        link it into ./datasets
python datasets/prepare_nah.py --check                     read every frame
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from pvdnet import prepare

TRAIN = {
    "GOPR0372_07_00": 100,
    "GOPR0372_07_01": 75,
    "GOPR0374_11_00": 150,
    "GOPR0374_11_01": 80,
    "GOPR0374_11_02": 100,
    "GOPR0374_11_03": 48,
    "GOPR0378_13_00": 110,
    "GOPR0379_11_00": 100,
    "GOPR0380_11_00": 60,
    "GOPR0384_11_01": 100,
    "GOPR0384_11_02": 100,
    "GOPR0384_11_03": 100,
    "GOPR0384_11_04": 100,
    "GOPR0385_11_00": 100,
    "GOPR0386_11_00": 100,
    "GOPR0477_11_00": 80,
    "GOPR0857_11_00": 100,
    "GOPR0868_11_01": 100,
    "GOPR0868_11_02": 100,
    "GOPR0871_11_01": 100,
    "GOPR0881_11_00": 100,
    "GOPR0884_11_00": 100,
}
TEST = (
    "GOPR0384_11_00",
    "GOPR0384_11_05",
    "GOPR0385_11_01",
    "GOPR0396_11_00",
    "GOPR0410_11_00",
    "GOPR0854_11_00",
    "GOPR0862_11_00",
    "GOPR0868_11_00",
    "GOPR0869_11_00",
    "GOPR0871_11_00",
    "GOPR0881_11_01",
)

INSTRUCTIONS = """GoPro ("nah"), 33 videos of blurry and sharp frames, 1280x720 (Nah et al., CVPR 2017).

1. Download GOPRO_Large.zip, about 9 GB, from
     https://seungjunnah.github.io/Datasets/gopro
   ({{train,test}}/GOPR.../{{blur,blur_gamma,sharp}}/000047.png), or PVDNet's repack of it
     https://www.dropbox.com/s/5ese6qtbwy7fsoh/nah.zip
   (train_nah and test_nah, already laid out as below), and unpack it. The page states the licence.
   Not GOPRO_Large_all (no blurry frames), and no repack in flat folders: PVDNet needs videos.
2. Lay it out (hard links where possible, else copies; the download stays as it is):
     {script} --source DOWNLOAD --root {root}
3. Read every frame, once:
     {script} --check --root {root}

{root}
├── train_nah/<video>/blur_gamma/*.png    blurry     22 videos, 2103 frames
│                    /sharp/*.png         sharp, same names
└── test_nah/<video>/{{blur_gamma,sharp}}/*.png        11 videos, 1111 frames

PVDNet trains and tests on blur_gamma; other papers on blur. Their scores do not compare."""


def split_of(video: Path) -> str | None:
    """The split of a video's folder, which the folder around it tells."""
    return {"train": "train", "train_nah": "train", "test": "test", "test_nah": "test"}.get(video.parent.name)


NAH = prepare.PublishedSet(
    data="nah",
    instructions=INSTRUCTIONS,
    splits={"train": prepare.Split(22, 2103, TRAIN), "test": prepare.Split(11, 1111, dict.fromkeys(TEST))},
    split_of=split_of,
)


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    return prepare.main(argv, NAH)


if __name__ == "__main__":
    sys.exit(cli.run(main))
