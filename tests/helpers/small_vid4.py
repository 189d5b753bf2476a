"""Vid4 of two small clips and SPMCS of three, and the scripts that lay them out, make small frames and check them."""

import dataclasses
import hashlib

import numpy as np

from common.degrade.low_resolution import make_low
from common.media.image import write_image
from common.sets.vid4_spmcs import Facts
from tests.helpers.runs import call, dataset_script

SIZES = {"a": (6, (36, 24)), "b": (7, (32, 20))}  # the clips of a small Vid4
RNG = np.random.default_rng(0)
PIXELS = {
    clip: [RNG.integers(0, 256, (height // 4, width // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(count)]
    for clip, (count, (width, height)) in SIZES.items()
}


vid4, spmcs = dataset_script("prepare_vid4"), dataset_script("prepare_spmcs")


def digest(image):
    """What is published of a frame's pixels."""
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]


def script_of_small_sets(tmp_path, capsys, monkeypatch):
    """Runs a script on sets in `tmp_path`: Vid4 of two small clips, SPMCS of three clips of five frames."""
    clips = {
        clip: Facts(count, size, (digest(PIXELS[clip][0]), digest(PIXELS[clip][-1])))
        for clip, (count, size) in SIZES.items()
    }
    monkeypatch.setattr(vid4, "VID4", dataclasses.replace(vid4.VID4, count=2, clips=clips))
    monkeypatch.setattr(spmcs, "SPMCS", dataclasses.replace(spmcs.SPMCS, count=3, alike=Facts(5, (36, 24))))

    def run(*argv, module=vid4):
        """Exit code, printed lines, error line."""
        where = ("--root", tmp_path / "datasets", "--workers", 2)
        code, out, error = call(capsys, module.main, *where, *argv)
        return code, out.splitlines(), error

    return run


def truths(root):
    """The true frames of the small Vid4 under a folder of sets; returns the set's folder."""
    for clip in SIZES:
        put(root / "Vid4/GT" / clip, clip)
    return root / "Vid4"


def faults(run, folder, module=vid4):
    """The lines of a check that tell faults."""
    code, lines, _ = run("--check", module=module)
    assert code == 1
    lines = [line for line in lines if ": equal (" not in line]
    assert lines[-1] == f"{folder}: {len(lines) - 1} fault{'s' * (len(lines) > 2)}"
    return lines[:-1]


def put(folder, clip, frames=None, name="{:08d}.png"):
    """Write the frames of a clip, or others."""
    for number, image in enumerate(PIXELS[clip] if frames is None else frames):
        write_image(folder / name.format(number), image)


def lows(kind, clip):
    """The low-resolution frames of a clip by a degradation."""
    return [make_low(image, kind) for image in PIXELS[clip]]


def all_equal(images, others):
    """Whether two clips are equal frame by frame."""
    return all(np.array_equal(*pair) for pair in zip(images, others, strict=True))
