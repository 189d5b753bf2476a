"""The networks that `python -m common.bench` measures."""

import torch
from torch import Tensor, nn

from tdan.model import NEIGHBOURS, TDAN, WINDOW


class ClipStep(nn.Module):
    """What a frame of a long clip costs: only what is new of it is computed, as `stream.Enhancer` does."""

    def __init__(self):
        super().__init__()
        self.network = TDAN(init="authors")

    def forward(self, frames: Tensor, known: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """The middle frame enlarged, and what the network needs of the middle frame of the next window.

        Args:
            frames: (1, 5, 3, H, W), the last one new.
            known: the features of the other neighbours, (3, 64, H, W).
            parts: `middle_part` of the middle frame's features, then `neighbour_part` of `known`.
        """
        network, middle, others = self.network, parts[:2], parts[2:]
        features = network.extract(frames[:, -1])
        new = network.neighbour_part(features)
        others = [torch.cat((old, part)) for old, part in zip(others, new, strict=True)]
        outputs = network.fuse_window(frames, torch.cat((known, features)), middle, others)
        return outputs["pred"], *network.middle_part(features)


def networks(height: int, width: int) -> dict:
    """Name -> (function that makes the network, shapes of its inputs) for frames of height x width.

    The offsets are random, as the authors start: at zero offsets the sampling would read memory in order.
    """
    window = (1, WINDOW, 3, height, width)
    known = len(NEIGHBOURS) - 1
    remembered = [(known, 64), (1, 64), (1, 144), (known, 64), (known, 144)]
    return {
        "TDAN": (lambda: TDAN(init="authors"), [window]),
        "TDAN clip step": (ClipStep, [window, *((*shape, height, width) for shape in remembered)]),
        "TDAN_2018": (lambda: TDAN(border="tdan", init="authors"), [window]),
    }
