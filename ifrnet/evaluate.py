"""Evaluation: every frame between two frames of a test set, scored by named protocols.

SSIM is computed in float64; the published code computes it in float32, which differs by up to 1e-4.
"""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from common.media.image import mean_image, read_clip, to_uint8, write_image
from common.ops.autocast import autocast
from common.ops.pad import pad_centred
from common.scoring.evaluation import Evaluation
from common.scoring.protocols import INTERPOLATION, InterpolationProtocol
from common.scoring.score_frames import SMALLEST, ahead, text
from common.scoring.score_frames import score_between as score
from common.sets.clips import clip_set
from common.training import distributed
from ifrnet.checkpoints import load
from ifrnet.config import PRESETS, Config
from ifrnet.model import TOGETHER, IFRNet, multiple_of
from ifrnet.sets import CLIPS, SNU_FILM, VIDEOS, Sample, find_samples, missing_part

CANVAS = (480, 640)  # of the Middlebury protocol, rows and columns
ERROR_GAIN = 4  # of the pictures of errors: white is 64 levels or more


class FrameScore(NamedTuple):
    """One line of a score file: a sample's number, its target's (from 1), metric -> value."""

    sample: int
    frame: int
    values: dict[str, float]


class Item(NamedTuple):
    """A sample as read: its number, times of the targets, and all frames HxWx3 uint8, cropped by the protocol."""

    number: int
    times: tuple[float, ...]
    frames: list[np.ndarray]


def mean_score(protocol: InterpolationProtocol, scores: list[FrameScore]) -> dict[str, float]:
    """Mean of each metric, weighted as the protocol says; inf where one frame has it."""
    by_sample = protocol.averaging == "samples"
    groups = groupby(scores, key=lambda score: (score.sample, by_sample or score.frame))
    means = [np.mean([[score.values[m] for m in protocol.metrics] for score in group], 0) for _, group in groups]
    return dict(zip(protocol.metrics, np.mean(means, 0).tolist(), strict=True))


def crop_window(protocol: InterpolationProtocol, height: int, width: int, seed: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that the protocol keeps of a frame; random ones depend on `seed`."""
    rows, columns = min(height, protocol.crop or height), min(width, protocol.crop or width)
    if protocol.position == "random":
        draw = np.random.RandomState(seed)
        left, top = draw.randint(0, width - columns + 1), draw.randint(0, height - rows + 1)  # x first
    else:
        top, left = height // 2 - rows // 2, width // 2 - columns // 2
    return slice(top, top + rows), slice(left, left + columns)


def read_item(sample: Sample, number: int, protocol: InterpolationProtocol, seed: int) -> Item:
    """Read all frames of a sample and crop them alike.

    Raises:
        ValueError: a file is missing or broken, or frames differ in size or are too small.
    """
    frames = read_clip(sample.frames)
    height, width = frames[0].shape[:2]
    if min(height, width) < SMALLEST:
        raise ValueError(f"{sample.frames[0]}: {width}x{height} pixels; expected {SMALLEST} or more a side")
    window = crop_window(protocol, height, width, (seed, number))
    return Item(number, sample.times, [frame[window].copy() for frame in frames])


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Neighbours of one size, at most `size` together; 0: as many as make `TOGETHER`."""
    batch: list[Item] = []
    for item in items:
        height, width = item.frames[0].shape[:2]
        most = size or TOGETHER // (height * width * len(item.times))
        if batch and (len(batch) >= most or item.frames[0].shape != batch[0].frames[0].shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def interpolate(
    network: IFRNet | None, img0: Tensor, img1: Tensor, times: tuple[float, ...], protocol: InterpolationProtocol,
    amp: str = "off",
) -> Tensor:  # fmt: skip
    """Frames between two frames, padded and cut back as the protocol says.

    Args:
        network: None blends: (1 - t) img0 + t img1, the mean of the two at t = 1/2.
        img0: (B, 3, H, W) in [0, 1].
        img1: the same shape.
        times: K times in (0, 1); a pair is encoded once for all.
        protocol: gives padding and scale.
        amp: "off", "bf16" or "fp16".

    Returns:
        (B, K, 3, H, W) float32.

    Raises:
        ValueError: the frames are larger than the protocol's canvas.
    """
    t = torch.tensor(times, device=img0.device)
    if network is None:
        t = t.view(-1, 1, 1, 1)
        return (1 - t) * img0[:, None] + t * img1[:, None]
    both, unpad = _pad(torch.stack((img0, img1)), protocol)  # 2 B 3 H' W'
    with torch.inference_mode(), autocast(img0.device, amp):
        result = network(both[0], both[1], t.repeat(len(img0)), protocol.scale)["pred"]
    return unpad(result.float()).unflatten(0, (len(img0), len(times)))


def _pad(frames: Tensor, protocol: InterpolationProtocol):
    if protocol.padding == "centred":
        return pad_centred(frames, multiple_of(protocol.scale))
    height, width = frames.shape[-2:]
    if height > CANVAS[0] or width > CANVAS[1]:
        raise ValueError(
            f"frames of {width}x{height} pixels: {protocol.name} takes up to {CANVAS[1]}x{CANVAS[0]}; choose --protocol"
        )
    return F.pad(frames, (0, CANVAS[1] - width, 0, CANVAS[0] - height)), lambda y: y[..., :height, :width]


def run_protocols(
    network: IFRNet | None, samples: list[Sample], protocols: list[InterpolationProtocol], config: Config,
    processes: distributed.Processes, pictures: Path | None = None,
) -> dict[str, list[FrameScore]]:  # fmt: skip
    """Score this process's share of the samples under protocols whose `view` is the same.

    Args:
        network: None blends.
        samples: all of them; this process takes every world_size-th.
        protocols: one or more.
        config: batch_size, thread_num, manual_seed and amp are read.
        processes: this one among all.
        pictures: folder for the pictures of each frame; None: no pictures.

    Returns:
        Protocol's name -> scores in the order of the samples.

    Raises:
        ValueError: a sample that cannot be read or does not fit.
    """
    view = protocols[0]
    mine = range(processes.rank, len(samples), processes.world_size)
    threads = max(1, config.thread_num if config.thread_num >= 0 else min(8, os.cpu_count() or 1))
    scores = []

    def read(number: int) -> Item:
        return read_item(samples[number], number, view, config.manual_seed)

    def finish(item: Item, k: int, prediction: np.ndarray) -> tuple[int, int, dict]:
        if pictures:
            write_pictures(pictures / samples[item.number].name, k, prediction, item.frames)
        return item.number, k, {protocol.name: score(protocol, prediction, item.frames[k]) for protocol in protocols}

    progress = tqdm(total=len(mine), unit="sample", disable=None if processes.is_main else True, leave=False)
    with progress, ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()  # few, so that the memory stays small
        for batch in batches(ahead(pool, read, mine, 2 * threads), config.batch_size):
            stack = torch.from_numpy(np.stack([[item.frames[0], item.frames[-1]] for item in batch]))  # B 2 H W 3
            pairs = stack.to(processes.device).permute(1, 0, 4, 2, 3).float() / 255  # 2 B 3 H W
            results = interpolate(network, pairs[0], pairs[1], batch[0].times, view, config.amp)
            shown = results.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()  # B K H W 3
            for item, frames in zip(batch, shown, strict=True):
                waiting.extend(pool.submit(finish, item, k, frame) for k, frame in enumerate(frames, 1))
            while len(waiting) > 4 * threads:
                scores.append(waiting.popleft().result())
            progress.update(len(batch))
        scores.extend(job.result() for job in waiting)
    return {p.name: [FrameScore(number, k, values[p.name]) for number, k, values in scores] for p in protocols}


def write_pictures(folder: Path, k: int, prediction: np.ndarray, frames: list[np.ndarray]) -> None:
    """Write `<k>_{prediction,truth,overlay,error}.png` of one frame.

    The overlay is the mean of the two inputs; the error is absolute, a channel, four times enlarged.
    """
    truth, shown = frames[k], to_uint8(prediction)
    overlay = mean_image(frames[0], frames[-1])
    error = to_uint8(ERROR_GAIN * np.abs(prediction - truth / np.float32(255)))
    for kind, picture in {"prediction": shown, "truth": truth, "overlay": overlay, "error": error}.items():
        write_image(folder / f"{k}_{kind}.png", picture)


def evaluate(options, config: Config) -> int:
    """Evaluate by the command line's options and the settings; returns the exit code."""
    with distributed.joined(options) as processes:
        network, path = load(options, config, processes.device)
        for data in SNU_FILM if config.data == "snu_film" else (config.data,):
            _evaluate_set(network, path, data, options, config, processes)
    return 0


def _evaluate_set(network, path: Path | None, data: str, options, config: Config, processes) -> None:
    samples = find_samples(options.data_root, data, "test")
    if options.protocol:
        protocols = [INTERPOLATION[name] for name in dict.fromkeys(options.protocol)]
    else:
        protocols = [protocol for protocol in INTERPOLATION.values() if data in protocol.sets and protocol.default]
        protocols = protocols or [INTERPOLATION["ifrnet"]]  # of clips
    if path and network.ignores_time and samples[0].times != (0.5,) and processes.is_main:
        print(f"{path}: these weights ignore t, every result is that of t = 1/2; use ones of GoPro", file=sys.stderr)
    evaluation = Evaluation(options, config, _name(path, options), processes, data)

    def compute() -> dict[str, list[FrameScore]]:
        scores = {}
        for number, view in enumerate(dict.fromkeys(protocol.view for protocol in protocols)):
            same = [protocol for protocol in protocols if protocol.view == view]
            pictures = evaluation.folder if config.save_sample and number == 0 else None
            scores |= run_protocols(network, samples, same, config, processes, pictures)
        return scores

    found = evaluation.gather(compute)
    row, part = _row_name(path, options, config, network), missing_part(data, samples)
    for protocol in protocols:
        joined = sorted(found[protocol.name])
        values, means = [score.values for score in joined], mean_score(protocol, joined)
        lines = score_lines(protocol, joined, samples, data)
        evaluation.tell(protocol.name, values, means, lines, paper="ifrnet", row=row, part=part)
    evaluation.end(" and pictures" if config.save_sample else "")


def _name(path: Path | None, options) -> str:
    """What is scored."""
    return path.stem if path else "dis" if options.dis else "blend"


def _row_name(path: Path | None, options, config: Config, network: IFRNet | None) -> str:
    """What results.csv calls these weights in its column `config`."""
    if path is None:
        return _name(path, options)
    name = path.stem if path.stem in PRESETS else config.config
    return name if name in PRESETS and PRESETS[name].network == network.size else ""


def score_lines(protocol: InterpolationProtocol, scores: list[FrameScore], samples: list[Sample], data: str):
    """A line a frame: sample, file, metrics; behind each video of the 8x sets and each clip its mean."""
    lines = []
    for video, own in groupby(scores, key=lambda score: samples[score.sample].name.split("/")[0]):
        group = list(own)
        for item in group:
            sample = samples[item.sample]
            lines.append(f"{sample.name} {sample.frames[item.frame].name} {text(item.values)}")
        if data in VIDEOS or clip_set(data, CLIPS)[0]:
            lines.append(f"[MEAN {video}] {text(mean_score(protocol, group))} {len(group)} frames")
    return lines
