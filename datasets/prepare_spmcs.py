"""SPMCS-30: what to download, our layout, the low-resolution frames, a check of every frame.

python datasets/prepare_spmcs.py                             what to download
python datasets/prepare_spmcs.py --source DOWNLOAD           copy it into ./datasets
python datasets/prepare_spmcs.py --make BI BD                write BIx4 and BDx4
python datasets/prepare_spmcs.py --check                     read every frame
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from common import cli
from common.sets import prepare_vid4_spmcs
from common.sets.vid4_spmcs import ClipSet, Facts

INSTRUCTIONS = """SPMCS-30, 30 clips for testing x4 super-resolution, of 31 frames and 960x540 pixels each.

1. Get the true frames: the test set of SPMC (https://github.com/jiangsutx/SPMC_VideoSR), <clip>/truth/*.png, or
   MMagic's copy of it (https://github.com/open-mmlab/mmagic), GT/<clip>/00000000.png. See there for the licence.
2. Lay it out (the download stays as it is; input2, input3, input4 of the original are left out):
     {script} --source DOWNLOAD --root {root}
3. Make the low-resolution frames, unless they came along; TDAN can make them as it reads, too:
     {script} --make BI BD --root {root}
   BI is MATLAB's bicubic imresize, rounded once; --rounding per-axis is the other habit.
4. Read every frame, once; this also tells which degradation made the low-resolution frames:
     {script} --check --root {root}

{root}/SPMCS
├── GT/<clip>/00000000.png             true frames      30 clips, 930 frames of 960x540
├── BIx4/<clip>/00000000.png           240x135
└── BDx4/<clip>/00000000.png           likewise, blurred before"""

SPMCS = ClipSet(folder="SPMCS", instructions=INSTRUCTIONS, count=30, clips={}, alike=Facts(31, (960, 540)))


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code."""
    return prepare_vid4_spmcs.main(argv, SPMCS)


if __name__ == "__main__":
    sys.exit(cli.run(main))
