"""Sets of blurry and sharp videos whose frames are one picture, and the scripts that lay them out."""

import os

import numpy as np

from common.media.image import write_image
from tests.helpers.runs import call, dataset_script

dvd, nah = dataset_script("prepare_dvd"), dataset_script("prepare_nah")


def run(module, capsys, *argv):
    """Exit code, printed lines, errors."""
    code, out, error = call(capsys, module.main, *argv)
    return code, out.splitlines(), error


def picture(path, height=8, width=12, level=100):
    """A frame of one level; returns its path."""
    write_image(path, np.full((height, width, 3), level, np.uint8))
    return path


def video(folder, kinds, count, suffix, first=0):
    """Frames of one picture; links, so that whole sets cost little."""
    for kind in kinds:
        one = picture(folder.parent / f".one{suffix}")
        (folder / kind).mkdir(parents=True)
        for number in range(first, first + count):
            os.link(one, folder / kind / f"{number:06d}{suffix}")


def check(root, capsys, module=dvd, workers=2):
    """The lines of a check without the summary, and the summary."""
    code, lines, _ = run(module, capsys, "--check", "--root", root, "--workers", workers)
    assert code == (1 if len(lines) > 1 else 0)
    return lines[:-1], lines[-1]
