"""Put frames into the user's own video: a file, a folder of frames or a glob in, a video or a folder out.

In constant memory, whatever the length and however many frames are put between two: a pair is encoded once, then
decoded for all times that fit in it.
"""

import logging
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from common.media.frame_rate import HALF, Timing, check_halves, halves
from common.media.model_on_clips import BetweenFrames
from common.media.own_video import each_input
from common.media.video_reader import FolderReader, VideoReader
from common.ops.autocast import autocast
from common.ops.pad import pad_centred
from common.ops.tile import tiled
from common.training.distributed import choose_device
from ifrnet.checkpoints import load
from ifrnet.config import Config, build_parser, check_scale
from ifrnet.model import TOGETHER, IFRNet, multiple_of

log = logging.getLogger(__name__)

TILE_OVERLAP = 64  # pixels; of motion beyond 3/8 of it a tile sees too little near its border


class Interpolator(BetweenFrames):
    """Makes the frames between two; `ifrnet.load` gives one, with the weights of a name.

    Args:
        network: None: the two frames are blended.
        weights: their name, for messages.
        scale: flows are estimated on frames resized by this.
        tile: side of the tiles, in pixels; 0: none. Each has the mean of its own pixels subtracted and sees no motion
            that leaves it, so the result differs a little from that without tiles, and more where motion is large.
        amp: off, bf16 or fp16; results are float32 always.
        device: where the network is.

    Raises:
        ValueError: a scale that cannot be.
    """

    build_parser = build_parser

    def __init__(
        self, network: IFRNet | None, *, weights: os.PathLike | str = "", scale: float = 1.0, tile: int = 0,
        amp: str = "off", device: torch.device | str = "cpu",
    ):  # fmt: skip
        check_scale(scale)
        self.network: Any = network
        self.weights, self.scale, self.amp = weights, scale, amp
        self.device = torch.device(device)
        self.deep = getattr(network, "deep", True)
        self.by_halves = network is not None and network.ignores_time
        self.multiple = multiple_of(scale)
        self.tile = -(-tile // self.multiple) * self.multiple

    def check_times(self, timing: Timing, reader: VideoReader | FolderReader) -> None:
        """Refuse times that these weights cannot make; tell if they make them by way of others."""
        if self.by_halves:
            knows = f"{self.weights or 'this network'} knows only the middle of two frames (its weights of t are 0)"
            other = "weights trained for any t, such as IFRNet_GoPro"
            if check_halves(timing, reader, knows, f", or {other}") > 2:
                log.warning("%s: others are made as middles of middles; %s, make them directly", knows, other)

    def predict(self, img0: Tensor, img1: Tensor, times: list[Fraction]) -> Iterator[Tensor]:
        """The frames, (1, 3, H, W) in [0, 1], at `times` between two of any size; weights without t take halves.

        Raises:
            ValueError: these weights, and a time that halving never reaches.
        """
        if self.network is None:
            return (torch.lerp(img0, img1, float(t)) for t in times)
        if self.by_halves:
            return halves(lambda a, b: next(self._direct(a, b, [HALF])), img0, img1, times)
        return self._direct(img0, img1, times)

    def _direct(self, img0: Tensor, img1: Tensor, times: list[Fraction]) -> Iterator[Tensor]:
        both, unpad = pad_centred(torch.cat((img0, img1), 1), self.multiple)  # 1 6 H W
        if 0 < self.tile < max(both.shape[-2:]):
            for t in times:
                whole = lambda part, t=t: self._decode(self._encode(part), [t])  # noqa: E731
                yield unpad(tiled(whole, both, tile=self.tile, overlap=min(TILE_OVERLAP, self.tile // 2)))
            return
        pair = self._encode(both)
        many = max(1, TOGETHER // (both.shape[-2] * both.shape[-1]))
        for start in range(0, len(times), many):
            yield from unpad(self._decode(pair, times[start : start + many])).split(1)

    def _encode(self, both):
        return self._run(self.network.encode, both[:, :3], both[:, 3:], self.scale)

    def _decode(self, pair, times):
        t = torch.cat([torch.full((1,), float(time), device=self.device) for time in times])  # no copy that waits
        return self._run(self.network.decode, pair, t, self.scale)["pred"].float()

    def _run(self, part: Callable, *arguments):
        """A part of the network; not around a loop that yields, whose caller would then be in these modes too."""
        with torch.inference_mode(), autocast(self.device, self.amp):
            return part(*arguments)


def infer(options, config: Config) -> int:
    """Interpolate --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, weights = load(options, config, device)
    how = {"scale": options.scale, "tile": options.tile or 0, "amp": config.amp, "device": device}
    return each_input(Interpolator(network, weights=weights or "", **how).run, options)
