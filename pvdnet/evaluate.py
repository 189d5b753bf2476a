"""Evaluation: every frame of every test video through the recurrence, scored by named protocols, pictures written."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common import atomic
from common.checkpoints.run_checkpoints import find_weights
from common.media.image import to_uint8, write_image
from common.ops.autocast import autocast
from common.scoring.evaluation import Evaluation
from common.scoring.metrics import psnr, ssim
from common.training import distributed
from common.training.sampling import to_device
from pvdnet.checkpoints import load
from pvdnet.config import Config
from pvdnet.koehler import koehler_scores
from pvdnet.models.deblurnet import DeblurNet, load_BIMNet
from pvdnet.models.trainers.trainer_BIMNet import Trainer as BIMNetTrainer
from pvdnet.protocols import PROTOCOLS
from pvdnet.samples import clip_frames, validation_videos
from pvdnet.sets import Video, find_videos


@dataclass(frozen=True)
class FrameScore:
    """One line of a score file."""

    video: int
    frame: int
    file: str
    psnr: float
    ssim: float
    seconds: float


def protocol_scores(name: str, result: np.ndarray, gt: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and SSIM of one frame.

    Args:
        name: a protocol of `protocols.py`: "pvdnet_code" or "pvdnet_paper".
        result: HxWx3 float, about [0, 1], as the network gives it.
        gt: HxWx3 uint8.
    """
    protocol = PROTOCOLS[name]
    if protocol.alignment == "koehler":
        return koehler_scores(gt, to_uint8(result))[:2]
    truth = gt.astype(np.float32) / 255
    return psnr(result, truth, peak=protocol.peak), ssim(result, truth, kind=protocol.ssim, peak=protocol.peak)


def deblur(network: DeblurNet | None, frames: list[torch.Tensor], memory: torch.Tensor, amp: str) -> torch.Tensor:
    """One step of the recurrence; without a network the blurry frame itself. A filter may be in the network's place."""
    if network is None:
        return frames[1]
    with torch.inference_mode(), autocast(frames[1].device, amp):
        return network(*frames, memory)["result"].float()


def evaluate(options, config: Config) -> int:
    """Evaluate by the command line's options and the settings; returns the exit code."""
    if config.network == "BIMNet" and not options.identity:
        return _evaluate_BIMNet(options, config)
    with distributed.joined(options) as processes:
        network, path = load(options, config, processes.device)
        name = path.stem if path else options.identity
        videos = find_videos(options.data_root, config.data, "test")
        evaluation = Evaluation(options, config, name, processes, place="result/quanti_quali")

        def compute() -> dict[str, list[FrameScore]]:
            scores: dict[str, list[FrameScore]] = {protocol: [] for protocol in options.protocol}
            with ThreadPoolExecutor(2) as pool:
                for number in validation_videos(len(videos), processes.rank, processes.world_size):
                    scored = _video(network, videos, number, options, config, evaluation.folder, pool, processes.device)
                    for protocol, score, text in scored:
                        scores[protocol].append(score)
                        print(text, flush=True)
            return scores

        found = evaluation.gather(compute)
        if processes.is_main:
            if path:
                shutil.copy(path, evaluation.of_weights / path.name)
            for protocol, scores in found.items():
                scores.sort(key=lambda score: (score.video, score.frame))
                _write_scores(scores, videos, protocol, options, config, evaluation)
            print(f"pictures and scores: {evaluation.folder}")
    return 0


def _video(network, videos: list[Video], number: int, options, config: Config, pictures: Path, pool, device):
    """Deblur one video; yields a protocol's name, a frame's score and its line."""
    video, memory, jobs = videos[number], None, []
    for index, frames, gt in clip_frames(video):
        frames = list(to_device({"window": torch.cat(frames)}, device)["window"].split(1))  # 1 3 H W each, in [0, 1]
        memory = frames[1] if memory is None else memory
        began = time.perf_counter()
        memory = deblur(network, frames, memory, config.amp)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
        result = memory[0].permute(1, 2, 0).cpu().numpy()
        shown = {"input": to_uint8(frames[1][0].permute(1, 2, 0).cpu().numpy()), "output": to_uint8(result)}
        if gt is not None:
            shown["gt"] = gt
        stem = video.blurry[index].stem
        for kind, picture in shown.items():
            for suffix in ("png", "jpg"):
                target = pictures / suffix / kind / video.name / f"{stem}.{suffix}"
                jobs.append(pool.submit(write_image, target, picture))
        for protocol in options.protocol if gt is not None else ():
            if index < PROTOCOLS[protocol].first:
                continue
            score = FrameScore(number, index, video.blurry[index].name, *protocol_scores(protocol, result, gt), seconds)
            label = "" if protocol == "pvdnet_code" else f" {protocol}"
            yield protocol, score, _line(score, videos, options, config) + label
        if gt is None:
            print(
                f"[EVAL {options.eval_mode}|{config.data}|{video.name}][{index + 1}/{len(video)}] ({seconds:.5f} sec)"
            )
        while len(jobs) > 24:  # what waits to be written stays small
            jobs.pop(0).result()
    for job in jobs:
        job.result()


def _head(kind: str, videos: list[Video], number: int, options, config: Config) -> str:
    return f"[{kind} {options.eval_mode}|{config.data}|{videos[number].name}][{number + 1}/{len(videos)}]"


def _line(score: FrameScore, videos: list[Video], options, config: Config) -> str:
    return (
        f"{_head('EVAL', videos, score.video, options, config)}[{score.frame + 1}/{len(videos[score.video])}] "
        f"{score.file} PSNR: {score.psnr:.5f}, SSIM: {score.ssim:.5f} ({score.seconds:.5f} sec)"
    )


def _mean(scores: list[FrameScore]) -> str:
    parts = [np.mean([getattr(score, key) for score in scores]) for key in ("psnr", "ssim", "seconds")]
    return "PSNR: {:.5f} SSIM: {:.5f} ({:.5f}sec)".format(*parts)


def _write_scores(scores, videos, protocol: str, options, config: Config, evaluation: Evaluation) -> None:
    """The score file: a line a frame, a mean a video, the mean of all frames last."""
    if not scores:
        return
    lines = []
    for number in range(len(videos)):
        own = [score for score in scores if score.video == number]
        lines += [_line(score, videos, options, config) for score in own]
        if own:
            lines.append(f"{_head('MEAN EVAL', videos, number, options, config)} {_mean(own)}")
    lines.append(f"[TOTAL {evaluation.name}|{config.data}] {_mean(scores)}")
    file = f"score_{config.data}" + ("" if protocol == "pvdnet_code" else f"_{protocol}") + ".txt"
    for folder in (evaluation.of_weights, evaluation.folder):
        atomic.write_text(folder / file, "\n".join(lines) + "\n")
    print(f"{lines[-1]} {len(scores)} frames, protocol {protocol}")


def _evaluate_BIMNet(options, config: Config) -> int:
    """How well BIMNet aligns the sharp frames of the test videos."""
    with distributed.joined(options) as processes:
        path = find_weights(options, config, "pvdnet")
        trainer = BIMNetTrainer(config, processes, fresh=False)
        load_BIMNet(trainer.network.BIMNet, path)
        videos = find_videos(options.data_root, config.data, "test")
        mine = validation_videos(len(videos), processes.rank, processes.world_size)
        values = [value for number in mine for value, _, _ in trainer.validate(videos[number])]
        count, *sums = processes.sum([float(len(values))] + [sum(v[key] for v in values) for key in ("flow", "psnr")])
        if processes.is_main:
            flow, score = (total / count for total in sums)
            print(
                f"[TOTAL {path.stem}|{config.data}] blur-invariant loss: {flow:.6f} "
                f"alignment PSNR: {score:.5f} {count:.0f} frames"
            )
    return 0
