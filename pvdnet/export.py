"""Export to ONNX: what is PVDNet's own about it."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from common.checkpoints import onnx_export as onnx_file
from common.cli import UsageError
from pvdnet.checkpoints import load
from pvdnet.config import Config
from pvdnet.infer import BIMNET_MULTIPLE
from pvdnet.models.deblurnet import DeblurNet
from pvdnet.samples import REFINE

INPUTS = ("previous", "current", "next", "memory")
IMAGES = {0: "batch", 2: "height", 3: "width"}
AXES = {name: IMAGES for name in (*INPUTS, "pred")}
EXAMPLE = (2, 20, 32)  # B H W that a file for any size is traced with
COMPARED = ((1, 36, 24), (3, 16, 28))  # and compared with the network on
DETAIL = 16  # pixels, of the frames that file and network are compared on
# Of a value in [0, 1]. Without BIMNet nothing is left to rounding; with it the pixel volume truncates the flow, and
# where rounding puts a position on the other side of a whole pixel, the neighbouring pixel is taken.
TOLERANCE = {False: 1e-3, True: 0.1}


class Graph(nn.Module):
    """One step of the recurrence as the file holds it: tensors in, one tensor out."""

    def __init__(self, network: DeblurNet):
        super().__init__()
        self.network = network

    def forward(self, previous: Tensor, current: Tensor, following: Tensor, memory: Tensor) -> Tensor:
        return self.network(previous, current, following, memory)["result"]


def export(options, config: Config) -> int:
    """Write the network that the `--ckpt_*` flags select to --output, an ONNX file; returns the exit code.

    The file takes the blurry frames `previous`, `current` and `next` and the state `memory`, each (B, 3, H, W), RGB in
    [0, 1], and gives `pred` (B, 3, H, W), not clamped, all float32. `pred` is the `memory` of the next frame. For the
    first frame `previous` and `memory` are that frame; for the last one `next` is.
      without BIMNet: H and W are any multiples of 4 and B is any number; with --export_size they are fixed, B to 1.
      with BIMNet: --export_size is needed, in multiples of 32: its correlation is exported for one size.

    Raises:
        UsageError: --export_size is no such size, or is missing for weights with BIMNet.
        ValueError: the output exists or is no .onnx file; a package is missing; file and network differ.
    """
    path = onnx_file.target(options)
    multiple = BIMNET_MULTIPLE if config.with_BIMNet else REFINE
    fixed = onnx_file.fixed_size(options, multiple, least=multiple)
    if config.with_BIMNet and not fixed:
        raise UsageError(f"a network with BIMNet is exported for one size: give --export_size, multiples of {multiple}")
    network, _ = load(options, dataclasses.replace(config, compile=False), torch.device("cpu"))
    example, compared = ((1, *fixed), [(1, *fixed)]) if fixed else (EXAMPLE, COMPARED)
    frames = torch.zeros(example[0], 3, *example[1:])
    onnx_file.save(
        Graph(network).eval(),
        path,
        dict.fromkeys(INPUTS, frames),
        inputs(compared),
        axes=None if fixed else AXES,
        dynamo=options.export == "dynamo",
        tolerance=TOLERANCE[config.with_BIMNet],
        size=options.export_size or f"any size in multiples of {multiple}",
    )
    return 0


def inputs(shapes: Sequence[tuple[int, int, int]]) -> Iterator[onnx_file.Inputs]:
    """Random frames and states, one for each (B, H, W)."""
    draw = torch.Generator().manual_seed(0)
    for batch, height, width in shapes:
        frames = onnx_file.smooth_frames(draw, len(INPUTS) * batch, height, width, DETAIL)
        yield dict(zip(INPUTS, frames.chunk(len(INPUTS)), strict=True))
