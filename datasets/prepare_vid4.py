"""Vid4: what to download, our layout, the low-resolution frames, a check of every frame.

python datasets/prepare_vid4.py                             what to download
python datasets/prepare_vid4.py --source DOWNLOAD           copy it into ./datasets
python datasets/prepare_vid4.py --make BI BD                write BIx4 and BDx4
python datasets/prepare_vid4.py --check                     read every frame
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.sets import prepare_vid4_spmcs
from common.sets.vid4_spmcs import ClipSet, Facts

INSTRUCTIONS = """Vid4, 4 clips for testing x4 super-resolution: calendar, city, foliage, walk; 171 frames.

1. Get the true frames. MMagic (https://github.com/open-mmlab/mmagic) and BasicSR
   (https://github.com/XPixelGroup/BasicSR) link to them. No licence travels with the set.
2. Lay it out (frames of any names in folders <clip>, GT/<clip>, <clip>/HR or the like; the download stays as it is):
     {script} --source DOWNLOAD --root {root}
3. Make the low-resolution frames, unless they came along; TDAN and TOFlow can make them as they read, too:
     {script} --make BI BD --root {root}
   BI is MATLAB's bicubic imresize, rounded once; --rounding per-axis is the other habit. BIup_direct is BI enlarged,
   which TOFlow reads.
4. Read every frame, once; this also tells which degradation made the low-resolution frames:
     {script} --check --root {root}

{root}/Vid4
├── GT/calendar/00000000.png           true frames      calendar 41 of 720x576, city 34 of 704x576,
│                                                       foliage 49 and walk 47 of 720x480
├── BIx4/<clip>/00000000.png           a quarter of the width and height
├── BDx4/<clip>/00000000.png           likewise, blurred before
└── BIx4up_direct/<clip>/00000000.png  BIx4, enlarged by 4"""

VID4 = ClipSet(
    folder="Vid4",
    instructions=INSTRUCTIONS,
    count=4,
    clips={
        "calendar": Facts(41, (720, 576), ("0f4ef0b789062851", "1ade153b3819cf93")),
        "city": Facts(34, (704, 576), ("4bd098f77a876bc1", "4ac587734fd73d0e")),
        "foliage": Facts(49, (720, 480), ("8f4b3676682835cd", "00912214993218dc")),
        "walk": Facts(47, (720, 480), ("5b332a7ca6d0e0d6", "97fdeaa447a20701")),
    },
)


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    return prepare_vid4_spmcs.main(argv, VID4)


if __name__ == "__main__":
    sys.exit(cli.run(main))
