"""Export to ONNX: what is TOFlow's own about it."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from common.checkpoints import onnx_export as onnx_file
from toflow.checkpoints import load
from toflow.config import Config
from toflow.model import LEVELS, MULTIPLE, SMALL, TOFlow

AXES = {"frames": {0: "batch", 3: "height", 4: "width"}, "pred": {0: "batch", 2: "height", 3: "width"}}
# Where the pyramid goes by size: all levels are in use if the longer side is over LONG, and none needs a row or column
# more than twice the coarser one's if both sides are multiples of EVEN.
LONG, EVEN = SMALL * 2 ** (LEVELS - 2), 2 ** (LEVELS - 1)
DETAIL = 16  # pixels, of the frames that file and network are compared on
TOLERANCE = 1e-3  # of a value in [0, 1]; random weights reach 2e-5 at 448x256, 5e-5 at 960x544


class Graph(nn.Module):
    """The network as the file holds it: one tensor in, one out."""

    def __init__(self, network: TOFlow):
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network(frames)["pred"]


def export(options, config: Config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, an ONNX file; returns the exit code.

    The file takes `frames` (B, T, 3, H, W), RGB in [0, 1], T = 2 or 7 as the weights have it, and gives `pred`
    (B, 3, H, W), not clamped, both float32. For super-resolution the frames are enlarged already. B is any number; with
    --export_size it is 1. What H and W may be goes by the pyramid of the flow network:
      fixed: multiples of 16, also in --export_size.
      by size: a file holds the number of levels that it was traced with, hence without --export_size all four, which is
        what the network does where the longer side is over 128 pixels; both sides are multiples of 8, 16 or more.
        Smaller frames would pass levels that the network leaves out. With --export_size any size from 16 pixels a
        side, odd ones too.

    Raises:
        UsageError: --export_size is no size for these weights.
        ValueError: the output exists or is no .onnx file; a package is missing; file and network differ.
    """
    path = onnx_file.target(options)
    network, _ = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    by_size = network.form.pyramid == "by_size"
    fixed = onnx_file.fixed_size(options, 1 if by_size else MULTIPLE, least=MULTIPLE)
    if fixed:
        example = (1, *fixed)
        compared, size = [example], options.export_size
    else:
        multiple, least = (EVEN, LONG) if by_size else (MULTIPLE, 0)
        example = (2, 2 * multiple, least + 3 * multiple)
        compared = [(1, least + 4 * multiple, 2 * multiple), (3, 2 * multiple, least + 5 * multiple)]
        size = f"any size in multiples of {multiple}" + (f" with a side over {least}" if least else "")
    onnx_file.save(
        Graph(network).eval(),
        path,
        {"frames": torch.zeros(example[0], network.form.frames, 3, *example[1:])},
        inputs(compared, network.form.frames),
        axes=None if fixed else AXES,
        dynamo=options.export == "dynamo",
        tolerance=TOLERANCE,
        size=size,
    )
    return 0


def inputs(shapes: Sequence[tuple[int, int, int]], count: int) -> Iterator[onnx_file.Inputs]:
    """Random clips of `count` frames, one for each (B, H, W)."""
    draw = torch.Generator().manual_seed(0)
    for batch, height, width in shapes:
        frames = onnx_file.smooth_frames(draw, batch * count, height, width, DETAIL)
        yield {"frames": frames.unflatten(0, (batch, count))}  # B T 3 H W
