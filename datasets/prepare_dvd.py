"""The DVD set (Su et al., CVPR 2017) for PVDNet: what to download, our layout, a check of every frame.

python datasets/prepare_dvd.py                                                what to download
python datasets/prepare_dvd.py --source DeepVideoDeblurring_Dataset           link it into ./datasets
python datasets/prepare_dvd.py --check                                        read every frame
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from pvdnet import prepare

TEST = ("720p_240fps_2", *(f"IMG_00{number}" for number in ("03", "21", "30", "31", "32", "33", "37", "39", "49")))

INSTRUCTIONS = """DVD, 71 videos of blurry and sharp frames (Su et al., Deep Video Deblurring, CVPR 2017).

1. Download DeepVideoDeblurring_Dataset.zip from
     http://www.cs.ubc.ca/labs/imager/tr/2017/DeepVideoDeblurring/
   (quantitative_datasets/<video>/{{input,GT}}/00000.jpg), or PVDNet's repack of it
     https://www.dropbox.com/s/8daduee9igqx5cw/DVD.zip
   (train_DVD and test_DVD, already laid out as below), and unpack it. The page states the terms of use.
2. Lay it out (hard links where possible, else copies; the download stays as it is):
     {script} --source DOWNLOAD --root {root}
3. Read every frame, once:
     {script} --check --root {root}

{root}
├── train_DVD/<video>/input/*.jpg    blurry     61 videos, 5708 frames
│                    /GT/*.jpg       sharp, same names
└── test_DVD/<video>/{{input,GT}}/*.jpg           10 videos:
      {tests}"""


def split_of(video: Path) -> str | None:
    """The split of a video's folder; the qualitative videos have no sharp frames and belong to none."""
    if "qualitative_datasets" in video.parts:
        return None
    return "test" if video.name in TEST else "train"


DVD = prepare.PublishedSet(
    data="DVD",
    instructions=INSTRUCTIONS.replace("{tests}", " ".join(TEST)),
    splits={"train": prepare.Split(61, 5708, {}), "test": prepare.Split(10, None, dict.fromkeys(TEST))},
    split_of=split_of,
)


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    return prepare.main(argv, DVD)


if __name__ == "__main__":
    sys.exit(cli.run(main))
