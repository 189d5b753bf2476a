"""Deblur the user's own video: a file, a folder of frames or a glob in, a video or a folder out, in constant memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from common.media import frame_kinds
from common.media.frame_kinds import Kind
from common.media.image import crop_to_multiple
from common.media.model_on_clips import FrameByFrame
from common.media.own_video import each_input
from common.media.segments import Job
from common.media.video_reader import FolderReader, VideoReader
from common.ops.pad import pad_to_multiple
from common.ops.tile import tiled
from common.training.distributed import choose_device
from pvdnet.checkpoints import load
from pvdnet.config import Config, build_parser
from pvdnet.evaluate import deblur
from pvdnet.models.deblurnet import DeblurNet
from pvdnet.samples import REFINE

BIMNET_MULTIPLE = 32  # what BIMNet needs; other sizes are padded
TILE_OVERLAP = 64  # pixels; more than the flows that a tile has to follow


def with_neighbours(frames: Iterable) -> Iterator[tuple]:
    """(previous, current, next) for every frame, the clip's ends repeated; holds three frames."""
    previous = current = None
    for following in frames:
        if current is not None:
            yield (current if previous is None else previous), current, following
        previous, current = current, following
    if current is not None:
        yield (current if previous is None else previous), current, current


def recurrence(
    step: Callable[[list[Tensor], Tensor], Tensor], frames: Iterable[Tensor], memory: Tensor | None = None
) -> Iterator[Tensor]:
    """Deblur a clip frame by frame.

    Args:
        step: takes the three blurry frames and the previous result, gives the new result.
        frames: (1, 3, H, W) in [0, 1], all of one size.
        memory: the result of the first of them, if it is known; the others then come as if those before had been there.
    """
    is_known = memory is not None
    for window in with_neighbours(frames):
        if not is_known:
            memory = step(list(window), window[1] if memory is None else memory)
        is_known = False
        yield memory


class Deblurrer(FrameByFrame):
    """Deblurs clips; `pvdnet.load` gives one, with the weights of a name.

    Args:
        network: None: frames stay as they are; or a filter in its place.
        tile: side of the tiles, in pixels; 0: none.
        amp: off, bf16 or fp16.
        parity: frames are cropped to multiples of 4, and BIMNet's rest left out, as in the published code; else padded.
        device: where the network is.
    """

    build_parser = build_parser

    def __init__(
        self, network: DeblurNet | None, *, tile: int = 0, amp: str = "off", parity: bool = False,
        device: torch.device | str = "cpu",
    ):  # fmt: skip
        self.network: Any = network
        self.amp, self.parity, self.device = amp, parity, torch.device(device)
        self.tile = -(-tile // BIMNET_MULTIPLE) * BIMNET_MULTIPLE

    def __call__(self, frames: Iterable[Kind]) -> Iterator[Kind]:  # type: ignore[override]
        """Sharp frames of a clip, one by one: each needs the result before it, which the iterator keeps.

        Args:
            frames: as for `FrameByFrame`; one is read ahead, so that a camera may give them.

        Returns:
            An iterator over the frames, of the same kind and size.

        Raises:
            ValueError: another kind, shape or range.
        """
        return frame_kinds.mapped(self.stream, frames, self.device)

    def check_clip(self, reader: VideoReader | FolderReader, options) -> None:
        """Every clip fits."""

    def stream(self, frames: Iterable[Tensor], memory: Tensor | None = None) -> Iterator[Tensor]:
        """The results, not clamped, of frames (B, 3, H, W) in [0, 1]; holds three frames; `memory` as above."""
        if self.parity:
            step = lambda window, memory: deblur(self.network, window, memory, self.amp)  # noqa: E731
            return recurrence(step, (cropped(frame) for frame in frames), memory)
        return self._padded(frames, memory)

    def going_on(
        self, job: Job, reader: VideoReader | FolderReader
    ) -> tuple[Callable[[Iterable[Tensor]], Iterator[Tensor]], int]:
        """From the last frame whose result was kept; and the result before every segment is kept."""
        first, memory = job.kept(self.device)
        return lambda frames: job.keeping(self.stream(frames, memory), first), first

    def _padded(self, frames: Iterable[Tensor], memory: Tensor | None) -> Iterator[Tensor]:
        """The results where every frame, and every result before the next step, is padded once."""
        unpad: Callable[[Tensor], Tensor]

        def padded(frame: Tensor) -> Tensor:
            nonlocal unpad
            frame, unpad = pad_to_multiple(frame.contiguous(), BIMNET_MULTIPLE)
            return frame

        def step(window: list[Tensor], memory: Tensor) -> Tensor:
            return padded(unpad(self._step(window, memory)))

        memory = None if memory is None else padded(memory)
        return (unpad(result) for result in recurrence(step, map(padded, frames), memory))

    def _step(self, window: list[Tensor], memory: Tensor) -> Tensor:
        if not self.tile:
            return deblur(self.network, window, memory, self.amp)
        whole = lambda x: deblur(self.network, list(x[:, :9].split(3, 1)), x[:, 9:], self.amp)  # noqa: E731
        stacked = torch.cat([*window, memory], 1)  # B 12 H W
        return tiled(whole, stacked, tile=self.tile, overlap=min(TILE_OVERLAP, self.tile // 2))


def cropped(frame: Tensor) -> Tensor:
    """A frame (B, 3, H, W), cut as the published code does."""
    return crop_to_multiple(frame.permute(2, 3, 0, 1), REFINE).permute(2, 3, 0, 1).contiguous()


def infer(options, config: Config) -> int:
    """Run the model on --input and write --output; returns the exit code."""
    device = choose_device(options.device)
    network, _ = load(options, config, device)
    how = {"tile": options.tile or 0, "amp": config.amp, "parity": options.parity, "device": device}
    return each_input(Deblurrer(network, **how).run, options)
