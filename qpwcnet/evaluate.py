"""Evaluation: flows against the true ones, or frames against the true frame between two others, by named protocols.

Every sample is scored once, by one of the processes, and alone: no batch, no other process changes a number. Of a flow
only its mean errors are kept, with how many pixels they are of, so that the memory does not grow with the set.

The protocols of interpolation tell how to score. How frames are padded is the network's own matter.
"""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from common.cli import UsageError
from common.media.flow_file import write_flow
from common.media.image import read_clip, to_uint8, write_image
from common.ops.autocast import autocast
from common.scoring.evaluation import Evaluation
from common.scoring.metrics import end_point_error, interpolation_error, psnr
from common.scoring.protocols import INTERPOLATION, FlowProtocol, InterpolationProtocol
from common.scoring.score_frames import SMALLEST, ahead, score_between, share, text
from common.sets.clips import is_clip_set
from common.tables.results_csv import read
from common.training import distributed
from common.training.sampling import to_tensor
from qpwcnet.augment import resize, resize_pair
from qpwcnet.checkpoints import load
from qpwcnet.classical import CLASSICAL
from qpwcnet.config import Config
from qpwcnet.pictures import flow_pictures, interp_pictures
from qpwcnet.protocols import CLIPS, FLOW, UNKNOWN_CLIPS
from qpwcnet.sets import Pair, Triplet, find_pairs, find_triplets, missing_part, read_pair

BASELINES = {"flow": "zero", "interp": "blend"}  # what stands for the weights' name
SCORED_AS = {"ytvos": "vimeo90k"}  # sets without a protocol of their own
OF_A_PAIR = ("EPE", "PSNR", "IE")  # of which a protocol may take the mean over the pairs
KITTI_LONGEST = 511.98  # pixels that a KITTI .png holds, in each direction


class Score(NamedTuple):
    """One line of a score file: the sample's number, of how many pixels, metric -> value."""

    sample: int
    pixels: int
    values: dict[str, float]


class Item(NamedTuple):
    """A sample as read.

    Attributes:
        number: of the sample.
        prv: (3, H, W) RGB in [0, 1].
        nxt: the same shape.
        truth: flow HxWx2 float32 in pixels, or the frame between, HxWx3 uint8; None where nobody knows the flow.
        known: HxW bool, where the flow is known; of a frame, and where nobody knows, everywhere.
    """

    number: int
    prv: Tensor
    nxt: Tensor
    truth: np.ndarray | None
    known: np.ndarray


def read_item(sample: Pair | Triplet, number: int, size: tuple[int, int] | None = None) -> Item:
    """Read a sample.

    Args:
        sample: what to read.
        number: its own.
        size: height and width to resize a pair and its flow to; None: as they are.

    Raises:
        ValueError: a file is missing or broken, sizes differ or are too small, or no pixel's flow is known.
    """
    if isinstance(sample, Triplet):
        prv, truth, nxt = read_clip(sample.frames)
        height, width = truth.shape[:2]
        if min(height, width) < SMALLEST:
            raise ValueError(f"{sample.frames[1]}: {width}x{height} pixels; expected {SMALLEST} or more a side")
        return Item(number, to_tensor(prv), to_tensor(nxt), truth, np.ones((height, width), bool))
    first, second, flow, known = read_pair(sample)
    prv, nxt = to_tensor(first), to_tensor(second)
    if flow is None:
        return Item(number, prv, nxt, None, np.ones(first.shape[:2], bool))
    if size:
        prv, nxt, flow = resize_pair(first, second, flow, *size)
        flow = flow.permute(1, 2, 0).numpy()
        known = resize(known.astype(np.float32), *size) > 0.999  # nothing unknown is mixed in
    if not known.any():
        raise ValueError(f"{sample.flow}: no pixel with a known flow; leave this pair out")
    return Item(number, prv, nxt, flow, known)


def score_flow(protocol: FlowProtocol, prediction: np.ndarray, truth: np.ndarray, known: np.ndarray):
    """The protocol's metrics of one flow.

    Args:
        protocol: how to score.
        prediction: HxWx2 in pixels.
        truth: HxWx2 in pixels.
        known: HxW bool; what is unknown does not count.

    Returns:
        Metric -> value.

    Raises:
        ValueError: the sizes differ.
    """
    error = end_point_error(prediction, truth)[known]  # pixels
    length = np.linalg.norm(truth[known].astype(np.float64), axis=-1)
    values = {"EPE": error.mean(), "distance": error.mean()}
    values |= {f"px{limit}": 100 * (error < limit).mean() for limit in (1, 3, 5)}
    values["Fl-all"] = 100 * ((error > 3) & (error > 0.05 * length)).mean()
    return {metric: float(values[metric]) for metric in protocol.metrics}


def score_warp(protocol: FlowProtocol, prediction: np.ndarray, item: Item) -> dict[str, float]:
    """The protocol's metrics of the second frame moved back to the first one, where the flow stays in the frame.

    Args:
        protocol: how to score.
        prediction: HxWx2 in pixels.
        item: its frames.

    Returns:
        Metric -> value.

    Raises:
        ValueError: the flow leaves the frame everywhere.
    """
    first, second = (x.permute(1, 2, 0).numpy() for x in (item.prv, item.nxt))
    height, width = first.shape[:2]
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32) + prediction
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(2)
    if not inside.any():
        raise ValueError("the flow leaves the frame everywhere: the network diverged or its checkpoint is damaged")
    moved = cv2.remap(second, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[inside]
    values = {"PSNR": psnr(moved, first[inside], peak=1), "IE": interpolation_error(255 * moved, 255 * first[inside])}
    return {metric: float(values[metric]) for metric in protocol.metrics}


def mean_score(protocol: FlowProtocol | InterpolationProtocol, scores: list[Score]) -> dict[str, float]:
    """Mean of each metric, weighted as the protocol says; inf where one frame has it."""
    means = {}
    for metric in protocol.metrics:
        pooled = isinstance(protocol, FlowProtocol) and (protocol.averaging == "pixels" or metric not in OF_A_PAIR)
        weights = [score.pixels if pooled else 1 for score in scores]
        means[metric] = float(np.average([score.values[metric] for score in scores], weights=weights))
    return means


@torch.inference_mode()
def predict(network: nn.Module | None, item: Item, task: str, device: torch.device, amp: str = "off") -> np.ndarray:
    """The flow HxWx2 in pixels from `prv` to `nxt`, or the frame HxWx3 in [0, 1] between them, float32.

    Without a network the flow is zero, and the frame the mean of the two.

    Raises:
        ValueError: it is not finite.
    """
    prv, nxt = item.prv[None].to(device), item.nxt[None].to(device)  # 1 3 H W
    if network is None:
        result = torch.zeros_like(prv[:, :2]) if task == "flow" else (prv + nxt) / 2
    else:
        with autocast(device, amp):
            result = network.estimate(prv, nxt) if task == "flow" else network.between(prv, nxt)
    array = result[0].float().permute(1, 2, 0).contiguous().cpu().numpy()
    if not np.isfinite(array).all():
        raise ValueError("the result holds NaN or infinite values: the network diverged or its checkpoint is damaged")
    return array


def run_protocols(
    network: nn.Module | None, samples: list[Pair] | list[Triplet], protocols: list, config: Config,
    processes: distributed.Processes, pictures: Path | None = None,
) -> dict[str, list[Score]]:  # fmt: skip
    """Score this process's share of the samples under protocols for which the network sees the same.

    Args:
        network: None: zero flow, or the mean of the two frames.
        samples: all of them.
        protocols: of one task, alike in `resized`.
        config: task, input_shape, thread_num and amp are read.
        processes: this one among all.
        pictures: folder for the pictures of each sample; None: no pictures.

    Returns:
        Protocol's name -> scores in the order of the samples.

    Raises:
        ValueError: a sample that cannot be read, or a result that is no number.
    """
    size = config.input_shape if getattr(protocols[0], "resized", False) else None
    mine = share(len(samples), processes)
    threads = max(1, config.thread_num if config.thread_num >= 0 else min(8, os.cpu_count() or 1))
    found: dict[str, list[Score]] = {protocol.name: [] for protocol in protocols}

    def finish(item: Item, prediction: np.ndarray) -> tuple[Item, list[dict[str, float]]]:
        if config.task == "flow" and item.truth is None:
            values = [score_warp(protocol, prediction, item) for protocol in protocols]
        elif config.task == "flow":
            values = [score_flow(protocol, prediction, item.truth, item.known) for protocol in protocols]
        else:
            values = [score_between(protocol, prediction, item.truth) for protocol in protocols]
        if pictures:
            reference = "official" if config.data == "flow_pair" else "truth"
            write_pictures(pictures, samples[item.number], item, prediction, reference)
        return item, values

    def keep(item: Item, values: list[dict[str, float]]) -> None:
        for protocol, own in zip(protocols, values, strict=True):
            found[protocol.name].append(Score(item.number, int(item.known.sum()), own))

    progress = tqdm(total=len(mine), unit="sample", disable=None if processes.is_main else True, leave=False)
    with progress, ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()  # few, so that the memory stays small
        for item in ahead(pool, lambda number: read_item(samples[number], number, size), mine, 2 * threads):
            prediction = predict(network, item, config.task, processes.device, config.amp)
            waiting.append(pool.submit(finish, item, prediction))
            while len(waiting) > 2 * threads:
                keep(*waiting.popleft().result())
            progress.update()
        for job in waiting:
            keep(*job.result())
    return found


def write_pictures(
    folder: Path, sample: Pair | Triplet, item: Item, prediction: np.ndarray, reference: str = "truth"
) -> None:
    """Write the pictures of a sample into `<folder>/<its name>`, and a flow as a file of the true one's format.

    Flows lie in `<folder>/flow` under the names of their first frames, such as KITTI's `flow/000000_10.png`. The
    picture of the true flow is called `reference`.
    """
    prv, nxt, result = (x[None] for x in (item.prv, item.nxt, to_tensor(prediction)))
    truth = None if item.truth is None else to_tensor(item.truth)[None]
    if isinstance(sample, Pair):
        shown = flow_pictures(prv, nxt, result, truth)
        if truth is not None:
            shown[reference] = shown.pop("truth")
        name = f"{Path(sample.name).name}.flo" if sample.cut else f"{sample.first.stem}{sample.flow.suffix}"
        file = folder / "flow" / Path(sample.name).parent / name
        write_flow(file, prediction.clip(-KITTI_LONGEST, KITTI_LONGEST) if file.suffix == ".png" else prediction)
    else:
        shown = interp_pictures(prv, nxt, result, truth)
    for kind, picture in shown.items():
        write_image(folder / sample.name / f"{kind}.png", to_uint8(picture[0].permute(1, 2, 0).numpy()))


def chosen_protocols(
    asked: list[str] | None, config: Config, samples: list[Pair] | list[Triplet]
) -> list[FlowProtocol] | list[InterpolationProtocol]:
    """The protocols of `--protocol`, or the set's own.

    Raises:
        UsageError: one of them does not score this set.
    """
    data = SCORED_AS.get(config.data, config.data)
    if is_clip_set(config.data):
        known = config.task == "interp" or samples[0].flow is not None
        data = "vimeo90k" if config.task == "interp" else CLIPS if known else UNKNOWN_CLIPS
    known = FLOW if config.task == "flow" else INTERPOLATION
    fitting = {name: protocol for name, protocol in known.items() if data in protocol.sets}
    for name in asked or ():
        if name not in fitting:
            raise UsageError(f"--protocol {name} does not score {config.data}: expected {' or '.join(fitting)}")
    if asked:
        return [fitting[name] for name in dict.fromkeys(asked)]
    return [protocol for protocol in fitting.values() if protocol.default]


def evaluate(options, config: Config) -> int:
    """Evaluate by the command line's options and the settings; returns the exit code."""
    with distributed.joined(options) as processes:
        data, find = config.data, find_pairs if config.task == "flow" else find_triplets
        samples = find(options.data_root, data, "test")
        protocols = chosen_protocols(options.protocol, config, samples)
        network, path = load(options, config, processes.device)
        baseline = BASELINES[config.task] if options.baseline == "plain" else options.baseline
        if baseline in CLASSICAL:
            network = CLASSICAL[baseline]
        evaluation = Evaluation(options, config, path.stem if path else baseline, processes)
        draws = config.save_sample or data == "flow_pair"  # whose pictures are all that there is to judge

        def compute() -> dict[str, list[Score]]:
            scores = {}
            for number, resized in enumerate(dict.fromkeys(getattr(p, "resized", False) for p in protocols)):
                same = [protocol for protocol in protocols if getattr(protocol, "resized", False) == resized]
                pictures = evaluation.folder if draws and number == 0 else None
                scores |= run_protocols(network, samples, same, config, processes, pictures)
            return scores

        found = evaluation.gather(compute)  # shares follow each other
        row, part = row_name(path, config) if path else baseline, missing_part(data, samples)
        for protocol in protocols:
            scores = found[protocol.name]
            values, means = [score.values for score in scores], mean_score(protocol, scores)
            lines = [f"{samples[score.sample].name} {text(score.values)}" for score in scores]
            evaluation.tell(protocol.name, values, means, lines, paper="qpwcnet", row=row, part=part)
        if data == "flow_pair" and processes.is_main:
            print("  distance: mean length, in pixels, of the difference to the flow of the official PWC-Net, no error")
        evaluation.end(" and pictures" if draws else "")
    return 0


def row_name(path: Path, config: Config) -> str:
    """What results.csv calls these weights in its column `config`."""
    names = {row["checkpoint"]: row["configuration"] for row in read("qpwcnet")}
    return names.get(path.name, config.config)
