"""Evaluation: every frame of a test set's clips, enlarged by the network or bicubically, scored by named protocols."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common.checkpoints.published import entries
from common.degrade.low_resolution import TITLES, Match, identify
from common.media.flow_color import flow_to_image
from common.media.image import read_image, to_uint8, write_image
from common.ops.autocast import autocast
from common.scoring import score_frames
from common.scoring.evaluation import Evaluation
from common.scoring.protocols import Protocol
from common.scoring.score_frames import Cache, Score
from common.training import distributed
from tdan.checkpoints import load
from tdan.classical import enlarge
from tdan.config import PADDING, PRESETS, Config
from tdan.model import MIDDLE, NEIGHBOURS, TDAN, WINDOW
from tdan.protocols import PROTOCOLS, protocols_of
from tdan.samples import Sample, Window, read_truth, scored_samples
from tdan.sets import SETS, Clip, data_set, find_clips
from tdan.stream import Enhancer

PICTURES = 16  # frames that are shown
ERROR_GAIN = 4  # of the pictures of errors: white is 64 levels or more
BASELINE = "baseline"  # what results.csv calls the result without a network
LOOKED_AT = 32  # clips at most whose files are compared with what degradations make
HABITS = {"bi": ("bi", "bi_uint8"), "bd": ("bd",)}  # what a set's files may be, by its degradation


class Item(NamedTuple):
    """A sample as read: its number, its clip, the window's frame numbers and low frames, the truth; HxWx3 uint8."""

    number: int
    clip: Clip
    window: list[int]
    lows: list[np.ndarray]
    truth: np.ndarray


def read_item(sample: Sample, number: int, *, scale: int, padding: str, least: int, cache: Cache) -> Item:
    """Read a sample; what its neighbours have read already comes from the cache.

    Args:
        sample: what to read.
        number: its number.
        scale: of the low-resolution frames.
        padding: see `common.media.frame_windows.neighbour_indices`.
        least: pixels a side that a true frame must have.
        cache: of true and low-resolution frames.

    Raises:
        ValueError: a file is missing or broken, or sizes do not fit.
    """
    clip, middle = sample
    window = Window(clip, sample.window(padding), scale, cache.get)
    height, width = window.truth.shape[:2]
    if min(height, width) < least:
        raise ValueError(f"{clip.truths[middle]}: {width}x{height} pixels; expected {least} or more a side")
    return Item(number, clip, window.numbers, window.lows(), window.truth)


def low_lines(clips: list[Clip], data: str, scale: int) -> list[str]:
    """Where a set's low-resolution frames are from, a line a kind; then a warning if files are not what the set means.

    The first frame of a clip tells what its files are.

    Raises:
        ValueError: a frame that cannot be read, or does not fit its true one.
    """
    kind = data_set(data).degradation
    given = [clip for clip in clips if clip.lows]
    made = [clip.name for clip in clips if not clip.lows]
    lines = [f"low-resolution frames of {_few(made)}: made here, {TITLES[kind]}"] if made else []
    warnings = []
    matches = [(clip.name, _identify(clip, scale)) for clip in given[:: -(-len(given) // LOOKED_AT) or 1]]
    for name in dict.fromkeys(match.name if match.fits else "" for _, match in matches):
        group = [(clip, match) for clip, match in matches if name == (match.name if match.fits else "")]
        few, worst = _few([clip for clip, _ in group]), max((match for _, match in group), key=lambda match: match.mean)
        lines.append(f"low-resolution frames of {few}: files, {worst}")
        if name not in HABITS[kind]:
            warnings.append(
                f"warning: {data} means {TITLES[kind]}, the files of {few} are not: networks lose dBs there"
            )
    return lines + warnings


def _identify(clip: Clip, scale: int) -> Match:
    """What made a clip's first low-resolution frame."""
    low, truth = read_image(clip.lows[0]), read_truth(clip, 0, scale)
    try:
        return identify(low, truth, scale=scale, first=HABITS[clip.degradation])
    except ValueError as error:
        raise ValueError(f"{clip.lows[0]}: {error}, of {clip.truths[0]}") from error


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def to_tensors(item: Item, device: torch.device) -> Tensor:
    """The window's frames, (5, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(item.lows)).to(device).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def enhance(enhancer: Enhancer, item: Item, device: torch.device, *, shown: bool = False) -> dict[str, np.ndarray]:
    """What the network makes of a window: `pred` HxWx3 float32; if `shown` `aligned` 5xhxwx3 and `motion` 4xhxwx2."""
    frames = to_tensors(item, device)
    outputs = {"pred": enhancer(list(zip(item.window, frames, strict=True)))}
    if shown:
        with autocast(device, enhancer.amp):
            whole = enhancer.network(frames[None])
        outputs |= {key: whole[key][0] for key in ("aligned", "motion")}
    return {key: value.float().movedim(-3, -1).contiguous().cpu().numpy() for key, value in outputs.items()}


def run_protocols(
    enhancer: Enhancer | None, samples: list[Sample], protocols: list[Protocol], config: Config,
    processes: distributed.Processes, padding: str = PADDING, pictures: Path | None = None, method: str = "bicubic",
) -> dict[str, list[Score]]:  # fmt: skip
    """Score this process's share of the frames.

    Args:
        enhancer: None: an enlargement without a network.
        samples: all of them.
        protocols: one or more.
        config: scale and thread_num are read.
        processes: this one among all.
        padding: which frames stand for those beyond a clip's ends.
        pictures: folder for the pictures of the first frames; None: no pictures.
        method: of the enlargement, one of `METHODS`.

    Returns:
        Protocol's name -> scores in the order of the samples.

    Raises:
        ValueError: a frame that cannot be read or does not fit, or a result that is no number.
    """
    mine = score_frames.share(len(samples), processes)
    threads = max(1, config.thread_num if config.thread_num >= 0 else min(8, os.cpu_count() or 1))
    cache = Cache(2 * (WINDOW + 4 * threads))  # low and true frames of all windows that are in work
    done: list[tuple[int, dict]] = []

    def read(number: int) -> Item:
        least = score_frames.smallest(protocols)
        return read_item(samples[number], number, scale=config.scale, padding=padding, least=least, cache=cache)

    def finish(item: Item, outputs: dict[str, np.ndarray]) -> tuple[int, dict]:
        outputs = outputs or {"pred": enlarge(item.lows[MIDDLE], config.scale, method) / np.float32(255)}
        if pictures and item.number < PICTURES:
            write_pictures(pictures / samples[item.number].name, item, outputs, config.scale)
        return item.number, {p.name: score_frames.score(p, outputs["pred"], item.truth) for p in protocols}

    progress = tqdm(total=len(mine), unit="frame", disable=None if processes.is_main else True, leave=False)
    with progress, ThreadPoolExecutor(threads) as pool:
        waiting, clip = deque(), None  # few wait, so that the memory stays small
        for item in score_frames.ahead(pool, read, mine, 2 * threads):
            outputs = {}
            if enhancer:
                if item.clip is not clip:
                    enhancer.forget()
                clip, shown = item.clip, bool(pictures) and item.number < PICTURES
                outputs = enhance(enhancer, item, processes.device, shown=shown)
            waiting.append(pool.submit(finish, item, outputs))
            while len(waiting) > 4 * threads:
                done.append(waiting.popleft().result())
            progress.update()
        done.extend(job.result() for job in waiting)
    return {p.name: [Score(n, samples[n].clip.name, values[p.name]) for n, values in done] for p in protocols}


def write_pictures(folder: Path, item: Item, outputs: dict[str, np.ndarray], scale: int) -> None:
    """Write what a frame was made from and what was made of it.

    `side_by_side.png` holds the low-resolution frame enlarged by nearest neighbour, bicubically and by the network, and
    the truth; `error.png` is absolute, a channel, four times enlarged; `aligned_K.png` and `motion_K.png` are of the
    window's frame K, counted from 1.
    """
    low, prediction, truth = item.lows[MIDDLE] / np.float32(255), outputs["pred"], item.truth / np.float32(255)
    enlarged = enlarge(item.lows[MIDDLE], scale) / np.float32(255)
    nearest = low.repeat(scale, 0).repeat(scale, 1)
    images = {
        "low": low, "bicubic": enlarged, "prediction": prediction, "truth": truth,
        "error": ERROR_GAIN * np.abs(prediction - truth),
        "side_by_side": np.concatenate((nearest, enlarged, prediction, truth), 1),
    }  # fmt: skip
    if "aligned" in outputs:
        images |= {f"aligned_{k + 1}": outputs["aligned"][k] for k in NEIGHBOURS}
    for name, image in images.items():
        write_image(folder / f"{name}.png", to_uint8(image))
    if "motion" in outputs:
        motions = outputs["motion"]  # K h w 2
        longest = float(np.linalg.norm(motions, axis=-1).max()) + 1e-5  # one scale for all
        for k, motion in zip(NEIGHBOURS, motions, strict=True):
            write_image(folder / f"motion_{k + 1}.png", flow_to_image(motion, scale=longest))


def evaluate(options, config: Config) -> int:
    """Evaluate by the command line's options and the settings; returns the exit code."""
    with distributed.joined(options) as processes:
        network, path = load(options, config, processes.device)
        _evaluate(network, path, options, config, processes)
    return 0


def _evaluate(network: TDAN | None, path: Path | None, options, config: Config, processes) -> None:
    data = config.data
    clips = find_clips(options.data_root, data, "test", scale=config.scale, prepared=config.prepared)
    samples = scored_samples(clips)
    asked = dict.fromkeys(options.protocol or protocols_of(data))
    protocols = [PROTOCOLS[name] for name in asked]
    row = row_name(network, path, config, options.baseline)
    evaluation = Evaluation(options, config, path.stem if path else row, processes)
    enhancer = None
    if network:
        parts = {"tile": options.tile or 0, "chop": options.chop, "flips": options.flips}
        enhancer = Enhancer(network, amp=config.amp, **parts)

    def compute() -> dict[str, list[Score]]:
        if processes.is_main:
            print("\n".join(low_lines(clips, data, config.scale)), flush=True)
        pictures = evaluation.folder if config.save_sample else None
        padding, method = options.padding or PADDING, options.baseline or "bicubic"
        return run_protocols(enhancer, samples, protocols, config, processes, padding, pictures, method)

    found = evaluation.gather(compute)
    part = missing_part(data, clips)
    for protocol in protocols:
        scores = found[protocol.name]  # shares follow each other
        values, means = [score.values for score in scores], score_frames.mean(protocol, scores)
        lines = score_lines(protocol, scores, samples)
        evaluation.tell(protocol.name, values, means, lines, paper="tdan", row=row, part=part)
    shown = f" and pictures of the first {min(PICTURES, len(samples))} frames" if config.save_sample else ""
    evaluation.end(shown)


def missing_part(data: str, clips: list[Clip]) -> str:
    """How much of the published test set the clips are, in words; empty if all of it."""
    if data not in SETS:  # a set of clips is whole as it is
        return ""
    count = sum(len(clip.middles) for clip in clips)
    return "" if count == SETS[data].count else f"{count} of {SETS[data].count} frames"


def row_name(network: TDAN | None, path: Path | None, config: Config, method: str | None = None) -> str:
    """What results.csv calls these weights in its column `config`; empty if they are none of its networks."""
    if network is None:
        return BASELINE if method in (None, "bicubic") else f"{BASELINE}_{method}"
    names = {entry.file: entry.config for entry in entries("tdan")}
    name = names.get(path.name, config.config)
    if name not in PRESETS:
        return ""
    form, blocks = PRESETS[name], (len(network.blocks_before), len(network.blocks_after))
    found = (len(network.first.weight), *blocks, network.scale, network.groups, network.add_bicubic)
    expected = (
        form.channels, form.blocks_before, form.blocks_after, form.scale, form.groups, form.add_bicubic,
    )  # fmt: skip
    return name if found == expected else ""


def score_lines(protocol: Protocol, found: list[Score], samples: list[Sample]) -> list[str]:
    """A line a frame: its name and metrics; behind each clip of several frames its mean."""
    lines = []
    for clip, own in groupby(found, key=lambda score: score.clip):
        group = list(own)
        lines += [f"{samples[score.sample].name} {score_frames.text(score.values)}" for score in group]
        if len(group) > 1:
            lines.append(f"[MEAN {clip}] {score_frames.text(score_frames.mean(protocol, group))} {len(group)} frames")
    return lines
