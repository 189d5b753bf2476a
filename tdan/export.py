"""Export to ONNX: what is TDAN's own about it."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from common.checkpoints import onnx_export as onnx_file
from tdan.checkpoints import load
from tdan.config import Config
from tdan.model import TDAN, WINDOW

AXES = {"frames": {0: "batch", 3: "height", 4: "width"}, "pred": {0: "batch", 2: "height", 3: "width"}}
EXAMPLE = (2, 12, 20)  # B H W that a file for any size is traced with
COMPARED = ((1, 21, 16), (3, 17, 30))  # and compared with the network on
DETAIL = 4  # pixels, of the frames that file and network are compared on
# Of a value in [0, 1]. Random weights reach 1e-4 of the result's spread; but the rule "tdan" jumps at the top and left
# border, and where rounding puts a sample on its other side, that is a fiftieth to a tenth of the spread.
TOLERANCE = {"torchvision": 1e-3, "tdan": 0.1}


class Graph(nn.Module):
    """The network as the file holds it: one tensor in, one out."""

    def __init__(self, network: TDAN):
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network(frames)["pred"]


def export(options, config: Config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, an ONNX file; returns the exit code.

    The file takes `frames` (B, 5, 3, H, W), RGB in [0, 1], and gives `pred` (B, 3, s H, s W), s = 2 or 4 as the weights
    have it, not clamped, both float32. B, H and W are any numbers; with --export_size H and W are fixed, and B is 1.

    Raises:
        UsageError: --export_size has a side of 0.
        ValueError: the output exists or is no .onnx file; a package is missing; file and network differ.
    """
    path = onnx_file.target(options)
    fixed = onnx_file.fixed_size(options, 1)
    network, _ = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    example, compared = ((1, *fixed), [(1, *fixed)]) if fixed else (EXAMPLE, COMPARED)
    onnx_file.save(
        Graph(network).eval(),
        path,
        {"frames": torch.zeros(example[0], WINDOW, 3, *example[1:])},
        inputs(compared),
        axes=None if fixed else AXES,
        dynamo=options.export == "dynamo",
        tolerance=TOLERANCE[network.deform[0].border],
        size=options.export_size or "any size",
    )
    return 0


def inputs(shapes: Sequence[tuple[int, int, int]]) -> Iterator[onnx_file.Inputs]:
    """Random clips, one for each (B, H, W)."""
    draw = torch.Generator().manual_seed(0)
    for batch, height, width in shapes:
        frames = onnx_file.smooth_frames(draw, batch * WINDOW, height, width, DETAIL)
        yield {"frames": frames.unflatten(0, (batch, WINDOW))}  # B T 3 H W
