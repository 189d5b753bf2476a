"""The GoPro set (Nah et al., CVPR 2017) for PVDNet, "nah": what to download, our layout, a check of every frame.

python datasets/prepare_nah.py                             what to download
python datasets/prepare_nah.py --source GOPRO_Large        link it into ./datasets
python datasets/prepare_nah.py --make_blur GOPRO_Large_all make it of the sharp frames of 240 a second, instead
python datasets/prepare_nah.py --check                     read every frame
"""

import os
import re
import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2

from common import cli
from common.cli import UsageError
from common.degrade.operators import average_blur
from common.media.image import list_frames, read_clip, write_image
from common.sets.resumable_jobs import claim, run_jobs
from common.stop_request import StopRequest
from pvdnet import prepare
from pvdnet.sets import folders_under

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

GAMMA = 2.2  # of light, in the folder blur_gamma

INSTRUCTIONS = """GoPro ("nah"), 33 videos of blurry and sharp frames, 1280x720 (Nah et al., CVPR 2017).

1. Download GOPRO_Large.zip, about 9 GB, from
     https://seungjunnah.github.io/Datasets/gopro
   ({{train,test}}/GOPR.../{{blur,blur_gamma,sharp}}/000047.png), or PVDNet's repack of it
     https://www.dropbox.com/s/5ese6qtbwy7fsoh/nah.zip
   (train_nah and test_nah, already laid out as below), and unpack it. The page states the licence.
   No repack in flat folders: PVDNet needs videos. GOPRO_Large_all has no blurry frames; to make them of it:
     {script} --make_blur GOPRO_Large_all --root {root}
   They are not the published files: those differ by up to a level, and in some test videos (GOPR0384_11_05) the first
   frame is another one.
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
    """Do what the flags say; returns the exit code, 1 if a fault was found."""
    parser = cli.Parser(description="Prepare and check nah; without a flag, tell what to download.")
    parser.add_argument("--root", type=Path, default=Path("./datasets"), help="folder of the data sets")
    parser.add_argument("--source", type=Path, help="the unpacked download: link (or copy) its frames into --root")
    parser.add_argument(
        "--make_blur", type=Path, help="GOPRO_Large_all: make the set of its frames; what is there stays"
    )
    parser.add_argument("--check", action="store_true", help="read every frame under --root and list what is wrong")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="frames decoded or made at once")
    options = parser.parse_args(argv)
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected 1 or more")
    if options.source and options.make_blur:
        raise UsageError("--source and --make_blur: give the one of which the set shall be")
    if options.source:
        prepare.arrange(options.source, options.root, NAH)
    elif options.make_blur:
        code = make_blur(options.make_blur, options.root, options.workers)
        if code:
            return code
    elif not options.check:
        print(INSTRUCTIONS.format(script=f"python datasets/{Path(__file__).name}", root=options.root))
    return prepare.check(options.root, NAH, options.workers) if options.check else 0


def make_blur(source: Path, root: Path, workers: int) -> int:
    """Write the blurry and sharp frames that are missing, made of those of 240 a second. Returns the exit code.

    A blurry frame is the mean, in linear light of gamma 2.2, of as many frames as the second number of its video's name
    tells; the next begins where it ends. Its sharp frame is the middle one. Its number is that of the last, divided by
    their number, so that GOPR0372_07_00 begins with 000047, as published: it is made of 000323 to 000329.

    Raises:
        UsageError: no video is found, one is found twice, or a split is there that was not made so.
        ValueError: a frame is damaged or its name is no number.
    """
    if not source.is_dir():
        raise UsageError(f"--make_blur {source}: no such folder; unpack GOPRO_Large_all.zip and name its folder")
    videos: dict[Path, Path] = {}  # folder to write: folder to read
    for folder in folders_under(source):
        length = re.fullmatch(r"GOPR\d+_(\d+)_\d+", folder.name)
        split = split_of(folder) or ("train" if folder.name in TRAIN else "test" if folder.name in TEST else None)
        if not length or not split:
            continue
        target = root / f"{split}_nah" / folder.name
        if target in videos:
            raise UsageError(f"{folder.name} is in {source} twice, as {videos[target]} and {folder}: name one")
        videos[target] = folder
    jobs = []
    for target, folder in videos.items():
        frames, length = list_frames(folder), int(folder.name.split("_")[1])
        jobs += [(frames[n : n + length], target) for n in range(0, len(frames) - length + 1, length)]
    if not jobs:
        raise UsageError(f"--make_blur {source}: found no video of GoPro with enough frames; expected GOPRO_Large_all")
    made_by = {"made_of": "frames of 240 a second", "gamma": GAMMA}
    made = list(dict.fromkeys(target for _, target in jobs))
    for split in dict.fromkeys(target.parent for target in made):
        unknown = "videos that were not made so, without blur.json: move it away, or choose another --root"
        claim(split / "blur.json", made_by, "videos", unknown)
    cv2.setNumThreads(1)  # frames are made side by side
    with StopRequest() as stop:
        done, left = run_jobs(make_pair, jobs, workers=workers, title="nah", unit="frame", stop=stop)
    if left:
        print(f"nah in {root}: stopped, {left} of {len(jobs)} frames left; the same command goes on")
        return 128 + stop.signal
    print(f"nah in {root}: {len(jobs)} blurry frames of {len(made)} videos, {sum(done)} of them new")
    return 0


def make_pair(job: tuple[list[Path], Path]) -> bool:
    """Write a blurry frame, and the sharp one in the middle, into a video's folder; whether that was needed.

    Raises:
        ValueError: a frame is damaged, or its name is no number.
    """
    window, video = job
    if not window[-1].stem.isdecimal():
        raise ValueError(f"{window[-1]}: expected a number as its name, such as 000001.png")
    name = f"{int(window[-1].stem) // len(window):06d}.png"
    blurry, sharp = video / "blur_gamma" / name, video / "sharp" / name
    if blurry.exists() and sharp.exists():
        return False
    frames = read_clip(window)
    write_image(sharp, frames[len(frames) // 2])
    write_image(blurry, average_blur(frames, gamma=GAMMA))
    return True


if __name__ == "__main__":
    sys.exit(cli.run(main))
