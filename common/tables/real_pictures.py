"""Pictures of what the weights in the box do to the real clips of the repository, for the READMEs.

python -m common.tables.real_pictures [--only ifrnet ...] [--output results/real] [--device cpu]

Writes `<job>.png`, input, result and truth side by side, `<job>_fails.png`, the same where it does badly, and
slow_motion.webp. The clips are those of datasets/real; their authors and licences are in its SOURCES.csv.
"""

import importlib
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from common import cli
from common.degrade.by_name import clip_rng, degrade
from common.degrade.low_resolution import make_low
from common.degrade.matlab_imresize import imresize
from common.degrade.motion_blur import blur_clip
from common.media.image import mean_image, to_uint8, write_image
from common.media.video_reader import open_clip
from common.papers import ROOT
from common.sets.clips import REAL
from common.tables.readme_pictures import sheet

WINDOW = 7  # frames that a job gets: those before the shown one, it, and those after
SLOW = 6  # frames for one in the animation
EXPOSURE = 1.0  # frame intervals of blur
Pictures = dict[str, np.ndarray]  # name -> HxWx3 uint8


class Job(NamedTuple):
    """One picture.

    Attributes:
        paper: whose weights.
        clip: of the real ones.
        frame: that is shown.
        crop: x, y, width, height of what is shown.
        make: from the model and the frames around, names and pictures.
        task: of the paper.
    """

    paper: str
    clip: str
    frame: int
    crop: tuple[int, int, int, int]
    make: Callable
    task: str = ""


def between(model, frames: list[np.ndarray]) -> Pictures:
    """The middle frame from its neighbours."""
    first, truth, last = frames[2:5]
    return {"mean of two frames": mean_image(first, last), "IFRNet_free": model(first, last), "truth": truth}


def enlarged(model, frames: list[np.ndarray]) -> Pictures:
    """The middle frame from frames of a quarter of the size."""
    frames = [frame[: len(frame) // 4 * 4, : frame.shape[1] // 4 * 4] for frame in frames]
    low = [make_low(frame, "bi") for frame in frames]
    return {"bicubic x4": to_uint8(imresize(low[3] / 255, scale=4)), "TDAN_free": model(low)[3], "truth": frames[3]}


def restored(name: str, degradation: str, label: str) -> Callable:
    """A job that takes a degradation away."""

    def make(model, frames: list[np.ndarray]) -> Pictures:
        poor = degrade(frames, degradation, clip_rng(0, "picture"))
        return {label: poor[3], name: model(poor)[3], "truth": frames[3]}

    return make


def deblurred(model, frames: list[np.ndarray]) -> Pictures:
    """The middle frame of blurry ones."""
    blurry = blur_clip(frames, EXPOSURE)
    return {"blurry": blurry[3], "PVDNet_free": list(model(blurry))[3], "truth": frames[3]}


def coloured(model, frames: list[np.ndarray]) -> Pictures:
    """Flow to the frame after the next as colours."""
    return {"frame": frames[3], "QPWCNet_free": model(frames[3], frames[5]).colours}


JOBS = {
    "between": Job("ifrnet", "carpark_00", 12, (120, 60, 240, 180), between),
    "enlarged": Job("tdan", "skyline_00", 12, (160, 90, 240, 180), enlarged),
    "denoised": Job(
        "toflow", "sam2juggle_00", 12, (120, 60, 240, 180),
        restored("TOFlow_denoise_free", "gaussian_25", "noise of 25 levels"), "denoise",
    ),
    "deblocked": Job(
        "toflow", "skyline_00", 12, (160, 90, 240, 180),
        restored("TOFlow_deblock_free", "jpeg_q20", "JPEG of quality 20"), "deblock",
    ),
    "deblurred": Job("pvdnet", "carpark_00", 12, (120, 60, 240, 180), deblurred),
    "flow": Job("qpwcnet", "sam2juggle_00", 10, (120, 0, 280, 252), coloured),
}  # fmt: skip
FAILS = {  # a clip on which a job does badly, to the eye
    "between": "butterfly_00", "enlarged": "sam2juggle_00", "denoised": "carpark_00", "deblocked": "butterfly_00",
    "deblurred": "butterfly_00", "flow": "carpark_00",
}  # fmt: skip
JOBS |= {f"{name}_fails": JOBS[name]._replace(clip=clip, frame=12) for name, clip in FAILS.items()}


def load(job: Job, device: str):
    """The paper's model with the weights in the box."""
    task = {"task": job.task} if job.task else {}
    return importlib.import_module(job.paper).load(device=device, amp="off", **task)


def frames_of(clip: str, first: int, count: int) -> list[np.ndarray]:
    """Some frames of a real clip."""
    return list(open_clip(REAL / f"{clip}.mp4"))[first : first + count]


def picture(job: Job, device: str) -> np.ndarray:
    """Input, result and truth side by side."""
    made = job.make(load(job, device), frames_of(job.clip, job.frame - WINDOW // 2, WINDOW))
    return sheet(cropped(made, job.crop))


def cropped(pictures: Pictures, crop: tuple[int, int, int, int]) -> Pictures:
    """The same part of each: x, y, width, height."""
    x, y, width, height = crop
    return {name: np.ascontiguousarray(image[y : y + height, x : x + width]) for name, image in pictures.items()}


def slow_motion(device: str, path: Path) -> None:
    """An animation: every second frame of a clip as it is, and in slow motion by the frames between."""
    job = JOBS["between"]
    model, clip = load(job, device), frames_of(job.clip, 4, 13)[::2]
    shown = []
    for first, last in pairwise(clip):
        for k in range(SLOW):
            made = {"as it is": first, "IFRNet_free": first if k == 0 else model(first, last, k / SLOW)}
            shown.append(sheet(cropped(made, job.crop)))
    animation = cv2.Animation()
    animation.frames = [frame[..., ::-1].copy() for frame in shown]
    animation.durations = np.full(len(shown), 60, np.int32)
    cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 92])


def main(argv: list[str]) -> int:
    """Make the pictures."""
    parser = cli.Parser(prog="python -m common.tables.real_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), help="jobs")
    parser.add_argument("--output", type=Path, default=ROOT / "results/real", help="folder")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    options = parser.parse_args(argv)
    for name in options.only:
        write_image(options.output / f"{name}.png", picture(JOBS[name], options.device))
        if name == "between":
            slow_motion(options.device, options.output / "slow_motion.webp")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
