"""Vimeo-90K (Xue et al., IJCV 2019): what to download, a check of every frame, flow labels, degraded frames.

python datasets/prepare_vimeo90k.py                                             what to download
python datasets/prepare_vimeo90k.py --check                                     read every frame of both lists
python datasets/prepare_vimeo90k.py --flow --weights network-default.pytorch    label the triplets for IFRNet
python datasets/prepare_vimeo90k.py --layout vimeo_septuplet --degrade mixed    noisy septuplets for TOFlow
python datasets/prepare_vimeo90k.py --layout vimeo_septuplet --degrade BDx4     low-resolution septuplets for TDAN
"""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common import cli
from common.checkpoints import checkpoint_file
from common.cli import UsageError
from common.degrade.by_name import DRAWN, VERSION
from common.media.flow_file import FLO_MAGIC, write_flow
from common.ops.liteflownet import LiteFlowNet, estimate_flow
from common.sets.resumable_jobs import claim, run_jobs
from common.sets.vimeo90k import (
    DEGRADED,
    SETS,
    VimeoSet,
    clip_faults,
    clips_of,
    contents,
    degrade_clip,
    degraded_faults,
    read_frame,
    read_list,
)
from common.stop_request import StopRequest
from common.training.distributed import choose_device

SEED = 1234  # of the noise: that of toflow's presets
LABELS = {"flow_t0.flo": "im1.png", "flow_t1.flo": "im3.png"}  # each from im2 to this frame

TRIPLETS = """Vimeo-90K triplets, 448x256 PNG (Xue et al., Video Enhancement with Task-Oriented Flow, IJCV 2019).

1. Download vimeo_triplet.zip, 33 GB, from
     http://toflow.csail.mit.edu    (data.csail.mit.edu/tofu/dataset/vimeo_triplet.zip)
   and unpack it in {root}. Frames of videos on Vimeo, for research use; the lists are MIT. For tests alone there is
   /tofu/testset/vimeo_interp_test.zip, 1.7 GB: its target/ is sequences/ below.
2. Read every frame, once:
     {script} --root {root} --check
3. Only to train IFRNet on Vimeo: label both lists with flow. Download LiteFlowNet's weights (research use only)
     python -m common.checkpoints fetch liteflownet/network-default.pytorch
   and run, as often as it is interrupted; the labels take 101 GB:
     {script} --root {root} --flow --weights ckpt/liteflownet/network-default.pytorch

{root}/vimeo_triplet
├── tri_trainlist.txt                              51,313 lines such as 00001/0001
├── tri_testlist.txt                                3,782, and a blank line at the end: skip it
├── sequences/00001/0001/{{im1,im2,im3}}.png
└── flow/00001/0001/{{flow_t0,flow_t1}}.flo          made in step 3: from im2 to im1, from im2 to im3

73,171 triplets were announced; the lists hold 55,095."""

SEPTUPLETS = """Vimeo-90K septuplets, 448x256 PNG (Xue et al., Video Enhancement with Task-Oriented Flow, IJCV 2019).

1. Download vimeo_septuplet.zip, 82 GB, from
     http://toflow.csail.mit.edu
   and unpack it in {root}. Frames of videos on Vimeo, for research use; the lists are MIT.
2. Read every frame, once:
     {script} --root {root} --layout vimeo_septuplet --check
3. Only for TOFlow and TDAN, and only to save time: they can degrade frames as they read them, but JPEG 2000 takes 0.1 s
   a frame. Write noisy, compressed, blurry or small copies of a list (or of both), as often as it is interrupted:
     {script} --root {root} --layout vimeo_septuplet --split test --degrade mixed j2k_q20
     {script} --root {root} --layout vimeo_septuplet --split train --degrade BIx4 BDx4
   Each kind of noise takes 18 GB for the test list and 166 GB for both, the others two thirds of that at most; BIx4 and
   BDx4 (112x64) a twentieth, BIx2 (224x128) a fifth.

{root}/vimeo_septuplet
├── sep_trainlist.txt                              64,612 lines such as 00001/0001
├── sep_testlist.txt                                7,824
├── sequences/00001/0001/{{im1,im2,im3,im4,im5,im6,im7}}.png
└── degraded/mixed/00001/0001/{{im0001, ... im0007}}.png    made in step 3

91,701 septuplets were announced; the lists hold 72,436."""

INSTRUCTIONS = {"vimeo_triplet": TRIPLETS, "vimeo_septuplet": SEPTUPLETS}


def main(argv: list[str]) -> int:
    """Do what the flags say; returns the exit code, 1 if a fault was found."""
    parser = cli.Parser(description="Check, label, degrade Vimeo-90K; without a flag, tell what to download.")
    parser.add_argument("--layout", default="vimeo_triplet", choices=SETS, help="which of the two sets")
    parser.add_argument("--root", type=Path, default=Path("./datasets"), help="folder of the data sets")
    parser.add_argument("--check", action="store_true", help="read every frame of both lists, list what is wrong")
    parser.add_argument("--flow", action="store_true", help="label the triplets with flow; what is there already stays")
    parser.add_argument("--weights", type=Path, help="LiteFlowNet's network-default.pytorch, for --flow")
    parser.add_argument(
        "--channels",
        default="rgb",
        choices=("rgb", "bgr"),
        help="the order that LiteFlowNet gets: rgb made the labels of IFRNet's published models, by oversight; "
        "bgr is what its weights were trained with",
    )
    parser.add_argument(
        "--device", default="auto", help="of --flow: cpu, cuda, cuda:1, or auto: cuda where there is one"
    )
    parser.add_argument("--batch_size", type=int, default=8, help="pairs of frames that LiteFlowNet gets at once")
    parser.add_argument(
        "--degrade", nargs="+", choices=DEGRADED, metavar="NAME",
        help="write degraded septuplets; what is there already stays: " + ", ".join(DEGRADED),
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help=f"of the noise of --degrade, {SEED} unless given")
    parser.add_argument("--split", choices=("train", "test", "both"), help="list for --degrade, both unless given")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="frames decoded or clips degraded at once")
    options = parser.parse_args(argv)
    for flag in ("batch_size", "workers"):
        if getattr(options, flag) < 1:
            raise UsageError(f"--{flag} {getattr(options, flag)}: expected 1 or more")
    if options.flow and options.layout != "vimeo_triplet":
        raise UsageError(f"--flow --layout {options.layout}: only vimeo_triplet has flow labels; leave out --flow")
    if options.flow and not options.weights:
        raise UsageError("--flow: name LiteFlowNet's weights, --weights FILE; see it without flags")
    if options.weights and not options.flow:
        raise UsageError("--weights is for --flow: add it")
    if options.degrade and options.layout != "vimeo_septuplet":
        raise UsageError(f"--degrade --layout {options.layout}: only septuplets are degraded, --layout vimeo_septuplet")
    for flag in ("seed", "split"):
        if getattr(options, flag) is not None and not options.degrade:
            raise UsageError(f"--{flag} is for --degrade: add it")
    if options.seed is not None and options.seed < 0:
        raise UsageError(f"--seed {options.seed}: expected 0 or more")
    folder = options.root / options.layout
    if not (options.check or options.flow or options.degrade):
        script = f"python datasets/{Path(__file__).name}"
        print(INSTRUCTIONS[options.layout].format(script=script, root=options.root))
        return 0
    vimeo = contents(folder, SETS[options.layout])
    cv2.setNumThreads(1)  # decoding lets go of the interpreter, so threads share the cores
    work = label if options.flow else write_degraded if options.degrade else None
    code = work(folder, vimeo, options) if work else 0
    return check(folder, vimeo, options.workers) if options.check and not code else code


# Checking


def check(folder: Path, vimeo: VimeoSet, workers: int) -> int:
    """Read every frame of both lists; print a line a fault and a summary. Returns the exit code."""
    count = 0
    for fault in faults(folder, vimeo, workers):
        tqdm.write(fault, file=sys.stdout)
        count += 1
    print(f"{folder}: " + (f"{count} fault{'s' * (count > 1)}" if count else "complete, every frame readable"))
    return 1 if count else 0


def faults(folder: Path, vimeo: VimeoSet, workers: int) -> Iterator[str]:
    """Everything that is wrong with a set: a line a fault, which names the file or folder."""
    lists = {}
    for split, expected in vimeo.clips.items():
        path = folder / f"{vimeo.prefix}_{split}list.txt"
        listed, wrong = read_list(path)
        yield from wrong
        if len(listed) != expected:
            yield f"{path}: {len(listed)} clips, expected {expected}"
        lists[split] = listed
    clips = [clip for listed in lists.values() for clip in listed]
    yield from (f"{folder}: clip {clip} is in the lists {n} times" for clip, n in Counter(clips).items() if n > 1)
    if not (folder / "sequences").is_dir():
        yield f"{folder / 'sequences'}: no such folder"
        return
    clips = list(dict.fromkeys(clips))
    find = partial(clip_faults, folder / "sequences", frames=vimeo.frames, size=vimeo.size)
    with ThreadPool(workers) as pool, tqdm(total=len(clips), desc=folder.name, unit="clip", disable=None) as bar:
        for found in pool.imap(find, clips):
            bar.update()
            yield from found
    labels = [folder / "flow" / clip / name for clip in clips for name in LABELS]
    if vimeo.has_exact_flow or (folder / "flow").is_dir():
        broken = [path for path in labels if not is_whole(path, vimeo.size)]
        if broken:
            yield f"{folder / 'flow'}: {len(broken)} of {len(labels)} labels missing or damaged, first {broken[0]}"
    yield from degraded_faults(folder, vimeo, lists)


# Labelling


def label(folder: Path, vimeo: VimeoSet, options) -> int:
    """Write the labels that are missing. Returns the exit code.

    Raises:
        UsageError: the folder of the labels holds others.
        ValueError: a list, a frame or the weights are damaged.
    """
    device, jobs = choose_device(options.device), label_jobs(folder, vimeo)
    network = LiteFlowNet(half_pixel_warp=True)
    checkpoint_file.load_strict(network, checkpoint_file.load(options.weights), options.weights)
    network.to(device).eval()
    with options.weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made_by = {"network": "LiteFlowNet", "channels": options.channels, "weights_sha256": digest}
    unknown = "the exact flow of synthetic clips"
    if not vimeo.has_exact_flow:
        unknown = "labels of unknown origin, without labels.json"
    unknown += ": train on it as it is, or move it away to label with LiteFlowNet"
    claim(folder / "flow/labels.json", made_by, "labels", unknown)

    missing = [job for job in jobs if not is_whole(job[2], vimeo.size)]
    done, size = len(jobs) - len(missing), options.batch_size
    batches = [missing[start : start + size] for start in range(0, len(missing), size)]
    read = partial(read_pair, size=vimeo.size)
    with (
        StopRequest() as stop,
        ThreadPool(options.workers) as pool,
        tqdm(total=len(jobs), initial=done, desc="flow", unit="label", disable=None) as bar,
    ):
        ahead = pool.map_async(read, batches[0] if batches else [])
        for batch, following in pairwise([*batches, []]):
            pairs = ahead.get()
            ahead = pool.map_async(read, following)  # the next frames are read while these go through the network
            first, second = (to_batch(images, device) for images in zip(*pairs, strict=True))
            flow = estimate_flow(network, first, second, channels=options.channels)
            flow = flow.permute(0, 2, 3, 1).cpu().numpy()  # B H W 2
            pool.starmap(write_flow, [(path, one) for (_, _, path), one in zip(batch, flow, strict=True)])
            bar.update(len(batch))
            done += len(batch)
            if stop.signal is not None and following:
                break
    if done < len(jobs):
        print(f"{folder / 'flow'}: stopped, {len(jobs) - done} of {len(jobs)} labels left; the same command goes on")
        return 128 + stop.signal
    print(f"{folder / 'flow'}: {len(jobs)} labels, {len(missing)} of them new")
    return 0


def label_jobs(folder: Path, vimeo: VimeoSet) -> list[tuple[Path, Path, Path]]:
    """First frame, second frame and label of every label of both lists.

    Raises:
        ValueError: a list is damaged.
    """
    jobs = []
    for clip in clips_of(folder, vimeo, vimeo.clips):
        frames = folder / "sequences" / clip
        jobs += [(frames / "im2.png", frames / to, folder / "flow" / clip / name) for name, to in LABELS.items()]
    return jobs


def is_whole(path: Path, size: tuple[int, int]) -> bool:
    """Whether a label is there and has its size and length; to read them all would be to read 101 GB."""
    try:
        with path.open("rb") as file:
            header = FLO_MAGIC + np.array(size, "<i4").tobytes()
            return file.read(len(header)) == header and file.seek(0, os.SEEK_END) == len(header) + 8 * size[0] * size[1]
    except FileNotFoundError:
        return False


def read_pair(job: tuple[Path, Path, Path], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return read_frame(job[0], size), read_frame(job[1], size)


def to_batch(images: tuple[np.ndarray, ...], device: torch.device) -> Tensor:
    """HxWx3 uint8 frames -> (B, 3, H, W) float32 in [0, 1] on the device."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255


# Degrading


def write_degraded(folder: Path, vimeo: VimeoSet, options) -> int:
    """Write the degraded frames that are missing. Returns the exit code.

    Raises:
        UsageError: a folder holds others.
        ValueError: a list or a frame is damaged.
    """
    seed = SEED if options.seed is None else options.seed
    clips = clips_of(folder, vimeo, vimeo.clips if options.split in (None, "both") else [options.split])
    for name in options.degrade:
        made_by = {"degradation": name, "version": VERSION} | ({"seed": seed} if name in DRAWN else {})
        unknown = "files of unknown origin, without degraded.json: move it away to write it again"
        claim(folder / "degraded" / name / "degraded.json", made_by, "frames", unknown)
    with StopRequest() as stop:
        for name in options.degrade:

            def work(clip, name=name):
                return degrade_clip(folder, vimeo, name, clip, seed)

            where = folder / "degraded" / name
            written, left = run_jobs(work, clips, workers=options.workers, title=name, unit="clip", stop=stop)
            if left:
                print(f"{where}: stopped, {left} of {len(clips)} clips left; the same command goes on")
                return 128 + stop.signal
            print(f"{where}: {vimeo.frames * len(clips)} frames, {sum(written)} of them new")
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main))
