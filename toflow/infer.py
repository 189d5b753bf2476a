"""TOFlow on the user's own video: a file, a folder of frames or a glob in, a video or a folder out, in constant memory.

Interpolation makes the middle of two frames, so other times are middles of middles. The other tasks give one result for
every frame, from the seven around it; super-resolution enlarges the frames fourfold first.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.cli import UsageError
from common.degrade.matlab_imresize import enlarge
from common.media.classical_flow import interpolate
from common.media.frame_kinds import as_arrays, to_levels
from common.media.frame_rate import Timing, check_halves, halves
from common.media.frame_windows import neighbour_indices, windows
from common.media.model_on_clips import BetweenFrames, FrameByFrame
from common.media.own_video import each_input
from common.media.segments import Job
from common.media.video_reader import FolderReader, VideoReader
from common.ops.autocast import autocast
from common.ops.tile import tiled
from common.training.distributed import choose_device
from toflow.checkpoints import load
from toflow.classical import classical
from toflow.config import Config, build_parser
from toflow.model import MULTIPLE, TOFlow, predict
from toflow.sets import WINDOW

SCALE = 4  # of super-resolution
TILE_OVERLAP = 64  # pixels; of motion beyond 3/8 of it a tile sees too little near its border


@torch.inference_mode()
def restore(network: TOFlow, frames: Tensor, *, tile: int = 0, amp: str = "off") -> Tensor:
    """What the network makes of two or seven frames of any size.

    Args:
        network: on the device of the frames.
        frames: (B, T, 3, H, W) in [0, 1].
        tile: side of the tiles, in pixels, rounded up to a multiple of 16; 0: none. A tile sees no motion that leaves
            it, so the result differs a little from that without tiles, and more where motion is large.
        amp: off, bf16 or fp16.

    Returns:
        (B, 3, H, W) float32, not clamped.
    """

    def whole(part: Tensor) -> Tensor:
        with autocast(part.device, amp):
            return predict(network, part)["pred"].float()

    tile = -(-tile // MULTIPLE) * MULTIPLE
    return tiled(whole, frames, tile=tile, overlap=min(TILE_OVERLAP, tile // 2))  # 1 3 H W


class Interpolator(BetweenFrames):
    """Makes the frames between two; `toflow.load(task="interp")` gives one, with the weights of a name.

    Args:
        network: None: the two frames are blended.
        tile: side of the tiles, in pixels; 0: none.
        amp: off, bf16 or fp16.
        flow: without a network, move the frames by classical flow instead of blending them.
        device: where the network is.
    """

    build_parser = build_parser

    def __init__(
        self, network: TOFlow | None, *, tile: int = 0, amp: str = "off", flow: bool = False,
        device: torch.device | str = "cpu",
    ):  # fmt: skip
        self.network: Any = network
        self.tile, self.amp, self.flow = tile, amp, flow
        self.deep = network is not None or not flow
        self.device = torch.device(device)

    def check_times(self, timing: Timing, reader: VideoReader | FolderReader) -> None:
        """Refuse times that halving never reaches."""
        if self.network is not None:
            knows = "TOFlow makes only the middle of two frames"
            check_halves(timing, reader, knows, ", or --fps 2, 4 or 8 times as high")

    def predict(self, first: Tensor, second: Tensor, times: list[Fraction]) -> Iterable[Tensor]:
        """The frames, (1, 3, H, W) in [0, 1], at `times` between two."""
        if self.network is not None:
            return halves(self._middle, first, second, times)
        if self.flow:
            return (_by_flow(first, second, float(t)) for t in times)
        return (torch.lerp(first, second, float(t)) for t in times)

    def _middle(self, first: Tensor, second: Tensor) -> Tensor:
        pair = torch.stack((first, second), 1)  # 1 2 3 H W
        return restore(self.network, pair, tile=self.tile, amp=self.amp).clamp(0, 1)  # the next middle is made from it


class Restorer(FrameByFrame):
    """Makes the frames of a clip better; `toflow.load(task="denoise")` gives one, with the weights of a name.

    Args:
        network: None: the frames stay, or are enlarged.
        enlarge: factor by which frames are enlarged first.
        padding: which frames stand for those before the first and after the last.
        tile: side of the tiles, in pixels of the result; 0: none.
        amp: off, bf16 or fp16.
        baseline: without a network, a method of `classical.METHODS`.
        device: where the network is.
    """

    build_parser = build_parser

    def __init__(
        self, network: TOFlow | None, *, enlarge: int = 1, padding: str = "replicate", tile: int = 0, amp: str = "off",
        baseline: str = "plain", device: torch.device | str = "cpu",
    ):  # fmt: skip
        self.network: Any = network
        self.enlarge, self.padding, self.baseline = enlarge, padding, baseline
        self.tile, self.amp, self.device = tile, amp, torch.device(device)
        self.deep = network is not None or baseline == "plain"

    def check_clip(self, reader: VideoReader | FolderReader, options) -> None:
        """Refuse a clip too short for the padding."""
        super().check_clip(reader, options)
        try:
            neighbour_indices(0, WINDOW, reader.at_least(WINDOW), padding=self.padding)
        except ValueError as error:
            raise UsageError(f"--padding {self.padding} for {options.input}: {error}") from error

    def going_on(
        self, job: Job, reader: VideoReader | FolderReader
    ) -> tuple[Callable[[Iterable[Tensor]], Iterator[Tensor]], int]:
        """As of every paper; a file of more than 8 bits is enlarged to levels of 16, frames of a program to 8."""
        stream, first = super().going_on(job, reader)
        return partial(stream, kind=torch.uint16 if reader.dtype == np.uint16 else torch.uint8), first

    def stream(self, frames: Iterable[Tensor], kind: torch.dtype = torch.uint8) -> Iterator[Tensor]:
        """What is made of every frame of a clip; holds ten frames.

        Args:
            frames: (B, 3, H, W) in [0, 1].
            kind: of the levels that frames are enlarged to, uint8 or uint16.

        Yields:
            (B, 3, H, W), not clamped; four times as large after an enlargement.
        """
        for window in windows((self._enlarged(frame, kind) for frame in frames), WINDOW, padding=self.padding):
            if self.network is not None:
                clip = torch.stack(window, 1)  # B 7 3 H W
                yield restore(self.network, clip, tile=self.tile, amp=self.amp)  # B 3 H W
            elif self.baseline == "plain":
                yield window[WINDOW // 2]
            else:
                levels = [as_arrays(x)[0] for x in window]  # H W 3
                yield torch.from_numpy(classical(levels, self.baseline)).permute(2, 0, 1)[None]

    def _enlarged(self, frame: Tensor, kind: torch.dtype) -> Tensor:
        """A frame as the network sees it: enlarged, in whole levels."""
        if self.enlarge == 1:
            return frame.contiguous()  # seven of them are joined, again and again
        return enlarge(to_levels(frame, kind), self.enlarge).float().div_(torch.iinfo(kind).max)  # B 3 4H 4W


def _by_flow(first: Tensor, second: Tensor, t: float) -> Tensor:
    """A frame between two, (1, 3, H, W) in [0, 1], by classical flow."""
    made = torch.from_numpy(interpolate(*(as_arrays(frame)[0] for frame in (first, second)), t) / 255)  # H W 3
    return made.permute(2, 0, 1)[None].to(first.device)


def of_task(
    network: TOFlow | None, task: str, *, padding: str, baseline: str = "plain", **how
) -> Interpolator | Restorer:
    """What does a task with a network."""
    if task == "interp":
        return Interpolator(network, flow=baseline == "flow", **how)
    return Restorer(network, enlarge=SCALE if task == "sr" else 1, padding=padding, baseline=baseline, **how)


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    how = {"tile": options.tile or 0, "amp": config.amp, "device": device, "baseline": options.baseline or "plain"}
    model = of_task(network, options.task or config.task, padding=options.padding, **how)
    return each_input(model.run, options)
