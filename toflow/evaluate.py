"""Evaluation: the middle frame of every sample of a test set, made and scored by named protocols."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from common.checkpoints.published import entries
from common.degrade.by_name import clip_rng, degrade
from common.media.flow_color import flow_to_image
from common.media.image import read_image, to_uint8, write_image
from common.ops.autocast import autocast
from common.scoring import score_frames
from common.scoring.evaluation import Evaluation
from common.scoring.protocols import Protocol
from common.scoring.score_frames import Cache, Score
from common.training import distributed
from toflow.checkpoints import load
from toflow.classical import classical, spread_of
from toflow.config import PRESETS, Config
from toflow.model import FORMS, TOFlow, predict
from toflow.protocols import PROTOCOLS, protocols_of
from toflow.samples import evaluation_frames
from toflow.sets import SETS, WINDOW, Sample, data_set, find_samples, is_shared

TOGETHER = 16 * 256 * 448  # pixels of frames that a GPU looks at together
PICTURES = 16  # samples that are shown
ERROR_GAIN = 4  # of the pictures of errors: white is 64 levels or more
BASELINE = "baseline"  # what results.csv calls the result without a network


class Item(NamedTuple):
    """A sample as read: its number, the frames that the network sees and the true one, HxWx3 uint8."""

    number: int
    frames: list[np.ndarray]
    truth: np.ndarray


def read_frame(path: Path, degradation: str, cache: Cache) -> np.ndarray:
    """A frame, HxWx3 uint8, read and degraded, from the cache if it is there.

    Raises:
        ValueError: it cannot be read.
    """
    plain = cache.get(path, lambda: read_image(path))
    if not degradation:
        return plain
    return cache.get((path, degradation), lambda: degrade([plain], degradation, clip_rng(0, str(path)))[0])


def read_item(sample: Sample, number: int, config: Config, cache: Cache | None) -> Item:
    """Read a sample, from the cache where there is one.

    Raises:
        ValueError: a file is missing or broken, or frames differ in size or are too small.
    """
    if cache:
        frames = [read_frame(path, sample.degradation, cache) for path in sample.frames]
        truth = read_frame(sample.target, "", cache)
    else:
        frames, truth = evaluation_frames(sample, config.manual_seed), read_image(sample.target)
    height, width = truth.shape[:2]
    if min(height, width) < score_frames.SMALLEST:
        raise ValueError(f"{sample.target}: {width}x{height} pixels; expected {score_frames.SMALLEST} or more a side")
    for path, frame in zip(sample.frames, frames, strict=True):
        if frame.shape != truth.shape:
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise ValueError(f"{path}: {size} pixels, but {width}x{height} was expected, as of {sample.target}")
    return Item(number, frames, truth)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Neighbours of one size, at most `size` together; 0: as many as make `TOGETHER`."""
    batch: list[Item] = []
    for item in items:
        most = size or TOGETHER // (len(item.frames) * item.truth.shape[0] * item.truth.shape[1])
        if batch and (len(batch) >= most or item.truth.shape != batch[0].truth.shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


@torch.inference_mode()
def enhance(
    network: TOFlow, batch: list[Item], device: torch.device, *, amp: str = "off", shown: bool = False
) -> dict[str, np.ndarray]:
    """What the network makes of samples of one size, any: `pred` BxHxWx3 float32; if `shown` the rest, BxKxHxWxC."""
    stack = torch.from_numpy(np.stack([item.frames for item in batch])).to(device)  # B T H W 3
    with autocast(device, amp):
        outputs = predict(network, stack.permute(0, 1, 4, 2, 3).float() / 255)
    kept = outputs if shown else {"pred": outputs["pred"]}
    return {key: value.float().movedim(-3, -1).contiguous().cpu().numpy() for key, value in kept.items()}


def run_protocols(
    network: TOFlow | None, samples: list[Sample], protocols: list[Protocol], config: Config,
    processes: distributed.Processes, pictures: Path | None = None, method: str = "plain",
) -> dict[str, list[Score]]:  # fmt: skip
    """Score this process's share of the samples.

    Args:
        network: None: the classical method.
        samples: all of them.
        protocols: one or more.
        config: data, prepared, batch_size, thread_num, manual_seed and amp are read.
        processes: this one among all.
        pictures: folder for the pictures of the first samples; None: no pictures.
        method: see `classical`.

    Returns:
        Protocol's name -> scores in the order of the samples.

    Raises:
        ValueError: a sample that cannot be read or does not fit, or a result that is no number.
    """
    mine = score_frames.share(len(samples), processes)
    threads = max(1, config.thread_num if config.thread_num >= 0 else min(8, os.cpu_count() or 1))
    cache = Cache(2 * (WINDOW + 4 * threads)) if is_shared(config.data) else None
    size = config.batch_size or (0 if processes.device.type == "cuda" else 1)  # a CPU gains nothing from more
    sigma = spread_of(data_set(config.data).degradation)
    done: list[tuple[int, dict]] = []

    def read(number: int) -> Item:
        return read_item(samples[number], number, config, cache)

    def finish(item: Item, outputs: dict[str, np.ndarray]) -> tuple[int, dict]:
        outputs = outputs or {"pred": classical(item.frames, method, sigma)}
        if pictures and item.number < PICTURES:
            write_pictures(pictures / samples[item.number].name, item, outputs)
        return item.number, {p.name: score_frames.score(p, outputs["pred"], item.truth) for p in protocols}

    progress = tqdm(total=len(mine), unit="sample", disable=None if processes.is_main else True, leave=False)
    with progress, ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()  # few, so that the memory stays small
        for batch in batches(score_frames.ahead(pool, read, mine, 2 * threads), size):
            outputs = {}
            if network:
                shown = bool(pictures) and batch[0].number < PICTURES
                outputs = enhance(network, batch, processes.device, amp=config.amp, shown=shown)
            for k, item in enumerate(batch):
                waiting.append(pool.submit(finish, item, {key: value[k] for key, value in outputs.items()}))
            while len(waiting) > 4 * threads:
                done.append(waiting.popleft().result())
            progress.update(len(batch))
        done.extend(job.result() for job in waiting)
    clips = [sample.name.split("/")[0] for sample in samples]
    return {p.name: [Score(number, clips[number], values[p.name]) for number, values in done] for p in protocols}


def write_pictures(folder: Path, item: Item, outputs: dict[str, np.ndarray]) -> None:
    """Write what a sample was made from and what was made of it.

    `input.png` is the mean of two frames, or the middle one of seven; `error.png` is absolute, a channel, four times
    enlarged; `flow_K.png`, `warped_K.png` and `mask_K.png` are of the clip's frame K, counted from 1.
    """
    prediction, truth = outputs["pred"], item.truth / np.float32(255)
    numbers = (1, 3) if len(item.frames) == 2 else (1, 2, 3, 5, 6, 7)
    error = ERROR_GAIN * np.abs(prediction - truth)
    images = {"input": classical(item.frames), "prediction": prediction, "truth": truth, "error": error}
    for kind, key in {"warped": "warped", "mask": "masks"}.items():
        parts = zip(numbers, outputs[key], strict=True) if key in outputs else ()
        images |= {f"{kind}_{number}": np.broadcast_to(part, truth.shape) for number, part in parts}
    for name, image in images.items():
        write_image(folder / f"{name}.png", to_uint8(image))
    if "flows" in outputs:
        flows = outputs["flows"]  # K H W 2
        longest = float(np.linalg.norm(flows, axis=-1).max()) + 1e-5  # one scale for all
        for number, flow in zip(numbers, flows, strict=True):
            write_image(folder / f"flow_{number}.png", flow_to_image(flow, scale=longest))


def evaluate(options, config: Config) -> int:
    """Evaluate by the command line's options and the settings; returns the exit code."""
    with distributed.joined(options) as processes:
        network, path = load(options, config, processes.device)
        _evaluate(network, path, options, config, processes)
    return 0


def _evaluate(network, path: Path | None, options, config: Config, processes) -> None:
    samples = find_samples(options.data_root, config.data, "test", prepared=config.prepared)
    asked = dict.fromkeys(options.protocol or protocols_of(config.data))
    protocols = [PROTOCOLS[name] for name in asked]
    row = row_name(network, path, config, options.baseline)
    evaluation = Evaluation(options, config, path.stem if path else row, processes)
    pictures = evaluation.folder if config.save_sample else None
    method = options.baseline or "plain"
    found = evaluation.gather(lambda: run_protocols(network, samples, protocols, config, processes, pictures, method))
    part = missing_part(config.data, samples)
    for protocol in protocols:
        scores = found[protocol.name]  # the processes' shares follow each other
        values, means = [score.values for score in scores], score_frames.mean(protocol, scores)
        lines = score_lines(protocol, scores, samples, config.data)
        evaluation.tell(protocol.name, values, means, lines, paper="toflow", row=row, part=part)
    evaluation.end(f" and pictures of the first {min(PICTURES, len(samples))} samples" if config.save_sample else "")


def missing_part(data: str, samples: list[Sample]) -> str:
    """How much of the published test set the samples are, in words; empty if all of it."""
    if data not in SETS or len(samples) == SETS[data].count:  # a set of clips is whole as it is
        return ""
    return f"{len(samples)} of {SETS[data].count} samples"


def row_name(network: TOFlow | None, path: Path | None, config: Config, method: str | None = None) -> str:
    """What results.csv calls these weights in its column `config`; empty if they are none of its networks."""
    if network is None:
        return BASELINE if method in (None, "plain") else f"{BASELINE}_{method}"
    names = {entry.file: entry.config for entry in entries("toflow")}
    name = names.get(path.name) or config.config
    return name if name in PRESETS and FORMS[PRESETS[name].network] == network.form else ""


def score_lines(protocol: Protocol, found: list[Score], samples: list[Sample], data: str) -> list[str]:
    """A line a sample: its name and metrics; behind each clip of several its mean, but for Vimeo-90K and the like."""
    lines = []
    for clip, own in groupby(found, key=lambda score: score.clip):
        group = list(own)
        lines += [f"{samples[score.sample].name} {score_frames.text(score.values)}" for score in group]
        if data == "vid4" or data not in SETS:
            lines.append(f"[MEAN {clip}] {score_frames.text(score_frames.mean(protocol, group))} {len(group)} frames")
    return lines
