"""The network along a clip: what it computes of a single frame is computed once, not in all five windows that need it.

Features, and what they are for a neighbour's alignment, belong to a frame alone: a third of the work. They are kept as
long as windows need them, of five frames at most. The parts that `chopped`, `flipped` and `tiled` call for come in the
same order for every window, so a frame's features are found by the part's number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.ops.autocast import autocast
from common.ops.tile import tiled
from tdan.ensemble import chopped, flipped
from tdan.model import MIDDLE, NEIGHBOURS, TDAN

TILE_OVERLAP = 48  # low-resolution pixels; random weights, which look far, leave 0.03 levels RMS of seams, 32 0.2


class Enhancer:
    """Enlarges the middle frames of windows that follow each other in a clip.

    Args:
        network: on the device of the frames, ready to run.
        tile: side of the tiles, in low-resolution pixels; 0: none. A tile does not see what is outside, so the result
            differs a little from that without tiles.
        chop: cut into overlapping quarters as the authors do, instead of tiles.
        flips: average over the frames as they are, mirrored, upside down, and both; four times the work.
        amp: off, bf16 or fp16.
    """

    def __init__(self, network: TDAN, *, tile: int = 0, chop: bool = False, flips: bool = False, amp: str = "off"):
        self.network, self.tile, self.chop, self.flips, self.amp = network, tile, chop, flips, amp
        self._known: dict[tuple[int, int], tuple[Tensor, ...]] = {}  # (frame, part): see `_encode`
        self._numbers: list[int] = []  # of the window's frames
        self._part = 0

    @torch.inference_mode()
    def __call__(self, window: Sequence[tuple[int, Tensor]]) -> Tensor:
        """Enlarge the middle one of five frames.

        Args:
            window: numbers of the frames in the clip, and the frames (3, H, W) in [0, 1], all of one size. A number
                stands for the same frame in all calls until `forget`.

        Returns:
            (3, scale H, scale W) float32, not clamped.
        """
        self._numbers, self._part = [number for number, _ in window], 0
        self._known = {key: value for key, value in self._known.items() if key[0] in self._numbers}
        frames = torch.stack([frame for _, frame in window])[None]  # 1 T 3 H W
        if self.flips:
            return flipped(self._whole, frames)[0]
        return self._whole(frames)[0]

    def forget(self) -> None:
        """Forget all frames: another clip begins."""
        self._known.clear()

    def _whole(self, frames: Tensor) -> Tensor:
        scale = self.network.scale
        if self.chop:
            return chopped(self._one_part, frames, scale)
        overlap = min(TILE_OVERLAP, self.tile // 2)
        return tiled(self._one_part, frames, tile=self.tile, overlap=overlap, scale=scale)

    def _one_part(self, frames: Tensor) -> Tensor:
        """The result (1, 3, s h, s w) for a part of the window's frames (1, T, 3, h, w)."""
        network = self.network
        with autocast(frames.device, self.amp):
            for number, frame in zip(self._numbers, frames[0], strict=True):
                if (number, self._part) not in self._known:
                    self._known[number, self._part] = self._encode(frame[None])
            encoded = [self._known[number, self._part] for number in self._numbers]
            self._part += 1
            features, *others = (torch.cat(parts) for parts in zip(*(encoded[k] for k in NEIGHBOURS), strict=True))
            others = others or network.neighbour_part(features)
            outputs = network.fuse_window(frames, features, network.middle_part(encoded[MIDDLE][0]), others)
        return outputs["pred"].float()

    def _encode(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Of a frame (1, 3, h, w): features and, unless tiles save memory, what they are as a neighbour's."""
        features = self.network.extract(frame)
        return (features,) if self.tile else (features, *self.network.neighbour_part(features))
